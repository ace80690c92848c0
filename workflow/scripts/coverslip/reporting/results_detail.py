"""The parts of the page of results that look closer: by fold, by group, and the mean of seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coverslip.evaluation.runs import fold_and_seed
from coverslip.reporting.markdown import table
from coverslip.reporting.report_ensemble import ensemble_scores
from coverslip.reporting.report_tables import main_metrics
from coverslip.reporting.results import (
    HEADLINES,
    StudyInputs,
    baseline_label,
    baseline_text,
    find,
    first_capital,
    interval_text,
    label,
    number,
    value_text,
)

MAIN = "mean_ap"
SCORES = (
    MAIN,
    "ap50_pooled",
    "mean_matched_iou",
    "split_rate",
    "merge_rate",
    "missed_rate",
    "invented_rate",
)
"""Scores of instances that are told by modality and by group; the first with its interval. The
others tell where the loss lies: in outlines, pieces, joined, missed and invented objects."""
PEER = "otsu watershed"
GROUPS = """On test pictures. Intervals of a modality are over its groups, those of a group over its
pictures.
"""
MEAN = """Networks that differ only in their seed, and the mean of their answers, scored on the same
pictures; the gain by the paired bootstrap over groups. Each further network costs a training, and a
prediction of each picture.
"""


def detail(studies: Sequence[StudyInputs], metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Markdown of the parts, without those that have nothing to tell.

    Args:
        studies: in the order of the config.
        metrics: what `metrics.json` of each study holds, by its name.
    """
    folds = [line for study in studies for line in _folds(study, metrics[study.name])]
    groups = [line for study in studies for line in _groups(study, metrics[study.name])]
    parts = []
    if folds:
        width = max(len(line) for line in folds)
        head = ["Study", "Metric", *(f"Fold {fold}" for fold in range(width - 2))]
        filled = [line + [""] * (width - len(line)) for line in folds]
        parts += ["\n## Fold by fold\n", "On the test pictures of each fold.\n"]
        parts += [table(head, filled)]
    if groups:
        titles = [first_capital(label(name)) for name in SCORES]
        head = ["Study", "Modality or group", "Pictures", "Objects", titles[0], "95 % interval"]
        head += [f"The same of {baseline_label(PEER)}", *titles[1:]]
        parts += ["\n## Objects by modality and by group\n", GROUPS, table(head, groups)]
    means = [line for study in studies for line in _mean_of_seeds(study)]
    if means:
        head = ["Study", "Metric", "Of", "Single networks", "95 % interval", "Their mean"]
        head += ["95 % interval", "Gain", "95 % interval"]
        parts += ["\n## The mean of several seeds\n", MEAN, table(head, means)]
    return parts


def _folds(study: StudyInputs, metrics: Mapping[str, Any]) -> list[list[str]]:
    """A line a metric of a study of several folds; of several seeds the first."""
    records = metrics["metrics"]
    runs = sorted({r["run"] for r in records} - {"all"}, key=fold_and_seed)
    first = {fold_and_seed(run)[0]: run for run in reversed(runs)}
    if len(first) < 2:
        return []
    alone = {
        fold: {**metrics, "metrics": [r for r in records if r["run"] == first[fold]]}
        for fold in sorted(first)
    }
    lines = []
    for name in HEADLINES[study.study.get("task") or "segmentation"]:
        found = [find(of_fold, name, "test") for of_fold in alone.values()]
        if any(found):
            lines.append([f"`{study.name}`", label(name), *map(value_text, found)])
    return lines


def _mean_of_seeds(study: StudyInputs) -> list[list[str]]:
    """A line a metric of a study whose ensemble is scored."""
    told = ensemble_scores(study.ensemble, main_metrics(study.study))
    return [
        [f"`{study.name}`", line["label"], line["support"]]
        + [text for key in ("single", "ensemble", "gain") for text in line[key]]
        for line in (told["lines"] if told else [])
    ]


def _groups(study: StudyInputs, metrics: Mapping[str, Any]) -> list[list[str]]:
    lines = []
    for by in ("modality", "group"):
        for record in (metrics.get("instances") or {}).get(by, []):
            if record["subset"] != "test":
                continue
            scores = record["scores"]
            main = scores[MAIN]
            lines.append(
                [
                    f"`{study.name}`",
                    f"all {record[by]}" if by == "modality" else record[by],
                    number(record["pictures"], "count"),
                    number(record["objects_true"], "count"),
                    value_text(main),
                    interval_text(main),
                    baseline_text(main, PEER),
                    *(value_text(scores.get(name)) for name in SCORES[1:]),
                ]
            )
    return lines
