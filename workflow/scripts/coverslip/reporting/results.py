"""What the studies of a run came to: read, paired and put into words.

The report and the page of results say the same numbers in the same way; both take them from here.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coverslip.errors import CoverslipError
from coverslip.evaluation.runs import run_name

DASH = "–"

METRICS_FORMAT = 1

HEADLINES = {
    "segmentation": ("iou", "mean_ap"),
    "confluency": ("confluency_rmse", "iou"),
    "classification": ("accuracy", "macro_f1"),
}
"""The metrics that a study is told by beside those published, by its task."""

LABELS = {
    "iou": "IoU",
    "dice": "Dice",
    "f1": "F1",
    "macro_f1": "macro F1",
    "iou_pooled": "IoU of all pixels",
    "accuracy_blank_labels": "accuracy against blank labels",
    "object_count_mae": "objects per image, mean error",
    "object_count_bias": "objects per image, predicted less true",
    "object_count_ratio": "objects, predicted over true",
    "confluency": "confluency",
    "confluency_true": "true confluency",
    "confluency_bias": "confluency, predicted less true",
    "confluency_mae": "confluency, mean error",
    "confluency_rmse": "confluency, root mean square error",
    "confluency_group_bias": "confluency of whole groups, predicted less true",
    "confluency_group_mae": "confluency of whole groups, mean error",
    "confluency_group_rmse": "confluency of whole groups, root mean square error",
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
    "mean_matched_iou": "IoU of matched objects, mean",
    "mean_true_iou": "IoU of matched objects over all true ones",
    "split_rate": "share of true objects in pieces",
    "merge_rate": "share of predicted objects that join true ones",
    "missed_rate": "share of true objects missed",
    "invented_rate": "share of predicted objects invented",
    "loss": "loss with the penalty on weights",
    "log_loss_uncalibrated": "log loss without temperature",
    "ece": "expected calibration error",
    "ece_uncalibrated": "expected calibration error without temperature",
}

BAND = re.compile(r"(?P<metric>confluency_[a-z]+)_(?P<low>[0-9]+)_(?P<high>[0-9]+)")
"""Metrics of the images whose true confluency lies in a band."""

BASELINES = {
    "all background": "all background",
    "otsu": "Otsu's threshold",
    "otsu watershed": "Otsu's threshold with watershed",
    "otsu of deviation": "Otsu's threshold on the local deviation",
    "brightness": "brightness alone",
}

KINDS = {"reproduced": "Reproduced", "random": "Random split", "grouped": "Held-out groups"}
"""Kinds of results as they are shown, see `config.tasks.kind_of_result`."""

SUBSETS = ("test", "validation", "train")

SUBSET_WORDS = {"test": "test", "validation": "validation", "train": "training"}


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
    """`metrics.json` of the study."""
    report: Path
    """`check/report.json` of the dataset."""
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


@dataclass(frozen=True)
class Row:
    """One line of the table of studies: a metric as published, repeated, and asked honestly."""

    name: str
    """The study whose question it is: the honest one of a pair, if there is one."""
    title: str
    repeated_name: str | None
    """The study as published, if there is one."""
    repeated_title: str | None
    metric: str
    """Name in `metrics.json`."""
    class_name: str | None
    subset: str
    """Subset of the published figure."""
    published: float | None
    repeated: Mapping[str, Any] | None
    """Record of our value under the published protocol."""
    honest: Mapping[str, Any] | None
    """Record of our value under the honest protocol."""

    @property
    def ours(self) -> Mapping[str, Any] | None:
        """The record that interval and baselines are told of: honest, else as published."""
        return self.honest or self.repeated


def collect(
    config: Mapping[str, Any],
    names: Sequence[str],
    figures: Iterable[Path] = (),
    root: Path = Path("results"),
) -> list[StudyInputs]:
    """The inputs of the report for the studies of a run, from the workflow's paths below `root`.

    Args:
        config: the config with all defaults (`coverslip.config.validate.resolve`).
        names: of the studies, in the order in which they are shown.
        figures: of all studies; each goes to the study in whose folder it lies.
    """
    figures = [Path(figure) for figure in figures]
    found = []
    for name in names:
        study = config["studies"][name]
        home = root / "studies" / name
        notebook = home / "notebook.html"
        found.append(
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
    return found


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object; raises CoverslipError where it is missing or not one."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CoverslipError(f"{path}: missing; run the workflow again to make it") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CoverslipError(f"{path}: not JSON ({error}); delete it and run again") from None
    if not isinstance(value, dict):
        raise CoverslipError(f"{path}: holds no JSON object; delete it and run again")
    return value


def read_metrics(path: Path) -> dict[str, Any]:
    """Read `metrics.json`; raises CoverslipError where it has another format than 1."""
    metrics = read_json(path)
    if metrics.get("format") != METRICS_FORMAT or not isinstance(metrics.get("metrics"), list):
        raise CoverslipError(
            f"{path}: not metrics of format {METRICS_FORMAT}; delete it and run again"
        )
    return metrics


def find(metrics: Mapping[str, Any], name: str, subset: str) -> dict[str, Any] | None:
    """The record of a metric over all trainings of a study, or None.

    A metric that is told class by class is taken for the last class (the foreground).
    """
    of_name = [r for r in metrics["metrics"] if r["name"] == name and r["subset"] == subset]
    whole = [r for r in of_name if r.get("run", "all") == "all"]
    if not whole and len({r["run"] for r in of_name}) == 1:
        whole = of_name
    classes = metrics.get("classes") or [None]
    for wanted in (None, classes[-1]):
        for record in whole:
            if record.get("class") == wanted:
                return record
    return None


def pairs(studies: Sequence[StudyInputs]) -> list[tuple[StudyInputs | None, StudyInputs | None]]:
    """Pair each study as published with the honest one beside it, in the order of the config.

    Either may be None. A pair is named by `compare_with` in one of the two.
    """
    by_name = {study.name: study for study in studies}
    found: list[tuple[StudyInputs | None, StudyInputs | None]] = []
    for study in studies:
        if study.study["reproduces"] is None:
            continue
        other = by_name.get(study.study.get("compare_with") or "")
        if other is None or other.study["reproduces"] is not None:
            other = next(
                (
                    s
                    for s in studies
                    if s.study["reproduces"] is None and s.study.get("compare_with") == study.name
                ),
                None,
            )
        found.append((study, other))
    paired = {honest.name for _, honest in found if honest is not None}
    found += [(None, s) for s in studies if s.study["reproduces"] is None and s.name not in paired]
    return found


def rows(studies: Sequence[StudyInputs], metrics: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """The table of studies: each published figure, then the headline metrics if they are others.

    `metrics` holds the metrics of each study by its name.
    """
    table: list[Row] = []
    for repeated, honest in pairs(studies):
        published: dict[tuple[str, str], float] = {}
        sides = [side for side in (repeated, honest) if side is not None]
        for side in sides:
            for figure in side.study.get("reported_results") or []:
                published.setdefault((figure["metric"], figure["subset"]), figure["value"])
        task = sides[-1].study.get("task") or "segmentation"
        own = [
            (metric, "test")
            for metric in HEADLINES[task]
            if any(find(metrics[side.name], metric, "test") for side in sides)
        ]
        # How far confluency is off is the question of such a study, whatever was published.
        wanted = [*own, *published] if task == "confluency" else [*published, *own]
        table += [
            _row(repeated, honest, metrics, metric, subset, published.get((metric, subset)))
            for metric, subset in dict.fromkeys(wanted)
        ]
    return table


def _row(
    repeated: StudyInputs | None,
    honest: StudyInputs | None,
    metrics: Mapping[str, Mapping[str, Any]],
    metric: str,
    subset: str,
    published: float | None,
) -> Row:
    ours = find(metrics[repeated.name], metric, subset) if repeated else None
    fair = None
    if honest:
        # An honest study chooses its weights and threshold on validation: only test is unseen.
        first = "train" if subset == "train" else "test"
        fair = find(metrics[honest.name], metric, first)
        fair = fair or find(metrics[honest.name], metric, subset)
    side = honest or repeated
    assert side is not None
    record = fair or ours
    return Row(
        name=side.name,
        title=side.study["title"],
        repeated_name=repeated.name if repeated else None,
        repeated_title=repeated.study["title"] if repeated else None,
        metric=metric,
        class_name=record.get("class") if record else None,
        subset=subset,
        published=published,
        repeated=ours,
        honest=fair,
    )


def label(metric: str, class_name: str | None = None) -> str:
    """A metric's name for reading: `pixel_accuracy` becomes `pixel accuracy`."""
    band = BAND.fullmatch(metric)
    words = LABELS.get(band["metric"] if band else metric, metric.replace("_", " "))
    if band:
        words += f", images of {band['low']} to {band['high']} %"
    return f"{words} ({class_name})" if class_name else words


def number(value: Any, unit: str | None = None) -> str:
    """A number for reading; a dash where there is none. Shares have four decimals."""
    if value is None or isinstance(value, float) and math.isnan(value):
        return DASH
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or (unit not in (None, "", "share") and float(value).is_integer()):
        text = f"{int(value):,}"
    elif unit in (None, "", "share") and abs(value) <= 1:
        text = f"{value:.4f}"
    else:
        text = f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return text.replace(",", "\u202f").replace("-", "−")


def interval_text(record: Mapping[str, Any] | None) -> str:
    """The 95 % interval of a record as `0.8800 to 0.9200`, or a dash."""
    if record is None or record.get("low") is None or record.get("high") is None:
        return DASH
    unit = record.get("unit")
    return f"{number(record['low'], unit)} to {number(record['high'], unit)}"


def value_text(record: Mapping[str, Any] | None) -> str:
    """The value of a record, or a dash."""
    return number(record["value"], record.get("unit")) if record else DASH


def support_text(record: Mapping[str, Any]) -> str:
    """What a record was counted on: `134 images in 21 groups`, or a dash."""
    support, groups = record.get("support"), record.get("groups")
    parts = []
    if support is not None:
        parts = [number(support, "count"), record.get("support_unit") or ""]
    if groups is not None:
        parts.append(f"in {number(groups, 'count')} {'group' if groups == 1 else 'groups'}")
    return " ".join(part for part in parts if part) or DASH


def baseline_names(records: Iterable[Mapping[str, Any] | None]) -> list[str]:
    """Names of the trivial baselines that any of the records has, in their order."""
    names: dict[str, None] = {}
    for record in records:
        for name in (record or {}).get("baselines") or {}:
            names.setdefault(name)
    return list(names)


def baseline_label(name: str) -> str:
    """A baseline's name for reading."""
    return BASELINES.get(name, name)


def first_capital(text: str) -> str:
    """The text with a capital at its start; the rest stays as it is."""
    return text[:1].upper() + text[1:]


def baseline_text(record: Mapping[str, Any] | None, name: str) -> str:
    """The value of a trivial baseline beside a record, or a dash."""
    found = ((record or {}).get("baselines") or {}).get(name)
    return number(found, (record or {}).get("unit"))


def device(run: Mapping[str, Any]) -> str:
    """The machine of a run in words: device, processor and cores, as far as they are known."""
    machine = run.get("machine") or {}
    found = run.get("device") or machine.get("device")
    if isinstance(found, Mapping):
        found = found.get("name")
    processor = machine.get("processor")
    cores = machine.get("cores") or run.get("cores")
    parts = [str(found)] if found else []
    if processor and processor != found:
        parts.append(str(processor))
    if cores:
        parts.append(f"{cores} cores")
    return ", ".join(parts) or "machine not recorded"


def minutes(run: Mapping[str, Any]) -> float | None:
    """Minutes that a training took, over all its jobs if it was resumed; None if unknown."""
    training = run.get("training") or {}
    seconds = training.get("training_seconds", run.get("seconds"))
    return None if seconds is None else float(seconds) / 60
