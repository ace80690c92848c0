"""A model card: what a model is, what it was trained on, how good it is and where it is not.

After Mitchell et al., Model cards for model reporting, FAT* 2019; Markdown with the head that model
hubs read.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from coverslip import __version__
from coverslip.config.tasks import kind_of_result
from coverslip.files import atomic_write
from coverslip.reporting.pages import TEMPLATES
from coverslip.reporting.results import (
    baseline_label,
    baseline_text,
    find,
    interval_text,
    label,
    value_text,
)

TEMPLATE = "model_card.md.j2"

MASKS = ("iou", "iou_pooled", "dice", "mean_ap", "ap50", "f1_50", "object_count_ratio")

CONFLUENCY = ("confluency_rmse", "confluency_mae", "confluency_bias", "iou", "dice")

CLASSES = ("accuracy", "macro_f1", "balanced_accuracy", "log_loss", "ece")

METRICS = {"segmentation": MASKS, "confluency": CONFLUENCY, "classification": CLASSES}
"""Metrics of the card by the task of the study, those that it has."""

BY_MODALITY = ("mean_ap", "ap50_pooled", "f1_50_pooled", "pq_pooled", "object_count_ratio")
"""Metrics told by kind of image, for models that separate objects."""

FEW_GROUPS = 10
"""With fewer groups the bootstrap's intervals are too narrow (docs/method.md)."""


def write(
    info: Path,
    metrics: Path,
    split: Path,
    dataset: Mapping[str, Any],
    study: Mapping[str, Any],
    output: Path,
) -> None:
    """Write the card of a model folder.

    Args:
        info: its `model.json`.
        metrics: `metrics.json` of the study.
        split: `split.json` of the study.
        dataset: title, licence and citation of the data.
        study: title, question, task, reproduces and known_issues of the study.
        output: the Markdown file.
    """
    facts, scores, parts = (
        json.loads(path.read_text(encoding="utf-8")) for path in (info, metrics, split)
    )
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    subset = scores["examples_subset"]
    counts = [_count(row) for row in parts["counts"] if row["fold"] == facts["fold"]]
    text = environment.get_template(TEMPLATE).render(
        version=__version__,
        info={"head": "semantic", "instances": None, "kind": "network"} | facts,
        title=study["title"],
        question=study["question"],
        kind=kind_of_result({"reproduces": study["reproduces"], "split": parts}),
        dataset=dataset,
        licence=dataset["licence"],
        split=parts,
        counts=counts,
        leaks=_leaks(parts),
        subset=subset,
        runs=len(scores["runs"]),
        limits=_limits(study, scores, counts, subset),
        **_scores(scores, subset, METRICS[study["task"]]),
    )
    with atomic_write(output) as part:
        part.write_text(text.rstrip() + "\n", encoding="utf-8")


def _count(row: Mapping[str, Any]) -> dict[str, Any]:
    kinds = ", ".join(f"{count} {name or 'unknown'}" for name, count in row["strata"].items())
    return dict(row) | {"kinds": kinds}


def _leaks(split: Mapping[str, Any]) -> list[str]:
    if not split["leaking"]:
        return ["No group of images stands in two subsets."]
    leaks = split["leaks"]
    groups, pairs = (sum(leak[key] for leak in leaks) for key in ("groups", "pairs"))
    return [
        f"**{groups} groups and {pairs} pairs of duplicates or neighbouring tiles stand in two "
        "subsets: the scores below flatter.**"
    ]


def _scores(scores: Mapping[str, Any], subset: str, wanted: Sequence[str]) -> dict[str, Any]:
    records = [record for name in wanted if (record := find(scores, name, subset))]
    names = list(dict.fromkeys(name for record in records for name in record["baselines"]))
    rows = [
        {
            "label": label(record["name"], record["class"]),
            "value": value_text(record),
            "interval": interval_text(record),
            "baselines": [baseline_text(record, name) for name in names],
        }
        for record in records
    ]
    told = [
        {
            "modality": row["modality"] or "unknown",
            "images": row["images"],
            "columns": [label(name) for name in BY_MODALITY],
            "cells": [value_text(row["scores"][name]) for name in BY_MODALITY],
        }
        for row in (scores.get("instances") or {}).get("modality", [])
        if row["subset"] == subset
    ]
    return {
        "metrics": rows,
        "baselines": [baseline_label(name) for name in names],
        "by_modality": told,
    }


def _limits(
    study: Mapping[str, Any], scores: Mapping[str, Any], counts: list[dict], subset: str
) -> list[str]:
    """What a user should know before trusting the model."""
    limits = list(study["known_issues"])
    seen = {row["subset"]: set(row["strata"]) for row in counts}
    trained, tested = seen.get("train", set()), seen.get(subset, set())
    if trained - tested:
        limits.append(f"Never tested on {_listed(trained - tested)}.")
    if tested - trained:
        limits.append(f"Never trained on {_listed(tested - trained)}.")
    limits.append(f"Nothing is known of other images than {_listed(trained | tested)} like these.")
    groups = max((record["groups"] for record in scores["metrics"]), default=0)
    if groups < FEW_GROUPS:
        limits.append(f"The intervals are over {groups} groups, which makes them too narrow.")
    return limits


def _listed(names: set[str]) -> str:
    return " and ".join(sorted(name or "unknown kinds" for name in names))
