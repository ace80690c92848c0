"""The results of a run: read, and put into the words that report, notebook and model card share.

A number is printed with its unit, with the digits that its uncertainty supports, and with its
number of groups. With fewer than `intervals.MIN_GROUPS` groups the values of the groups are
printed, and neither a confidence interval nor a verdict of significance.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from coverslip.config.tasks import kind_of_result
from coverslip.errors import CoverslipError
from coverslip.evaluation.runs import run_name
from coverslip.metrics.definitions import METRICS
from coverslip.metrics.intervals import MIN_GROUPS

DASH = "–"

IMPORT = "import_labels"
"""Rule that reads label images of another program, where others train a model."""

METRICS_FORMAT = 2

HEADLINES = {
    "segmentation": ("iou", "mean_ap"),
    "confluency": ("confluency_rmse", "iou"),
    "classification": ("accuracy", "macro_f1"),
}
"""Metrics of the table of results by task, next to those that were published."""

SHOWN = {
    "segmentation": (
        "iou",
        "mean_ap",
        "ap50_pooled",
        "f1_50_pooled",
        "pq_pooled",
        "object_count_ratio",
        "object_count_mae",
    ),
    "confluency": ("confluency_rmse", "confluency_mae", "confluency_bias", "iou"),
    "classification": ("accuracy", "macro_f1", "balanced_accuracy", "log_loss", "ece"),
}
"""Metrics that report and model card show by task; in the report all others can be unfolded."""

LABELS = {
    "iou": "IoU",
    "dice": "Dice",
    "f1": "F1",
    "macro_f1": "macro F1",
    "iou_pooled": "IoU of all pixels",
    "accuracy_blank_labels": "accuracy against blank labels",
    "object_count_mae": "MAE of the object count",
    "object_count_bias": "bias of the object count (predicted − annotated)",
    "object_count_ratio": "count ratio (predicted / annotated)",
    "confluency": "confluency",
    "confluency_true": "annotated confluency",
    "confluency_bias": "confluency bias (predicted − annotated)",
    "confluency_mae": "confluency MAE",
    "confluency_rmse": "confluency RMSE",
    "confluency_group_bias": "confluency bias of whole groups",
    "confluency_group_mae": "confluency MAE of whole groups",
    "confluency_group_rmse": "confluency RMSE of whole groups",
    "mean_ap": "AP, mean over IoU 0.50 to 0.95",
    "mean_ap_pooled": "AP of all objects, mean over IoU 0.50 to 0.95",
    **{f"ap{percent}": f"AP at IoU 0.{percent}" for percent in range(50, 100, 5)},
    **{f"ap{at}_pooled": f"AP of all objects at IoU 0.{at}" for at in range(50, 100, 5)},
    "f1_50": "F1 of objects at IoU 0.50, mean over images",
    "f1_50_pooled": "F1 of all objects at IoU 0.50",
    "pq": "panoptic quality, mean over images",
    "pq_pooled": "panoptic quality of all objects",
    "precision_50": "precision of objects at IoU 0.50",
    "recall_50": "recall of objects at IoU 0.50",
    "mean_matched_iou": "mean IoU of matched objects",
    "mean_true_iou": "mean IoU of annotated objects (0 if missed)",
    "split_rate": "fraction of annotated objects that are split",
    "merge_rate": "fraction of predicted objects that merge several",
    "missed_rate": "fraction of annotated objects that are missed",
    "spurious_rate": "fraction of predicted objects that are spurious",
    "loss": "loss with the penalty on weights",
    "log_loss_uncalibrated": "log loss before temperature scaling",
    "ece": "expected calibration error",
    "ece_uncalibrated": "expected calibration error before temperature scaling",
}

BAND = re.compile(r"(?P<metric>confluency_[a-z]+)_(?P<low>[0-9]+)_(?P<high>[0-9]+)")
"""Metrics of the images whose annotated confluency is in a band."""

BASELINES = {
    "all background": "all background",
    "otsu": "Otsu's threshold",
    "otsu watershed": "Otsu's threshold with watershed",
    "otsu of deviation": "Otsu's threshold on the local deviation",
    "brightness": "brightness alone",
}

HIGHER_IS_BETTER = frozenset(metric.name for metric in METRICS if metric.higher_is_better)

LOWER_IS_BETTER = frozenset(metric.name for metric in METRICS if metric.higher_is_better is False)

SUBSETS = ("test", "validation", "train")

SUBSET_WORDS = {"test": "test", "validation": "validation", "train": "training"}

KINDS = {"reproduced": "Reproduced", "random": "Random split", "grouped": "Held-out groups"}
"""Kinds of results as they are shown, see `config.tasks.kind_of_result`."""

FRACTIONS = (None, "", "fraction")

UNITS = {"percentage points": "pp", "%": "%", "percent": "%", "objects per image": "per image"}
"""Units as they are printed after a number; others are not printed."""


# --- The inputs: a run's config and files


@dataclass(frozen=True)
class StudyInputs:
    """One study of a run, as the report takes it."""

    name: str
    """Its key in the config; names its folder."""
    study: Mapping[str, Any]
    """Its section of the config, with all defaults."""
    dataset: Mapping[str, Any]
    """Its dataset's section of the config, with all defaults."""
    metrics: Path
    """`metrics.json` of the study; `images.csv` is in the same folder."""
    report: Path
    """`check/report.json` of the dataset; `images.h5` is in the folder above."""
    split: Path
    """`split.json` of the study."""
    figures: tuple[Path, ...] = ()
    """Its figures (svg, png or jpg), named after the figure."""
    notebook: Path | None = None
    """Its notebook as HTML; linked, not embedded."""
    runs: tuple[Path, ...] = ()
    """`run.json` of each of its trainings."""
    search: Path | None = None
    """`search.json` of its search, if it has one."""
    ensemble: Path | None = None
    """`scores.json` of its ensemble, if it is scored."""

    @property
    def task(self) -> str:
        """`segmentation`, `confluency` or `classification`."""
        return self.study.get("task") or "segmentation"

    @property
    def is_reproduction(self) -> bool:
        """Whether it repeats a published protocol."""
        return self.study.get("reproduces") is not None

    @property
    def issues(self) -> list[str]:
        """Its known issues."""
        return list(self.study.get("known_issues") or [])

    @property
    def kind(self) -> str:
        """The kind of its results in words, see `KINDS`."""
        return KINDS[self.kind_key]

    @property
    def kind_key(self) -> str:
        """The kind of its results, `reproduced`, `random` or `grouped`."""
        return kind_of_result(self.study, self.dataset.get("group_by"))


def collect(
    config: Mapping[str, Any],
    names: Sequence[str],
    figures: Iterable[Path] = (),
    root: Path = Path("results"),
) -> list[StudyInputs]:
    """Return the inputs of the report for the studies of a run, from the paths below `root`.

    Args:
        config: the config with all defaults (`coverslip.config.validate.resolve`).
        names: of the studies, in the order in which they are shown.
        figures: of all studies; each goes to the study in whose folder it is.
    """
    figures = [Path(figure) for figure in figures]
    studies = []
    for name in names:
        study = config["studies"][name]
        home = root / "studies" / name
        notebook = home / "notebook.html"
        studies.append(
            StudyInputs(
                name=name,
                study=study,
                dataset=config["datasets"][study["dataset"]],
                metrics=home / "metrics.json",
                report=root / "datasets" / study["dataset"] / "check" / "report.json",
                split=home / "split.json",
                figures=tuple(f for f in figures if f.parent == home / "figures"),
                notebook=notebook if notebook.is_file() else None,
                runs=tuple(
                    home / run_name(fold, seed) / "model" / "run.json"
                    for fold in range(study["split"]["folds"])
                    for seed in study["seeds"]
                ),
                search=home / "search" / "search.json" if study["search"] else None,
                ensemble=home / "ensemble" / "scores.json"
                if study["evaluation"]["ensemble"]
                else None,
            )
        )
    return studies


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; raises CoverslipError where it is missing or not one."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CoverslipError(f"{path}: missing; run the workflow again to make it") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CoverslipError(f"{path}: not JSON ({error}); delete it and run again") from None
    if not isinstance(value, dict):
        raise CoverslipError(f"{path}: not a JSON object; delete it and run again")
    return value


def read_metrics(path: Path) -> dict[str, Any]:
    """Read `metrics.json`; each record also gets `group_unit`, what its groups are called.

    Raises:
        CoverslipError: it has another format than 2.
    """
    metrics = read_json(path)
    if metrics.get("format") != METRICS_FORMAT or not isinstance(metrics.get("metrics"), list):
        raise CoverslipError(
            f"{path}: not metrics of format {METRICS_FORMAT}; delete it and run again"
        )
    unit = {"group_unit": metrics.get("group_unit") or "group"}
    return {**metrics, "metrics": [record | unit for record in metrics["metrics"]]}


def read_images(path: Path) -> pd.DataFrame:
    """Read `images.csv` of a study; names are text, as they are."""
    texts = dict.fromkeys(("id", "group", "modality", "subset", "true", "predicted"), str)
    try:
        return pd.read_csv(path, dtype=texts, keep_default_na=False, na_values={})
    except (OSError, ValueError) as error:
        raise CoverslipError(f"{path}: not readable ({error}): remove it and run again") from error


def plural(count: int, word: str) -> str:
    """Return `1 group`, `3 groups`, `2 dishes`."""
    ending = "es" if re.search("(s|x|sh|ch)$", word) else "s"
    return f"{number(count, 'count')} {word}{'' if count == 1 else ending}"


# --- Numbers


def find(metrics: Mapping[str, Any], name: str, subset: str) -> dict[str, Any] | None:
    """Return the record of a metric over all trainings of a study, or None.

    A metric with a record a class is taken for the last class (the foreground).
    """
    of_name = [r for r in metrics["metrics"] if r["name"] == name and r["subset"] == subset]
    whole = [r for r in of_name if r.get("run", "all") == "all"]
    if not whole and len({r["run"] for r in of_name}) == 1:
        whole = of_name
    for wanted in (None, (metrics.get("classes") or [None])[-1]):
        for record in whole:
            if record.get("class") == wanted:
                return record
    return None


def label(metric: str, class_name: str | None = None) -> str:
    """Return a metric's name for reading: `pixel_accuracy` becomes `pixel accuracy`."""
    band = BAND.fullmatch(metric)
    words = LABELS.get(band["metric"] if band else metric, metric.replace("_", " "))
    if band:
        words += f", images of {band['low']} to {band['high']} %"
    return f"{words} ({class_name})" if class_name else words


def number(value: Any, unit: str | None = None, digits: int | None = None) -> str:
    """Return a number for reading, without its unit; a dash where there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return DASH
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return str(value)
    if isinstance(value, int | np.integer) or unit == "count":
        text = f"{int(value):,}"
    else:
        if digits is None:
            digits = 3 if unit in FRACTIONS else 2 if unit == "ratio" else 1
        text = f"{value:,.{digits}f}"
        if float(text.replace(",", "")) == 0:
            text = text.replace("-", "")
    return text.replace(",", "\u202f").replace("-", "−")


def limits(record: Mapping[str, Any] | None) -> tuple[float, float] | None:
    """Return the 95 % CI of a record; None where it has none, no width or too few groups."""
    if record is None or record.get("ci_low") is None or record.get("ci_high") is None:
        return None
    few = (record.get("groups") or MIN_GROUPS) < MIN_GROUPS
    ends = record["ci_low"], record["ci_high"]
    return None if few or ends[0] == ends[1] else ends


def digits_of(record: Mapping[str, Any]) -> int:
    """Return how many decimals the uncertainty of a record supports."""
    unit = record.get("unit")
    least, most = (2, 4) if unit in FRACTIONS else (2, 2) if unit == "ratio" else (1, 2)
    values = limits(record) or record.get("group_values")
    if not values:
        return 3 if unit in FRACTIONS else least
    half = (max(values) - min(values)) / 2
    return least if half <= 0 else min(max(least, -math.floor(math.log10(half))), most)


def with_unit(text: str, unit: str | None) -> str:
    """Return a number with its unit, as far as it has one that is printed."""
    return f"{text}\u00a0{UNITS[unit]}" if unit in UNITS and text != DASH else text


def value_text(record: Mapping[str, Any] | None) -> str:
    """Return the value of a record with its unit, or a dash."""
    if not record:
        return DASH
    unit = record.get("unit")
    return with_unit(number(record["value"], unit, digits_of(record)), unit)


def interval_text(record: Mapping[str, Any] | None) -> str:
    """Return the 95 % CI of a record as `0.88 to 0.92`, or the values of its groups, or a dash.

    Values of groups are written as `3 plates: 0.83, 0.87, 0.89`.
    """
    if record is None:
        return DASH
    unit, digits = record.get("unit"), digits_of(record)
    ends = limits(record)
    if ends:
        return " to ".join(number(end, unit, digits) for end in ends)
    groups = record.get("groups")
    if groups is None or groups >= MIN_GROUPS or record.get("value") is None:
        return DASH
    words = plural(groups, record.get("group_unit") or "group")
    values = [number(value, unit, digits) for value in record.get("group_values") or ()]
    return f"{words}: {', '.join(values)}" if values else f"{words}, too few for a CI"


def uncertainty(record: Mapping[str, Any] | None) -> str:
    """Return ` (95 % CI 0.88 to 0.92)` or ` (3 plates: 0.83, 0.87, 0.89)` for a sentence."""
    text = interval_text(record)
    if text == DASH:
        return ""
    return f" (95 % CI {text})" if limits(record) else f" ({text})"


def uncertainty_note(record: Mapping[str, Any] | None) -> str:
    """Return a sentence for a record of too few groups; empty for others."""
    groups = (record or {}).get("groups") or MIN_GROUPS
    if record is None or groups >= MIN_GROUPS:
        return ""
    unit = record.get("group_unit") or "group"
    return f"Evaluated on {plural(groups, unit)} only: too few for a 95 % CI."


def support_text(record: Mapping[str, Any] | None) -> str:
    """Return what a record was computed on: `134 images, 21 groups`, or a dash."""
    record = record or {}
    support, groups = record.get("support"), record.get("groups")
    parts = []
    if support is not None:
        unit = str(record.get("support_unit") or "").replace("true ", "annotated ")
        unit = unit.removesuffix("s") if support == 1 else unit
        parts.append(f"{number(support, 'count')} {unit}".strip())
    if groups is not None and record.get("support_unit") != "groups":
        parts.append(plural(groups, record.get("group_unit") or "group"))
    return ", ".join(parts) or DASH


# --- Baselines, and the difference to the best of them


def baseline_names(records: Iterable[Mapping[str, Any] | None]) -> list[str]:
    """Return the names of the baselines that any of the records has, in their order."""
    return list(dict.fromkeys(name for r in records for name in (r or {}).get("baselines") or {}))


def baseline_label(name: str) -> str:
    """Return a baseline's name for reading."""
    return BASELINES.get(name, name)


def baseline_text(record: Mapping[str, Any] | None, name: str) -> str:
    """Return the value of a baseline with its unit, or a dash."""
    record = record or {}
    unit = record.get("unit")
    value = (record.get("baselines") or {}).get(name)
    return DASH if value is None else with_unit(number(value, unit, digits_of(record)), unit)


def best_baseline(record: Mapping[str, Any] | None) -> str | None:
    """Return the name of the best baseline; None where the metric has no better or worse."""
    record = record or {}
    values = {k: v for k, v in (record.get("baselines") or {}).items() if v is not None}
    metric = record.get("name")
    if not values or metric not in HIGHER_IS_BETTER | LOWER_IS_BETTER:
        return None
    return (max if metric in HIGHER_IS_BETTER else min)(values, key=lambda name: values[name])


def judge(record: Mapping[str, Any] | None) -> Literal["better", "worse", "unclear", "few"] | None:
    """Return how a value compares with the best baseline, as far as the 95 % CI supports it.

    `better` and `worse` need a CI of the difference without 0; with one that includes 0 it is
    `unclear`, and with too few groups for a CI `few`. None without a baseline to compare with.
    """
    best = best_baseline(record)
    difference = ((record or {}).get("difference_to_baseline") or {}).get(best)
    if record is None or difference is None or difference["value"] is None:
        return None
    if (record.get("groups") or MIN_GROUPS) < MIN_GROUPS:
        return "few"
    low, high = difference["ci_low"], difference["ci_high"]
    if low is None or high is None or low <= 0 <= high:
        return "unclear"
    return "better" if (low > 0) == (record["name"] in HIGHER_IS_BETTER) else "worse"


def difference_text(record: Mapping[str, Any] | None) -> str:
    """Return the difference to the best baseline with its 95 % CI: `+0.031 (+0.013 to +0.051)`."""
    best = best_baseline(record)
    difference = ((record or {}).get("difference_to_baseline") or {}).get(best)
    if record is None or difference is None:
        return DASH
    return " ".join(signed_texts({**difference, "groups": record.get("groups")}, record)).strip()


def signed_texts(difference: Mapping[str, Any], record: Mapping[str, Any]) -> tuple[str, str]:
    """Return a difference with its sign and unit, and its CI in brackets (empty without one)."""
    unit, ends = record.get("unit"), limits(difference)
    digits = digits_of({"unit": unit, **difference}) if ends else digits_of(record)

    def signed(value: float | None) -> str:
        text = number(value, unit, digits)
        return f"+{text}" if value is not None and value > 0 and re.search("[1-9]", text) else text

    within = f"({signed(ends[0])} to {signed(ends[1])})" if ends else ""
    return with_unit(signed(difference["value"]), unit), within


# --- One table of results


@dataclass(frozen=True)
class Result:
    """One number of one study, in words; what was published comes with it."""

    study: StudyInputs
    metric: str
    subset: str
    record: Mapping[str, Any] | None
    published: float | None = None

    @property
    def label(self) -> str:
        """Name of the metric, with the subset where it is not the test images."""
        name = first_capital(label(self.metric, (self.record or {}).get("class")))
        return name if self.subset == "test" else f"{name}, {SUBSET_WORDS[self.subset]} images"

    @property
    def value(self) -> str:
        """The value with its unit; next to a published one with as many digits as that."""
        if self.published is None or not self.record:
            return value_text(self.record)
        digits = max(digits_of(self.record), len(f"{self.published:.4g}".partition(".")[2]))
        unit = self.record.get("unit")
        return with_unit(number(self.record["value"], unit, digits), unit)

    @property
    def interval(self) -> str:
        """The 95 % CI or the values of the groups."""
        return interval_text(self.record)

    @property
    def few(self) -> bool:
        """Whether there are too few groups for a CI."""
        return ((self.record or {}).get("groups") or MIN_GROUPS) < MIN_GROUPS

    @property
    def baseline(self) -> tuple[str, str]:
        """Value and name of the best baseline; dashes without one."""
        best = best_baseline(self.record)
        return (baseline_text(self.record, best), baseline_label(best)) if best else (DASH, "")

    @property
    def difference(self) -> str:
        """The difference to the best baseline."""
        return difference_text(self.record)

    @property
    def support(self) -> str:
        """On how many images and groups it was computed."""
        return support_text(self.record)

    @property
    def groups(self) -> str:
        """The number of groups."""
        record = self.record or {}
        return plural(record.get("groups") or 0, record.get("group_unit") or "group")

    @property
    def published_text(self) -> str:
        """The published value, as it was published."""
        return DASH if self.published is None else f"{self.published:.4g}"

    @property
    def cell(self) -> str:
        """Value, 95 % CI or values of few groups, and number of groups: for a cell of a table."""
        interval = self.interval
        if not limits(self.record):
            return self.value if interval == DASH else f"{self.value} ({interval})"
        return f"{self.value} ({interval}; {self.groups})"

    @property
    def marks(self) -> dict[str, Any] | None:
        """Positions from 0 to 1 of value, baseline and CI; None for other scales."""
        record = self.record or {}
        ends = limits(record) or (None, None)
        best = best_baseline(record)
        base = record["baselines"][best] if best else None
        values = {"value": record.get("value"), "base": base, "low": ends[0], "high": ends[1]}
        fraction = record.get("unit") in FRACTIONS and record.get("name") in HIGHER_IS_BETTER
        if not fraction or record.get("value") is None:
            return None
        return values | {"groups": record.get("group_values") or ()}


def result(
    study: StudyInputs, metrics: Mapping[str, Any], metric: str, subset: str = "test"
) -> Result:
    """Return one number of a study."""
    published = {
        (p["metric"], p["subset"]): p["value"] for p in study.study.get("reported_results") or []
    }
    value = published.get((metric, subset))
    return Result(study, metric, subset, find(metrics, metric, subset), value)


def results(study: StudyInputs, metrics: Mapping[str, Any]) -> list[Result]:
    """Return the headline metrics of a study, and those that were published."""
    own = [(metric, "test") for metric in HEADLINES[study.task] if find(metrics, metric, "test")]
    published = [(p["metric"], p["subset"]) for p in study.study.get("reported_results") or []]
    # The error of the confluency is the question of such a study, whatever was published.
    order = [*own, *published] if study.task == "confluency" else [*published, *own]
    return [result(study, metrics, *key) for key in dict.fromkeys(order)]


@dataclass(frozen=True)
class Comparison:
    """A metric as published, and by the kinds of splits: one line of the first table."""

    first: Result
    """Of the study whose metric it is."""
    by_kind: Mapping[str, Result]
    """By the keys of `KINDS`, at most one of each kind."""

    @property
    def published(self) -> str:
        """The published value; of another protocol unless a study reproduces it."""
        text = self.first.published_text
        return text if text == DASH or "reproduced" in self.by_kind else f"{text} (other protocol)"

    def cell(self, kind: str) -> str:
        """Return the result of a kind as a cell of the table, or a dash."""
        return self.by_kind[kind].cell if kind in self.by_kind else DASH

    @property
    def studies(self) -> list[StudyInputs]:
        """The studies whose results are in the line."""
        return [line.study for line in self.by_kind.values()]


def comparisons(
    studies: Sequence[StudyInputs], metrics: Mapping[str, Mapping[str, Any]]
) -> list[Comparison]:
    """Return the results of studies of different kinds of splits next to each other.

    A line is a metric of a study that was published, or of a reproduction, or of a random split. To
    it comes the study that it names as `compare_with`; and a reproduction and a random split that
    have the same published value share a line. A result is always in the column of its own kind.

    Args:
        studies: in the order of the config.
        metrics: `metrics.json` of each study, by its name.
    """
    by_name = {study.name: study for study in studies}
    lines: dict[tuple[Any, ...], Comparison] = {}
    for study in studies:
        if study.kind_key == "grouped" and not study.study.get("reported_results"):
            continue
        other = by_name.get(study.study.get("compare_with") or "")
        for line in results(study, metrics[study.name]):
            if not line.record:
                continue
            found = {study.kind_key: line}
            if other and other.kind_key != study.kind_key:
                second = result(other, metrics[other.name], line.metric, line.subset)
                found |= {other.kind_key: second} if second.record else {}
            alone = None if line.published is not None else study.name
            key = study.study["dataset"], line.metric, line.subset, line.published, alone
            known = lines.get(key)
            if known and not set(known.by_kind) & {study.kind_key}:
                lines[key] = Comparison(known.first, {**found, **known.by_kind})
            elif known:
                lines[*key, study.name] = Comparison(line, found)
            else:
                lines[key] = Comparison(line, found)
    return list(lines.values())


def key_result(study: StudyInputs, metrics: Mapping[str, Any]) -> Result:
    """Return the one number that a study is shown by first."""
    for name in ("f1_50_pooled", *HEADLINES[study.task]):
        for subset in SUBSETS[:2]:
            if find(metrics, name, subset):
                return result(study, metrics, name, subset)
    return result(study, metrics, HEADLINES[study.task][0])


# --- Words


def first_capital(text: str) -> str:
    """Return the text with a capital at its start; the rest stays as it is."""
    return text[:1].upper() + text[1:]


def device(run: Mapping[str, Any]) -> str:
    """Return the machine of a run in words: device, processor and cores, as far as recorded."""
    machine = run.get("machine") or {}
    name = run.get("device") or machine.get("device")
    if isinstance(name, Mapping):
        name = name.get("name")
    processor = machine.get("processor")
    cores = machine.get("cores") or run.get("cores")
    parts = [str(name).upper() if name in ("cpu", "gpu") else str(name)] if name else []
    if processor and processor != name:
        parts.append(str(processor))
    if cores:
        parts.append(f"{cores} cores")
    return ", ".join(parts) or "machine not recorded"


def minutes(run: Mapping[str, Any]) -> float | None:
    """Return the minutes that a training took, over all its jobs; None if not recorded."""
    if run.get("rule") == IMPORT:
        return None
    training = run.get("training") or {}
    seconds = training.get("training_seconds", run.get("seconds"))
    return None if seconds is None else float(seconds) / 60
