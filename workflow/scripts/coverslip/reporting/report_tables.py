"""The report's tables: the studies side by side, and the scores of one study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coverslip.reporting.report_words import best_baseline, gain_texts, known_baselines
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
    support_text,
    value_text,
)

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
    published = [figure["metric"] for figure in section.get("published") or []]
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
    """Value and name of the best trivial answer; of all where there is no best."""
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
            name = f"Scores on {SUBSET_WORDS[subset]} pictures"
            several = len(metrics.get("classes") or ()) > FEW_CLASSES
            together = [r for r in of_subset if not several or r.get("class") is None]
            chosen = [r for m in main for r in together if r["name"] == m] if not tables else []
            if chosen and len(chosen) < len(together):
                tables.append(_table(chosen, name, _scope(subset)))
                together = [r for r in together if r["name"] not in main]
                name = f"All other scores on {SUBSET_WORDS[subset]} pictures"
            tables.append(_table(together, name, _scope(subset)))
            single_classes = [r for r in of_subset if several and r.get("class") is not None]
            if single_classes:
                title = f"Scores of each class on {SUBSET_WORDS[subset]} pictures"
                tables.append(_table(single_classes, title, _scope(subset)))
    if len({r["run"] for r in single}) > 1:
        tables.append(_table(single, "Each training by itself", "One line a training."))
    return tables


def _scope(subset: str) -> str:
    return {
        "test": "On test pictures, held out of training and of every choice in it.",
        "validation": "On validation pictures, by which the weights and the threshold were chosen.",
        "train": "On training pictures: what was learned by heart shows here.",
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
