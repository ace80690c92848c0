"""The page that compares tools on the same test images, and its table `referee.csv`.

Scores and paired differences are from `coverslip.evaluation.referee`; what a tool is, and what it
costs, from `tool.json`, `model.json` and the records of jobs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import numpy as np
import pandas as pd

from coverslip import __version__
from coverslip.data.image_store import ImageStore
from coverslip.data.tables import read_manifest
from coverslip.errors import CoverslipError, join_names
from coverslip.evaluation.predictions import Predictions
from coverslip.evaluation.referee import (
    HEADLINE,
    Comparison,
    Part,
    Score,
    clearly_worse,
    compare,
    image_scores,
    same_images,
    worst_images,
)
from coverslip.evaluation.runs import run_name
from coverslip.files import atomic_write
from coverslip.imaging.intensity import stretch
from coverslip.metrics.definitions import METRICS
from coverslip.metrics.intervals import MIN_GROUPS
from coverslip.metrics.matching import PERCENT, match
from coverslip.reporting.figures.contours import COLOURS, outlined
from coverslip.reporting.figures.style import (
    BLACK,
    GREY,
    SERIES,
    new,
    save,
    styled,
)
from coverslip.reporting.pages import TEMPLATES, embed_image, render
from coverslip.reporting.results import (
    DASH,
    StudyInputs,
    device,
    digits_of,
    first_capital,
    interval_text,
    label,
    number,
    plural,
    read_images,
    read_json,
    read_metrics,
    signed_texts,
    value_text,
)
from coverslip.reporting.thumbnails import data_uri

COLUMNS = (
    "dataset",
    "test_images",
    "study",
    "title",
    "metric",
    "by",
    "part",
    "value",
    "ci_low",
    "ci_high",
    "difference_to_best",
    "difference_ci_low",
    "difference_ci_high",
    "unit",
    "n_images",
    "n_groups",
)
"""Columns of `referee.csv`; `test_images` numbers the sets of test images of a dataset."""

SCORES = (HEADLINE, "mean_ap", "pq_pooled", "object_count_mae", "object_count_ratio")

ERRORS = ("split_rate", "merge_rate", "missed_rate", "spurious_rate")

AGREEING = ("mean_ap", "pq_pooled")
"""Metrics whose best tool is named where it is another one."""

DEFINITIONS = {metric.name: metric for metric in METRICS}

LINES = (*SERIES, GREY, BLACK)

MARKERS = "o^sDvPX*"

WORST, SIDE = 2, 300
"""Worst images that each tool gives, and the longest side of an image on the page in pixels."""

IMAGE_BYTES = 400_000


@dataclass(frozen=True)
class Tool:
    """What a study's model is, and what it costs."""

    facts: Mapping[str, Any]
    """As `tool.json` has it: tool, version, model, licence, training_data, training_data_licence,
    trained_on_split, machine; those that are unknown are absent."""
    seconds_per_megapixel: float | None
    peak_memory_mb: float | None


def build(
    studies: Sequence[StudyInputs],
    facts: Mapping[str, Any],
    output: Path,
    table: Path,
    templates: Path = TEMPLATES,
) -> None:
    """Write the page of all tools of a run, and its table.

    Args:
        studies: those with objects, in the order of the config.
        facts: `title`, `command` and `report` (a link to the report), all optional.
        output: the page.
        table: `referee.csv`.
        templates: folder of `referee.html.j2`, `page.css` and `page.js`.

    Raises:
        CoverslipError: an input is missing or malformed.
    """
    by_name = {study.name: study for study in studies}
    panels, rows, alone = [], [], []
    for dataset in dict.fromkeys(study.study["dataset"] for study in studies):
        tables = {s.name: _test_rows(s) for s in studies if s.study["dataset"] == dataset}
        tables = {name: rows for name, rows in tables.items() if rows is not None}
        for at, names in enumerate(same_images(tables), start=1):
            if len(names) < 2:
                alone.append(by_name[names[0]])
                continue
            comparison = compare({name: tables[name] for name in names})
            tools = {name: read_tool(by_name[name]) for name in names}
            panels.append(_panel(comparison, by_name, tools))
            rows += list(_table_rows(comparison, by_name, tools, dataset, at))
    page = {
        "title": facts.get("title") or "Tools on the same test images",
        "command": facts.get("command"),
        "report": facts.get("report"),
        "panels": panels,
        "alone": [study.study["title"] for study in alone],
        "few_groups": MIN_GROUPS,
        "definitions": [
            (first_capital(label(name)), DEFINITIONS[name].definition)
            for name in (*SCORES, *ERRORS)
        ],
        "colours": COLOURS,
        "dash": DASH,
    }
    with atomic_write(table) as part:
        pd.DataFrame(rows, columns=COLUMNS).to_csv(part, index=False, lineterminator="\n")
    with atomic_write(output) as part:
        part.write_text(render("referee.html.j2", page, templates), encoding="utf-8")


def _test_rows(study: StudyInputs) -> pd.DataFrame | None:
    """Return the test rows of `images.csv`; None without objects or without test images."""
    rows = read_images(study.metrics.with_name("images.csv"))
    rows = rows[rows["subset"] == "test"].reset_index(drop=True)
    return rows if len(rows) and "f1_50" in rows else None


# --- What a tool is, and what it costs


def read_tool(study: StudyInputs) -> Tool:
    """Return what the model of a study is, from the files next to its results."""
    home = study.metrics.parent
    models = [path.parent for path in study.runs]
    info = read_json(models[0] / "model.json")
    kind = info.get("kind")
    if kind in ("labels", "tool"):
        facts = {key: value for key, value in (info.get("tool") or {}).items() if value is not None}
        seconds, pixels = facts.get("seconds"), facts.get("megapixels")
        return Tool(facts, _ratio(seconds, pixels), facts.get("peak_memory_mb"))
    shared = {"tool": "coverslip", "version": __version__, "licence": "MIT"}
    if kind == "baseline":
        records = [read_json(path) for path in study.runs]
        facts = {**shared, "model": info["model"]["method"], "training_data": "none"}
    else:
        records = [
            read_json(path)
            for run in study.runs
            for path in sorted((home / run.parents[1].name / "predictions").glob("*.run.json"))
        ]
        facts = {
            **shared,
            "model": str(info.get("architecture")),
            "training_data": study.dataset["title"],
            "training_data_licence": study.dataset.get("licence"),
            "trained_on_split": True,
        }
    manifest = read_manifest(study.report.parents[1] / "manifest.csv")
    pixels = 0.0
    for run in study.runs:
        with Predictions(_predictions(home, run.parents[1].name)) as predictions:
            sizes = manifest.loc[predictions.ids()]
        pixels += float((sizes["height"] * sizes["width"]).sum()) / 1e6
    seconds = [record["seconds"] for record in records if record.get("seconds") is not None]
    memory = [record["peak_memory_mb"] for record in records if record.get("peak_memory_mb")]
    machines = list(dict.fromkeys(device(record) for record in records))
    return Tool(
        {**facts, "machine": "; ".join(machines)},
        _ratio(sum(seconds) if seconds else None, pixels),
        max(memory, default=None),
    )


def _predictions(home: Path, run: str) -> list[Path]:
    return sorted((home / run / "predictions").glob("*.h5"))


def _ratio(seconds: Any, megapixels: Any) -> float | None:
    return float(seconds) / float(megapixels) if seconds is not None and megapixels else None


TRAINED = {
    True: "the training images of this split",
    False: "other images, or unknown: these test images may be among them",
}


def _facts(tool: Tool) -> dict[str, str]:
    facts = tool.facts
    untrained = facts.get("training_data") == "none"
    memory = tool.peak_memory_mb
    machine = facts.get("machine", DASH)
    return {
        "tool": " ".join(str(facts[key]) for key in ("tool", "version") if key in facts) or DASH,
        "model": str(facts.get("model", DASH)),
        "licence": str(facts.get("licence", DASH)),
        "data": str(facts.get("training_data", DASH)),
        "data_licence": DASH if untrained else str(facts.get("training_data_licence") or DASH),
        "trained": DASH if untrained else TRAINED[facts.get("trained_on_split") is True],
        "seconds": number(tool.seconds_per_megapixel, digits=2),
        "memory": DASH if memory is None else f"{number(memory / 1000, digits=1)} GB",
        "machine": device(facts) if isinstance(machine, Mapping) else str(machine),
    }


# --- The parts of a panel


def _record(metric: str, score: Score, part: Part, unit: str) -> dict[str, Any]:
    """Return a score as a record of `metrics.json`, which `results` puts into words."""
    return {
        "name": metric,
        "value": _none(score.value),
        "ci_low": _none(score.low),
        "ci_high": _none(score.high),
        "groups": part.groups,
        "group_unit": unit,
        "unit": DEFINITIONS[metric].unit,
    }


def _difference(metric: str, score: Score, part: Part) -> str:
    """Return the difference to the best tool with its 95 % CI."""
    difference = {
        "value": _none(score.difference),
        "ci_low": _none(score.difference_low),
        "ci_high": _none(score.difference_high),
        "groups": part.groups,
    }
    record = {"unit": DEFINITIONS[metric].unit, "value": score.value, "groups": part.groups}
    return " ".join(signed_texts(difference, record)).strip()


def _none(value: float) -> float | None:
    return None if np.isnan(value) else value


def _panel(
    comparison: Comparison, by_name: Mapping[str, StudyInputs], tools: Mapping[str, Tool]
) -> dict[str, Any]:
    names, whole = comparison.studies, comparison.whole
    first = by_name[names[0]]
    unit = read_metrics(first.metrics).get("group_unit") or "group"
    titles = {name: str(by_name[name].study["title"]) for name in names}
    few = whole.groups < MIN_GROUPS
    of_groups = [part for part in comparison.parts if part.by == "group"]
    return {
        "id": f"{first.study['dataset']}-{names[0]}",
        "title": first.dataset["title"],
        "facts": f"{plural(whole.images, 'test image')}, "
        f"{plural(whole.n_true, 'annotated object')}, {plural(whole.groups, unit)}; "
        f"{first.kind.lower()}",
        "verdict": verdict(comparison, titles, unit),
        "agreement": agreement(comparison, titles),
        "few": few,
        "leaks": [
            titles[name]
            for name in names
            if tools[name].facts.get("trained_on_split") is not True
            and tools[name].facts.get("training_data") != "none"
        ],
        "lines": [
            {
                "title": titles[name],
                "study": name,
                "marks": _marks(whole.scores[HEADLINE][name], of_groups, name, few),
                "scores": [
                    (
                        value_text(record := _record(metric, score, whole, unit)),
                        _groups_text(metric, name, of_groups, record) if few else _ci(record),
                    )
                    for metric in SCORES
                    for score in (whole.scores[metric][name],)
                ],
                "difference": DASH
                if name == names[0]
                else _difference(HEADLINE, whole.scores[HEADLINE][name], whole),
                "errors": [
                    (value_text(record), _ci(record))
                    for metric in ERRORS
                    for record in (_record(metric, whole.scores[metric][name], whole, unit),)
                ],
                "tool": _facts(tools[name]),
            }
            for name in names
        ],
        "score_heads": [first_capital(label(metric)) for metric in SCORES],
        "error_heads": [first_capital(label(metric)) for metric in ERRORS],
        "modalities": _part_lines(comparison, "modality", unit),
        "groups": _part_lines(comparison, "group", unit),
        "group_unit": unit,
        "titles": [titles[name] for name in names],
        "figure": _figure(comparison, titles, unit),
        "worst": _worst(comparison, by_name),
    }


def _ci(record: Mapping[str, Any]) -> str:
    text = interval_text(record)
    return "" if text == DASH or record["groups"] < MIN_GROUPS else text


def _groups_text(
    metric: str, name: str, of_groups: Sequence[Part], record: Mapping[str, Any]
) -> str:
    """Return the values of few groups; empty for metrics that are not computed by group."""
    values = [_none(part.scores[metric][name].value) for part in of_groups if metric in part.scores]
    known = sorted(value for value in values if value is not None)
    return ", ".join(number(value, record["unit"], digits_of(record)) for value in known)


def _marks(score: Score, of_groups: Sequence[Part], name: str, few: bool) -> dict[str, Any]:
    groups = [part.scores[HEADLINE][name].value for part in of_groups] if few else []
    return {
        "value": score.value,
        "low": _none(score.low),
        "high": _none(score.high),
        "groups": [value for value in groups if not np.isnan(value)],
    }


def _part_lines(comparison: Comparison, by: str, unit: str) -> list[dict[str, Any]]:
    lines = []
    for part in comparison.parts:
        if part.by != by:
            continue
        scores = part.scores[HEADLINE]
        records = [_record(HEADLINE, scores[name], part, unit) for name in comparison.studies]
        best = max(scores.values(), key=lambda score: np.nan_to_num(score.value, nan=-1.0)).value
        lines.append(
            {
                "name": part.name or "unknown",
                "facts": f"{plural(part.images, 'image')}, {plural(part.n_true, 'object')}, "
                f"{plural(part.groups, unit)}",
                "images": part.images,
                "objects": part.n_true,
                "cells": [
                    {
                        "text": value_text(record),
                        "within": _ci(record),
                        "value": "" if record["value"] is None else record["value"],
                        "best": record["value"] == best,
                    }
                    for record in records
                ],
            }
        )
    return lines


def verdict(comparison: Comparison, titles: Mapping[str, str], unit: str) -> str:
    """Return which tool is best on these images, and how sure that is.

    A tool is called better than another where the 95 % CI of the paired difference does not include
    0; with fewer than five groups there is no verdict.
    """
    whole, (best, *others) = comparison.whole, comparison.studies
    scores = whole.scores[HEADLINE]
    value = value_text(_record(HEADLINE, scores[best], whole, unit))
    name = label(HEADLINE)
    if whole.groups < MIN_GROUPS:
        return (
            f"{titles[best]} has the highest {name} ({value}), on {plural(whole.groups, unit)} "
            "only: too few to say whether it is better than the others."
        )
    worse = [study for study in others if clearly_worse(scores[study])]
    unclear = [study for study in others if study not in worse]

    def against(study: str) -> str:
        lead, within = _lead(scores[study], whole)
        return f"{titles[study]} ({lead}{f', 95 % CI {within}' if within else ''})"

    if not unclear:
        return (
            f"{titles[best]} is best on these images: its {name} is {value}, higher than that of "
            f"{join_names([against(study) for study in worse])}."
        )
    text = (
        f"{titles[best]} has the highest {name} ({value}), but no difference was found to "
        f"{join_names([against(study) for study in unclear])}: the 95 % CI of the difference "
        "includes 0."
    )
    if worse:
        text += f" It is better than {join_names([against(study) for study in worse])}."
    return text


def _lead(score: Score, part: Part) -> tuple[str, str]:
    """Return by how much the best tool is ahead of another, and the 95 % CI of that."""
    ahead = {
        "value": -score.difference,
        "ci_low": _none(-score.difference_high),
        "ci_high": _none(-score.difference_low),
        "groups": part.groups,
    }
    record = {"unit": DEFINITIONS[HEADLINE].unit, "value": score.value, "groups": part.groups}
    value, within = signed_texts(ahead, record)
    return value, within.strip("()")


def agreement(comparison: Comparison, titles: Mapping[str, str]) -> str:
    """Return whether other metrics have the same best tool."""
    other = {}
    for metric in AGREEING:
        scores = comparison.whole.scores[metric]
        best = max(scores, key=lambda study: np.nan_to_num(scores[study].value, nan=-1.0))
        if best != comparison.studies[0]:
            other[metric] = best
    if not other:
        return f"{join_names([first_capital(label(m)) for m in AGREEING])} have the same best tool."
    texts = [f"{label(metric)} ({titles[study]})" for metric, study in other.items()]
    return f"Another tool is best by {join_names(texts)}."


# --- Figure and images


def _figure(comparison: Comparison, titles: Mapping[str, str], unit: str) -> str:
    """Return the curves of AP and the differences to the best tool, as a data URI."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "referee.svg"
        _draw(comparison, titles, unit, path)
        return embed_image(path, IMAGE_BYTES).source


@styled
def _draw(comparison: Comparison, titles: Mapping[str, str], unit: str, output: Path) -> None:
    names, whole = comparison.studies, comparison.whole
    figure = new(11.0, 4.4)
    left, right = figure.subplots(1, 2, width_ratios=[1.1, 1])
    for at, name in enumerate(names):
        colour, marker = LINES[at % len(LINES)], MARKERS[at % len(MARKERS)]
        scores = [whole.scores[f"ap{percent}"][name] for percent in PERCENT]
        thresholds = [percent / 100 for percent in PERCENT]
        mean = whole.scores["mean_ap"][name].value
        left.plot(
            thresholds,
            [score.value for score in scores],
            color=colour,
            marker=marker,
            markersize=5,
            label=f"{titles[name]}: {mean:.3f}",
        )
        if at == 0 and whole.groups >= MIN_GROUPS:
            ends = [[score.low for score in scores], [score.high for score in scores]]
            left.fill_between(thresholds, *ends, color=colour, alpha=0.15, linewidth=0)
    left.set(xlim=(0.48, 0.97), ylim=(0, 1.02), xlabel="IoU threshold of a match")
    left.set_ylabel("AP = TP / (TP + FP + FN), mean over images")
    left.set_title("Average precision; band: 95 % CI of the best tool")
    left.legend(loc="best", title="Mean over all ten", title_fontsize=9)
    others = names[1:]
    for at, name in enumerate(others):
        score = whole.scores[HEADLINE][name]
        colour = LINES[(at + 1) % len(LINES)]
        if not np.isnan(score.difference_low):
            span = [score.difference_low, score.difference_high]
            right.plot(span, [at, at], color=colour, linewidth=3, alpha=0.6)
        right.plot([score.difference], [at], color=colour, marker="o", markersize=7)
    right.axvline(0, color=BLACK, linewidth=1)
    right.set(yticks=range(len(others)), yticklabels=[titles[name] for name in others])
    right.set(ylim=(len(others) - 0.5, -0.5), xlabel=f"{label(HEADLINE)}: difference")
    right.set_title(f"Difference to the best tool, over {plural(whole.groups, unit)}")
    right.locator_params(axis="x", nbins=5)
    save(figure, output)


def _worst(comparison: Comparison, by_name: Mapping[str, StudyInputs]) -> list[dict[str, Any]]:
    """Return the worst images of each tool, as all tools segmented them."""
    names = comparison.studies
    ids = worst_images(comparison, WORST)
    first = by_name[names[0]]
    scores = {name: image_scores(comparison, name) for name in names}
    found = []
    with ExitStack() as stack:
        store = stack.enter_context(ImageStore(first.report.parents[1] / "images.h5"))
        opened = {
            name: [
                stack.enter_context(Predictions(_predictions(home, run_name(fold, seed))))
                for home in (by_name[name].metrics.parent,)
                for seed in by_name[name].study["seeds"][:1]
                for fold in range(by_name[name].study["split"]["folds"])
            ]
            for name in names
        }
        of_image = {
            name: {id: predictions for predictions in opened[name] for id in predictions.ids()}
            for name in names
        }
        for id in ids:
            image, truth = stretch(store.image(id)), store.label(id)
            cells = []
            for name in names:
                if id not in of_image[name]:
                    raise CoverslipError(
                        f"{by_name[name].metrics.parent}: contains no prediction of '{id}': remove "
                        "its predictions and run again"
                    )
                label_image = of_image[name][id].instances(id, truth.shape)
                shown = outlined(image, truth, label_image, match(truth, label_image))
                text = f"F1 {number(float(scores[name][id]), digits=2)}"
                cells.append({"image": _uri(shown), "text": text})
            grey = image if image.ndim == 3 else np.repeat(image[:, :, np.newaxis], 3, axis=2)
            found.append({"id": id, "image": _uri(grey), "cells": cells})
    return found


def _uri(pixels: np.ndarray) -> str:
    """Return an image, uint8 HxWx3, at most `SIDE` pixels high and wide, as a data URI."""
    scale = min(1.0, SIDE / max(pixels.shape[:2]))
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)[:, :, ::-1]
    return data_uri(".jpg", small, cv2.IMWRITE_JPEG_QUALITY, 88)


# --- The table


def _table_rows(
    comparison: Comparison,
    by_name: Mapping[str, StudyInputs],
    tools: Mapping[str, Tool],
    dataset: str,
    images: int,
) -> list[dict[str, Any]]:
    rows = []
    heads = {
        name: {
            "dataset": dataset,
            "test_images": images,
            "study": name,
            "title": by_name[name].study["title"],
        }
        for name in tools
    }
    for part in (comparison.whole, *comparison.parts):
        for metric, scores in part.scores.items():
            for name, score in scores.items():
                low, high = (None, None)
                if part.by != "group" and name != comparison.studies[0]:
                    low, high = score.difference_low, score.difference_high
                rows.append(
                    {
                        **heads[name],
                        "metric": metric,
                        "by": part.by,
                        "part": part.name,
                        "value": round(score.value, 6),
                        "ci_low": None if part.by == "group" else round(score.low, 6),
                        "ci_high": None if part.by == "group" else round(score.high, 6),
                        "difference_to_best": round(score.difference, 6),
                        "difference_ci_low": None if low is None else round(low, 6),
                        "difference_ci_high": None if high is None else round(high, 6),
                        "unit": DEFINITIONS[metric].unit,
                        "n_images": part.images,
                        "n_groups": part.groups,
                    }
                )
    for name, tool in tools.items():
        for metric, value, unit in (
            ("seconds_per_megapixel", tool.seconds_per_megapixel, "s"),
            ("peak_memory_mb", tool.peak_memory_mb, "MB"),
        ):
            if value is not None:
                rows.append(
                    {
                        **heads[name],
                        "metric": metric,
                        "by": "all",
                        "part": "",
                        "value": round(float(value), 4),
                        "unit": unit,
                        "n_images": comparison.whole.images,
                        "n_groups": comparison.whole.groups,
                    }
                )
    return rows
