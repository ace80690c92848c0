"""The model card: what a model is, what it was trained on, how good it is, and its limitations.

After Mitchell et al., Model cards for model reporting, FAT* 2019; Markdown with the front matter of
model hubs.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from coverslip import __version__
from coverslip.config.tasks import kind_of_result
from coverslip.files import atomic_write
from coverslip.reporting.pages import TEMPLATES
from coverslip.reporting.results import (
    KINDS,
    SHOWN,
    baseline_label,
    baseline_text,
    find,
    first_capital,
    interval_text,
    label,
    read_metrics,
    support_text,
    uncertainty_note,
    value_text,
)
from coverslip.reporting.tables import leak_text

TEMPLATE = "model_card.md.j2"

MARKUP = str.maketrans({"|": r"\|", "<": "&lt;", ">": "&gt;", "\n": " "})

BY_MODALITY = ("mean_ap", "ap50_pooled", "f1_50_pooled", "pq_pooled", "object_count_ratio")
"""Metrics by kind of image, for models that separate objects."""


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
    facts, parts = (json.loads(path.read_text(encoding="utf-8")) for path in (info, split))
    scores = read_metrics(metrics)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    licence = dataset["licence"]
    # From here on, no text of the config or the data is markup.
    scores, parts, dataset, study = map(_plain, (scores, parts, dataset, study))
    facts = facts | {"classes": _plain(facts["classes"])}
    subset = scores["examples_subset"]
    names = dict(zip(scores.get("labels") or (), scores.get("classes") or (), strict=False))
    counts = [_count(row, names) for row in parts["counts"] if row["fold"] == facts["fold"]]
    text = environment.get_template(TEMPLATE).render(
        version=__version__,
        class_names={each: name for each, name in names.items() if each != name},
        info={"head": "semantic", "instances": None, "kind": "network"} | facts,
        title=study["title"],
        question=study["question"],
        kind=KINDS[kind_of_result({"reproduces": study["reproduces"], "split": parts})].lower(),
        dataset=dataset,
        licence=licence,
        split=parts,
        counts=counts,
        leaks=_leaks(parts),
        subset=subset,
        runs=len(scores["runs"]),
        limits=_limits(study, scores, counts, subset),
        **_scores(scores, subset, SHOWN[study["task"]]),
    )
    with atomic_write(output) as part:
        part.write_text(text.rstrip() + "\n", encoding="utf-8")


def _count(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    strata = {names.get(name, name): count for name, count in row["strata"].items()}
    kinds = ", ".join(f"{count} {name or 'unknown'}" for name, count in strata.items())
    return dict(row) | {"kinds": kinds}


def _leaks(split: Mapping[str, Any]) -> list[str]:
    if not split["leaking"]:
        return ["No group of images is in two subsets."]
    return [f"**{first_capital(text)}.**" for leak in split["leaks"] if (text := leak_text(leak))]


def _scores(scores: Mapping[str, Any], subset: str, wanted: Sequence[str]) -> dict[str, Any]:
    records = [record for name in wanted if (record := find(scores, name, subset))]
    names = list(dict.fromkeys(name for record in records for name in record["baselines"]))
    rows = [
        {
            "label": label(record["name"], record["class"]),
            "value": value_text(record),
            "interval": interval_text(record),
            "baselines": [baseline_text(record, name) for name in names],
            "support": support_text(record),
        }
        for record in records
    ]
    by_modality = [
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
        "by_modality": by_modality,
    }


def _limits(
    study: Mapping[str, Any], scores: Mapping[str, Any], counts: list[dict], subset: str
) -> list[str]:
    """Return what a user should know before trusting the model."""
    limits = list(study["known_issues"])
    names = dict(zip(scores.get("labels") or (), scores.get("classes") or (), strict=False))
    kinds = {row["subset"]: {names.get(k, k) for k in row["strata"]} for row in counts}
    trained, tested = kinds.get("train", set()), kinds.get(subset, set())
    if trained - tested:
        limits.append(f"Never tested on {_join_names(trained - tested)}.")
    if tested - trained:
        limits.append(f"Never trained on {_join_names(tested - trained)}.")
    limits.append(f"Not evaluated on images other than {_join_names(trained | tested)} like these.")
    scored = [r for r in scores["metrics"] if r["subset"] == subset and r["groups"]]
    return limits + ([note] if (note := uncertainty_note(scored[0] if scored else None)) else [])


def _join_names(names: set[str]) -> str:
    return " and ".join(sorted(name or "unknown kinds" for name in names))


def _plain(value: Any) -> Any:
    """Return a JSON value whose texts are neither markup nor the end of a cell in Markdown."""
    if isinstance(value, Mapping):
        return {_plain(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.translate(MARKUP) if isinstance(value, str) else value


EVALUATED = "## Evaluation"

CLASSES = "## Classes"

CELL_END = re.compile(r"(?<!\\)\|")
"""End of a cell of a Markdown table."""


def read_evaluation(folder: Path) -> dict[str, Any] | None:
    """Return title, subset and metrics of the model card in a model folder; None without one.

    The table of metrics is read as `write` has written it.
    """
    try:
        text = (folder / "README.md").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    title = next((line[2:] for line in text.splitlines() if line.startswith("# ")), "")
    evaluation = text.partition(EVALUATED)[2].partition("\n## ")[0]
    subset = evaluation.strip().partition("On ")[2].partition(" images")[0]
    cells = _first_table(evaluation)
    if len(cells) < 3:
        return None
    head, _, *rows = cells
    return {"title": title, "subset": subset, "head": head, "rows": rows}


def read_class_names(folder: Path) -> dict[str, str]:
    """Return the names of the classes, by label, of the model card in a folder, where it has them.

    The table is read as `write` has written it.
    """
    try:
        text = (folder / "README.md").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    rows = _first_table(text.partition(CLASSES)[2].partition("\n## ")[0])[2:]
    plain = [[html.unescape(cell.replace(r"\|", "|")) for cell in row] for row in rows]
    return {row[0]: row[1] for row in plain if len(row) == 2}


def _first_table(text: str) -> list[list[str]]:
    """Return the cells of the first table of a Markdown text."""
    return [
        [cell.strip() for cell in CELL_END.split(line.strip().removeprefix("|").removesuffix("|"))]
        for line in text.partition("\n| ")[2].partition("\n\n")[0].splitlines()
    ]
