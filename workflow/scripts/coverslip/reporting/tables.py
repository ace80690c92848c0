"""Tables of the report: datasets, splits, metrics, ensembles and searches."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coverslip.errors import CoverslipError
from coverslip.reporting.results import (
    DASH,
    SUBSET_WORDS,
    SUBSETS,
    Row,
    baseline_label,
    baseline_names,
    baseline_text,
    first_capital,
    interval_text,
    label,
    number,
    read_json,
    support_text,
    value_text,
)
from coverslip.reporting.text import (
    HIGHER_IS_BETTER,
    LOWER_IS_BETTER,
    Fact,
    best_baseline,
    compared,
    gain_texts,
    known_baselines,
    signed_texts,
)

SHOWN = 4
"""So many kinds of a property are told one by one."""

GROUPS = {
    "image": "each image on its own, less duplicates",
    "filename": "taken from the names of the images",
    "acquisition": "derived from size, modality and likeness",
    "metadata": "wells, as the names of the files tell",
    "overlap": "images with a common area, pixel by pixel",
}

SPLITS = {
    "random": "at random, image by image",
    "grouped": "by whole groups: what was taken together stays together",
    "archive_order": "in the order of the archive",
    "official": "the archive's own folder of test images, validation by whole groups",
    "file": "from a table",
}


def dataset_sentence(report: Mapping[str, Any]) -> str:
    """A dataset in one sentence: images, kinds, objects, groups, as far as they were counted."""
    parts = [f"{_count(report.get('images'))} images"]
    if report.get("modalities"):
        parts[0] += f" ({_kinds(report['modalities'])})"
    total = (report.get("objects") or {}).get("total")
    if total:
        parts.append(f"{_count(total)} objects with a known outline")
    groups = (report.get("groups") or {}).get("count")
    if groups:
        parts.append(f"{_count(groups)} groups of images that belong together")
    return "; ".join(parts) + "."


def data_facts(report: Mapping[str, Any]) -> list[Fact]:
    """What the check of a dataset counted, in the order in which a biologist asks."""
    facts = [Fact("Images", _count(report.get("images")))]
    for key, name in (
        ("modalities", "Kind"),
        ("classes", "Classes"),
        ("sizes", "Height x width"),
        ("dtypes", "Data type"),
        ("channels", "Channels"),
    ):
        if report.get(key):
            facts.append(Fact(name, _kinds(report[key])))
    objects = report.get("objects") or {}
    if objects.get("total"):
        facts.append(
            Fact(
                "Objects",
                f"{_count(objects['total'])} in all; per image {_spread(objects)}; "
                f"{_count(objects.get('images without'))} images without any",
            )
        )
    masked = has_masks(report)
    if report.get("foreground") and masked:
        facts.append(Fact("Foreground", f"{_spread(report['foreground'], percent=True)}"))
    if report.get("diameter") and masked:
        facts.append(Fact("Diameter of objects", f"{_spread(report['diameter'])} pixels"))
    return facts + _data_doubts(report)


def _data_doubts(report: Mapping[str, Any]) -> list[Fact]:
    facts = []
    groups = report.get("groups") or {}
    if groups:
        how = GROUPS.get(str(groups.get("method")), str(groups.get("method", DASH)))
        text = f"{_count(groups.get('count'))}, {how}; the largest has {_count(groups.get('max'))}"
        facts.append(Fact("Groups", f"{text} images"))
    if report.get("duplicates"):
        facts.append(Fact("Pairs of duplicates", _kinds(report["duplicates"])))
    if report.get("masks") and has_masks(report):
        facts.append(Fact("Masks", _kinds(report["masks"])))
    facts += [Fact("Fault", fault, bad=True) for fault in report.get("faults") or []]
    return facts


def has_masks(report: Mapping[str, Any]) -> bool:
    """Whether a dataset is about masks, and not about the classes of images alone."""
    return bool((report.get("objects") or {}).get("total")) or not report.get("classes")


def data_warnings(report: Mapping[str, Any]) -> list[str]:
    """What the check noticed without stopping the run, one line each."""
    return [str(warning) for warning in report.get("warnings") or []]


def split_facts(split: Mapping[str, Any]) -> list[Fact]:
    """How the images were divided, the sizes of the subsets, and what leaks between them."""
    method = split.get("method")
    drawn = SPLITS.get(str(method), str(method or DASH))
    if split.get("stratify") not in (None, "none"):
        drawn += f", with like shares of each {split['stratify']}"
    facts = [Fact("Drawn", drawn), Fact("Seed", number(split.get("seed")))]
    several = (split.get("folds") or 1) > 1
    for count in split.get("counts") or []:
        name = SUBSET_WORDS.get(count["subset"], count["subset"]).capitalize()
        groups = "group" if count.get("groups") == 1 else "groups"
        told = f"{_count(count['images'])} images in {_count(count.get('groups'))} {groups}"
        if count.get("share") is not None:
            told += f" ({count['share']:.0%})"
        facts.append(Fact(f"Fold {count['fold']}, {name.lower()}" if several else name, told))
    if split.get("unlabelled"):
        facts.append(Fact("Without a class", f"{_count(split['unlabelled'])} images"))
    leaks = split.get("leaks") or []
    for fold, leak in enumerate(leaks):
        label = f"Leaks, fold {fold}" if len(leaks) > 1 else "Leaks"
        facts.append(_leak(label, leak))
    return facts


def _leak(label: str, leak: Mapping[str, Any]) -> Fact:
    groups, pairs = leak.get("groups") or 0, leak.get("pairs") or 0
    if not groups and not pairs:
        return Fact(label, "none: no group and no pair of duplicates stands in two subsets")
    text = (
        f"{_count(groups)} groups and {_count(pairs)} pairs of duplicates stand in two subsets, so "
        "the scores of this study are too good"
    )
    if leak.get("relatives"):
        text += f": {leak['relatives']:.1%} of the test images have one of their group in training"
    return Fact(label, text, bad=True)


def _count(value: Any) -> str:
    return number(value, "count")


def _kinds(counts: Mapping[str, Any]) -> str:
    """`fluorescence 541, histology 108`; kinds beyond the first few are only counted."""
    kinds: Sequence[tuple[str, Any]] = list(counts.items())
    told = ", ".join(f"{kind}: {_count(count)}" for kind, count in kinds[:SHOWN])
    more = len(kinds) - SHOWN
    return told + (f" and {more} more" if more > 0 else "")


def _spread(values: Mapping[str, Any], percent: bool = False) -> str:
    """`median 32 (most between 5 and 120)`."""

    def told(value: Any) -> str:
        if value is None:
            return DASH
        return f"{value:.1%}" if percent else f"{value:.3g}" if value < 1000 else _count(value)

    low, middle, high = (told(values.get(key)) for key in ("p5", "median", "p95"))
    return f"median {middle} (nine of ten between {low} and {high})"


# --- What the report says of an ensemble beside its single networks (`ensemble/scores.json`)

FORMAT = 1

ENSEMBLE_FEW_CLASSES = 2
"""With more classes than this, what is told of each of them is left to `scores.json`."""


def ensemble_scores(path: Path | None, main: Sequence[str]) -> dict[str, Any] | None:
    """Single networks against their ensemble, for the report; None for a study without one.

    Args:
        path: `scores.json` of the study, if it has any.
        main: names of the metrics that the study is told by; all others are left to the file.

    Returns:
        `lead` (a sentence on cost), `verdict` (one on the first metric), `settled`, and `lines`,
        each with `label`, `support`, and value and interval of `single`, `ensemble` and `gain`, as
        text.

    Raises:
        CoverslipError: the file is missing or has another format.
    """
    if path is None:
        return None
    told = read_json(path)
    if told.get("format") != FORMAT or not isinstance(told.get("metrics"), list):
        raise CoverslipError(f"{path}: not scores of format {FORMAT}; delete it and run again")
    chosen = _chosen(told["metrics"], main)
    seeds, folds = len(told["seeds"]), len(told["folds"])
    where = "" if folds == 1 else f", of each of {folds} folds for itself"
    subset = SUBSET_WORDS[chosen[0]["subset"]] if chosen else "test"
    return {
        "lead": f"The answers of the {seeds} networks that differ only in their seed are averaged"
        f"{where}, and scored on the same {subset} images as each of them. That costs "
        f"{told['cost']}.",
        "verdict": _verdict(chosen[0]) if chosen else "",
        "settled": told["settled"],
        "caption": f"On {subset} images, which no network was trained on"
        + (
            "; below each value its 95 % interval."
            if any(record["gain"]["low"] is not None for record in chosen)
            else "."
        ),
        "lines": [_ensemble_line(record) for record in chosen],
    }


def _chosen(records: Sequence[Mapping[str, Any]], main: Sequence[str]) -> list[Mapping[str, Any]]:
    """The records of these metrics, in their order, of the first subset that has any."""
    several = len({record["class"] for record in records} - {None}) > ENSEMBLE_FEW_CLASSES
    for subset in SUBSETS:
        of_subset = [r for r in records if r["subset"] == subset]
        found = [
            record
            for name in main
            for record in of_subset
            if record["name"] == name and (not several or record["class"] is None)
        ]
        if found:
            return found
    return []


def _ensemble_line(record: Mapping[str, Any]) -> dict[str, Any]:
    unit = record["unit"]
    cells = {key: record[key] | {"unit": unit} for key in ("single", "ensemble")}
    shown = {key: (value_text(cell), interval_text(cell)) for key, cell in cells.items()}
    shown["gain"] = signed_texts(record["gain"], unit)
    return {
        "label": first_capital(label(record["name"], record["class"])),
        "support": support_text(record),
        **shown,
    }


def _verdict(record: Mapping[str, Any]) -> str:
    """Whether the ensemble is better by the metric that the study is told by first."""
    gain = record["gain"]
    if gain["value"] is None or record["name"] not in HIGHER_IS_BETTER | LOWER_IS_BETTER:
        return ""
    told = compared(record["name"], gain, record["unit"])
    return f"By {label(record['name'], record['class'])}, the ensemble is {told}"


# --- What the report says of a search (`search/search.json`)

METRICS = {"loss": "loss", "accuracy": "accuracy", "iou": "IoU"}
"""Names of what trials are ranked by, for reading."""


def search_facts(summary: Path | None) -> list[Fact]:
    """What a search tried and chose, for the report; empty for a study without one."""
    if summary is None:
        return []
    told = json.loads(Path(summary).read_text(encoding="utf-8"))
    rungs = told["rungs"]
    steps = ", then ".join(f"{rung['trials']} to epoch {rung['epochs']}" for rung in rungs)
    facts = [
        Fact("Trials", steps),
        Fact("Ranked by", f"validation {METRICS[told['metric']]}"),
    ]
    for key, values in told["space"].items():
        facts.append(Fact(f"Tried: {key}", _range(values)))
    for fold, best in told["chosen"].items():
        where = f", fold {fold}" if len(told["chosen"]) > 1 else ""
        values = ", ".join(f"{key} = {value}" for key, value in best["values"].items())
        facts.append(
            Fact(f"Chosen{where}", f"{values} ({METRICS[told['metric']]} {best['score']:.4f})")
        )
    return facts


def _range(values: dict[str, Any]) -> str:
    if values["choices"] is not None:
        return ", ".join(map(str, values["choices"]))
    scale = ", on a logarithmic scale" if values["log"] else ""
    return f"{values['low']} to {values['high']}{scale}"


# --- The report's tables: the studies side by side, and the scores of one study

MAIN = {
    "segmentation": (
        "iou",
        "iou_pooled",
        "mean_ap",
        "ap50_pooled",
        "f1_50_pooled",
        "pq_pooled",
        "object_count_ratio",
        "pixel_accuracy",
    ),
    "confluency": (
        "confluency_rmse",
        "confluency_mae",
        "confluency_bias",
        "confluency_group_rmse",
        "confluency_true",
        "iou",
        "pixel_accuracy",
    ),
    "classification": ("accuracy", "macro_f1", "balanced_accuracy", "log_loss", "ece"),
}
"""What a study is told by first, by its task; all else can be unfolded."""

FEW_CLASSES = 2
"""With more classes than this, what is told of each of them has a table of its own."""

STRIP = (2.0, 148.0)
"""Offset and length of the strip from 0 to 1, in units of its view box."""


def main_metrics(section: Mapping[str, Any]) -> list[str]:
    """The metrics that a study is told by first: those of its task, and what was published."""
    published = [figure["metric"] for figure in section.get("reported_results") or []]
    return list(dict.fromkeys([*MAIN[section.get("task") or "segmentation"], *published]))


def answers(table: Sequence[Row]) -> dict[str, Any]:
    """The table of studies: its lines in words, by pair of studies."""
    parts: dict[tuple[str | None, str], dict[str, Any]] = {}
    for row in table:
        other = row.repeated_name not in (None, row.name)
        repeats = {"name": row.repeated_name, "title": row.repeated_title} if other else None
        head: dict[str, Any] = {
            "name": row.name,
            "title": row.title,
            "repeats": repeats,
            "lines": [],
        }
        part = parts.setdefault((row.repeated_name, row.name), head)
        part["lines"].append(_line(row))
    return {"parts": list(parts.values())}


def _line(row: Row) -> dict[str, Any]:
    return {
        "label": first_capital(label(row.metric, row.class_name)),
        "published": number(row.published),
        "published_on": f"on {SUBSET_WORDS[row.subset]}" if row.published is not None else "",
        "repeated": value_text(row.repeated),
        "repeated_on": _on(row.repeated),
        "honest": value_text(row.honest),
        "honest_on": _on(row.honest),
        "interval": interval_text(row.ours),
        "interval_of": "of ours, as published" if row.ours and not row.honest else "",
        "trivial": _trivial(row),
        "gain": gain_texts(row.metric, row.ours),
        "marks": _marks(row),
    }


def _trivial(row: Row) -> list[dict[str, str]]:
    """Value and name of the best baseline; of all where there is no best."""
    known = known_baselines(row.ours)
    best = best_baseline(row.metric, known)
    return [
        {"value": baseline_text(row.ours, name), "name": baseline_label(name)}
        for name in ([best] if best else known)
    ]


def _on(record: Mapping[str, Any] | None) -> str:
    return f"on {SUBSET_WORDS[record['subset']]}" if record else ""


def _marks(row: Row) -> dict[str, Any] | None:
    """Places in the strip from 0 to 1, or None where a number does not lie between them."""
    record = row.ours or {}
    baselines = list(known_baselines(record).values())
    repeated, honest = row.repeated and row.repeated["value"], row.honest and row.honest["value"]
    low, high = record.get("low"), record.get("high")
    if low is None or high is None:
        low = high = None
    values: list[Any] = [row.published, repeated, honest, low, high, *baselines]
    known = [v for v in values if v is not None]
    if not known or not all(0 <= v <= 1 for v in known):
        return None
    offset, length = STRIP
    places = [None if v is None else round(offset + length * v, 1) for v in values]
    names = ("published", "repeated", "honest", "low", "high")
    return dict(zip(names, places, strict=False)) | {"baselines": places[len(names) :]}


def score_tables(metrics: Mapping[str, Any], main: Sequence[str] = ()) -> list[dict[str, Any]]:
    """One table of scores a subset, test first; then one of the single trainings.

    Of the first subset, the metrics `main` come first in a table of their own.
    """
    records = metrics["metrics"]
    whole = [r for r in records if r.get("run", "all") == "all"]
    single = [r for r in records if r.get("run", "all") != "all"]
    if not whole:
        whole, single = single, []
    tables: list[dict[str, Any]] = []
    for subset in SUBSETS:
        of_subset = [r for r in whole if r["subset"] == subset]
        if of_subset:
            name = f"Scores on {SUBSET_WORDS[subset]} images"
            several = len(metrics.get("classes") or ()) > FEW_CLASSES
            together = [r for r in of_subset if not several or r.get("class") is None]
            chosen = [r for m in main for r in together if r["name"] == m] if not tables else []
            if chosen and len(chosen) < len(together):
                tables.append(_table(chosen, name, _scope(subset)))
                together = [r for r in together if r["name"] not in main]
                name = f"All other scores on {SUBSET_WORDS[subset]} images"
            tables.append(_table(together, name, _scope(subset)))
            single_classes = [r for r in of_subset if several and r.get("class") is not None]
            if single_classes:
                title = f"Scores of each class on {SUBSET_WORDS[subset]} images"
                tables.append(_table(single_classes, title, _scope(subset)))
    if len({r["run"] for r in single}) > 1:
        tables.append(_table(single, "Each training by itself", "One line a training."))
    return tables


def _scope(subset: str) -> str:
    return {
        "test": "On test images, held out of training and of every choice in it.",
        "validation": "On validation images, by which the weights and the threshold were chosen.",
        "train": "On training images: what was overfits shows here.",
    }[subset]


def _table(records: Sequence[Mapping[str, Any]], summary: str, caption: str) -> dict[str, Any]:
    names = baseline_names(records)
    lines, defined = [], set()
    single = any(r.get("run", "all") != "all" for r in records)
    for record in records:
        name = label(record["name"], record.get("class"))
        if single:
            name += f", {record['run']}, {SUBSET_WORDS[record['subset']]}"
        definition = record.get("definition") or ""
        lines.append(
            {
                "label": first_capital(name),
                "definition": "" if record["name"] in defined else definition,
                "value": value_text(record),
                "interval": interval_text(record),
                "no_interval": _why_none(record),
                "baselines": [baseline_text(record, n) for n in names],
                "support": support_text(record),
            }
        )
        defined.add(record["name"])
    titles = [first_capital(baseline_label(name)) for name in names]
    return {"summary": summary, "caption": caption, "baselines": titles, "lines": lines}


def _why_none(record: Mapping[str, Any]) -> str:
    reason = record.get("interval_reason") or ""
    return reason if interval_text(record) == DASH else ""
