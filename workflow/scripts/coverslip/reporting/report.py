"""The report: one self-contained page that a scientist opens in a browser, offline.

The page loads nothing: images are data URIs, and its content security policy allows one script,
by its digest. Every number comes from the `metrics.json` and `images.csv` of a study.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from coverslip import __version__
from coverslip.errors import CoverslipError
from coverslip.files import atomic_write
from coverslip.metrics.intervals import MIN_GROUPS
from coverslip.pipeline.paths import METRICS_TABLE
from coverslip.reporting.captions import Numbers, caption
from coverslip.reporting.pages import TEMPLATES, embed_image, render
from coverslip.reporting.results import (
    DASH,
    KINDS,
    Result,
    StudyInputs,
    comparisons,
    device,
    first_capital,
    judge,
    key_result,
    label,
    minutes,
    number,
    plural,
    read_images,
    read_json,
    read_metrics,
    result,
    results,
)
from coverslip.reporting.tables import (
    MODALITIES,
    data_facts,
    dataset_sentence,
    ensemble_scores,
    flat,
    main_metrics,
    run_facts,
    run_title,
    score_tables,
    search_facts,
    split_facts,
)
from coverslip.reporting.thumbnails import thumbnails

IMAGE_BYTES = 300_000

PAGE_BYTES = 25_000_000

LISTED = 300
"""Test images of a study that the page lists with a thumbnail; `images.csv` has all."""

CARD, THUMBNAIL = 300, 96
"""Longest side of the image of a card and of one in a table, in pixels."""

SHOWN = (
    "contours",
    "examples",
    "class_examples",
    "confident_errors",
    "confluency",
    "objects",
    "metrics",
    "class_confusion",
)
"""Figures that are shown at once, in this order; the others can be unfolded."""

INSTANCES, MASKS = SHOWN[:2]
"""Both show the same images; where objects are separated, the first is enough."""

MOST_SHOWN, MOST_OF_SEVERAL = 4, 2
"""Figures that a study shows at once, alone in its section or with others."""

FIGURES = {
    "confluency": ("confluency",),
    "object_count": ("objects",),
    "mean_ap": ("average_precision",),
    "ap": ("average_precision",),
    "f1_50": ("contours",),
    "pq": ("contours",),
    "iou": ("metrics",),
    "accuracy": ("class_confusion",),
    "macro_f1": ("class_report",),
    "ece": ("reliability",),
    "log_loss": ("reliability",),
    "pixel_accuracy": ("confusion",),
}
"""Figures that show a metric, by the start of its name."""

WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

TASKS = {
    "segmentation": "Segmentation",
    "confluency": "Confluency",
    "classification": "Classification",
}

SETTINGS = ("split", "preprocessing", "network", "training", "evaluation", "seeds")

SETTINGS_UNTRAINED = ("split", "model")
"""Of a model that is not trained here."""


def build(
    studies: Sequence[StudyInputs],
    facts: Mapping[str, Any],
    output: Path,
    templates: Path = TEMPLATES,
) -> None:
    """Write the report of all studies of a run as one HTML page of at most 25 MB.

    Args:
        studies: in the order in which they are shown.
        facts: `title`, `command`, `left_out` (what is missing, by study), `referee` (a link to
            the page that compares tools) and `measured` (the page of test images that were
            measured as own images are), all optional.
        output: the page; files are linked relative to it.
        templates: folder of `page.html.j2`, `page.css`, `page.js` and the captions `<figure>.rst`.

    Raises:
        CoverslipError: an input is missing or malformed, or the page is too large.
    """
    if not studies:
        raise CoverslipError("no study to report on; name one in the config under `run`")
    metrics = {study.name: read_metrics(study.metrics) for study in studies}
    runs = {study.name: [read_json(path) for path in study.runs] for study in studies}
    key = {study.name: key_result(study, metrics[study.name]) for study in studies}
    sections = _sections(studies, metrics, runs, output, templates)
    compared = comparisons(studies, metrics)
    headlines = [line for s in studies for line in results(s, metrics[s.name])]
    measured = facts.get("measured") and _link(Path(facts["measured"]), output)
    table = output.with_name(Path(METRICS_TABLE).name)
    pages = (
        ("metrics.csv", table.name if table.is_file() else None),
        ("measured images", measured),
        ("tools compared", facts.get("referee")),
    )
    page = {
        "dash": DASH,
        "title": facts.get("title") or _title(studies),
        "meta": _meta(runs),
        "command": facts.get("command"),
        "left_out": facts.get("left_out") or {},
        "referee": facts.get("referee"),
        "measured": measured,
        "pages": [(words, link) for words, link in pages if link],
        "verdict": _verdict(list(key.values())),
        "warning": _warning(list(key.values())),
        "cards": [_card(s, key[s.name]) for s in sorted(studies, key=lambda s: s.is_reproduction)],
        "comparisons": compared,
        "kinds": {k: n for k, n in KINDS.items() if any(k in line.by_kind for line in compared)},
        "any_reported": any(line.published != DASH for line in compared),
        "headlines": headlines,
        "sections": sections,
        "datasets": _datasets(studies, metrics),
        "definitions": _definitions([*headlines, *(x for s in sections for x in s["lines"])]),
        "titles": {study.name: study.study["title"] for study in studies},
        "figure_of": figure_of,
        "few_groups": MIN_GROUPS,
        "any_published": any(line.published is not None for line in headlines),
    }
    html = render("page.html.j2", page, templates).encode("utf-8")
    if len(html) > PAGE_BYTES:
        raise CoverslipError(
            f"{output}: {len(html) / 1e6:.0f} MB are too many for one page (at most "
            f"{PAGE_BYTES / 1e6:.0f}); name fewer studies in the config under `run`"
        )
    with atomic_write(output) as part:
        part.write_bytes(html)


# --- The first screen


def _title(studies: Sequence[StudyInputs]) -> str:
    if len(studies) == 1:
        return str(studies[0].study["title"])
    datasets = {study.study["dataset"]: study.dataset["title"] for study in studies}
    if len(datasets) == 1:
        return str(next(iter(datasets.values())))
    return f"{_word(len(studies)).capitalize()} studies of {_word(len(datasets))} datasets"


def _word(count: int) -> str:
    return WORDS[count] if count < len(WORDS) else str(count)


def _meta(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return date, version, machine and training time of a run, as far as they are recorded."""
    records = [run for of_study in runs.values() for run in of_study]
    parts = [f"coverslip {__version__}"]
    commits = sorted({str(run["git"])[:7] for run in records if run.get("git")})
    if commits:
        parts[0] += f" ({', '.join(commits)})"
    ended = max((str(run["ended"]) for run in records if run.get("ended")), default="")
    if ended:
        date = datetime.fromisoformat(ended)
        parts.insert(0, f"{date.day} {date:%b %Y, %H:%M} {date.tzname() or ''}".strip())
    machines = list(dict.fromkeys(device(run) for run in records))
    took = [t for t in map(minutes, records) if t is not None]
    if machines:
        parts.append("; ".join(machines))
    if took:
        parts.append(f"{sum(took):.1f} min of training")
    return " · ".join(parts)


JUDGED = {
    "better": "better than the best simple baseline",
    "unclear": "no clear difference, as the 95 % CI includes 0",
    "worse": "worse than a simple baseline",
    "few": "too few groups to tell",
}
"""What the studies are sorted into, see `results.judge`."""


def _verdict(key: Sequence[Result]) -> str:
    """Return how the models compare with their baselines, as far as the 95 % CI supports it."""
    own = [line for line in key if not line.study.is_reproduction]
    judged = {kind: [line for line in own if judge(line.record) == kind] for kind in JUDGED}
    parts = []
    for kind, lines in judged.items():
        count = f"{_word(len(lines))} of {_word(len(own))} models" if len(own) > 1 else "the model"
        names = "; ".join(str(line.study.study["title"]) for line in lines)
        named = f" ({names})" if len(own) > 1 and kind != "better" else ""
        if lines:
            parts.append(f"{count}: {JUDGED[kind]}{named}")
    text = first_capital(". ".join(map(first_capital, parts))) + ("." if parts else "")
    copies = [line for line in key if line.study.is_reproduction]
    if copies:
        text += f" {_word(len(copies)).capitalize()} reproduction"
        text += "s of published protocols are" if len(copies) > 1 else " of a published protocol is"
        text += " folded below, with known issues: do not use the numbers."
    return text.strip()


def _warning(key: Sequence[Result]) -> str:
    """Return the one line about test sets with too few groups; empty where there is none."""
    few = [line for line in key if line.few]
    if not few:
        return ""
    groups = sorted({int((line.record or {})["groups"]) for line in few})
    span = f"{groups[0]} to {groups[-1]}" if len(groups) > 1 else str(groups[0])
    noun = "independent group" if groups[-1] == 1 else "independent groups"
    sets = f"{_word(len(few)).capitalize()} of {_word(len(key))} test sets"
    sets = "The test set" if len(key) == 1 else sets
    shown = "" if groups[-1] == 1 else ", so the value of each group is shown"
    verb = "has" if len(few) == 1 else "have"
    return f"{sets} {verb} only {span} {noun}: too few for a 95 % CI{shown}."


def _card(study: StudyInputs, line: Result) -> dict[str, Any]:
    rows = _test_rows(study, line.subset)
    image = None
    if rows is not None and len(rows):
        middle = _by_score(rows).iloc[[len(rows) // 2]]
        image = next(thumbnails(study, middle, CARD), None)
    found = [] if rows is None else rows["modality"].unique()
    kinds = ", ".join(MODALITIES.get(name, name) for name in found if name)
    count = (line.record or {}).get("support") if rows is None else len(rows)
    images = plural(count or 0, "image")
    return {"study": study, "line": line, "image": image, "kinds": kinds, "images": images}


def _by_score(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.sort_values([c for c in ("iou", "probability", "id") if c in rows][:1] + ["id"])


def _test_rows(study: StudyInputs, subset: str = "test") -> pd.DataFrame | None:
    """Return a row an image of a subset, as the first run predicted it."""
    path = study.metrics.with_name("images.csv")
    if not path.is_file():
        return None
    rows = read_images(path)
    rows = rows[rows["subset"] == subset].sort_values(["fold", "seed"])
    return rows.drop_duplicates("id").sort_values("id")


# --- The sections: studies of one dataset and task are shown in one


def _sections(
    studies: Sequence[StudyInputs],
    metrics: Mapping[str, Mapping[str, Any]],
    runs: Mapping[str, Sequence[Mapping[str, Any]]],
    output: Path,
    templates: Path,
) -> list[dict[str, Any]]:
    count = sum(len(study.figures) for study in studies)
    # Base64 makes three bytes four; the rest of the page is left a fifth of the room.
    limit = min(IMAGE_BYTES, int(PAGE_BYTES * 0.8 * 0.75 / max(count, 1)))
    together: dict[tuple[str, str], list[StudyInputs]] = {}
    for study in studies:
        together.setdefault((study.study["dataset"], study.task), []).append(study)
    sections = []
    for (dataset, task), group in together.items():
        lines = [
            line
            for metric in dict.fromkeys(m for s in group for m in main_metrics(s.study))
            for study in group
            if (line := result(study, metrics[study.name], metric)).record
        ]
        single = group[0].study["title"]
        most = MOST_SHOWN if len(group) == 1 else MOST_OF_SEVERAL
        sections.append(
            {
                "name": f"{dataset}-{task}",
                "title": single
                if len(group) == 1
                else f"{TASKS[task]}: {group[0].dataset['title']}",
                "several": len(group) > 1,
                "lines": lines,
                "studies": [
                    _study(
                        study, metrics[study.name], runs[study.name], limit, most, output, templates
                    )
                    for study in sorted(group, key=lambda study: study.is_reproduction)
                ],
            }
        )
    return sections


def _study(
    study: StudyInputs,
    metrics: Mapping[str, Any],
    runs: Sequence[Mapping[str, Any]],
    limit: int,
    most: int,
    output: Path,
    templates: Path,
) -> dict[str, Any]:
    section, report = study.study, read_json(study.report)
    numbers = Numbers(metrics)
    figures = [
        _figure(path, study, numbers, limit, output, templates) for path in _order_figures(study)
    ]
    drawn = {figure["name"] for figure in figures}
    wanted = [name for name in SHOWN if name in drawn][:most]
    if INSTANCES in wanted and MASKS in wanted:
        wanted = [name for name in SHOWN if name in drawn - {MASKS}][:most]
    shown = [figure for figure in figures if figure["name"] in wanted]
    names = dict(zip(metrics.get("labels") or (), metrics.get("classes") or (), strict=False))
    paths = (path.parent.name for path in study.runs)
    return {
        "inputs": study,
        "question": section.get("question"),
        "source": section.get("source"),
        "other": section.get("compare_with"),
        "shown": shown,
        "folded": [figure for figure in figures if figure not in shown],
        "images": _image_table(study),
        "tables": score_tables(metrics, main_metrics(section)),
        "data": data_facts(report, names),
        "warnings": [str(warning) for warning in report.get("warnings") or []],
        "split": split_facts(read_json(study.split)),
        "search": search_facts(study.search),
        "ensemble": ensemble_scores(study.ensemble, main_metrics(section)),
        "runs": [
            {"title": run_title(run, path), "facts": run_facts(run)}
            for path, run in zip(paths, runs, strict=True)
        ],
        "settings": flat(
            {
                key: section[key]
                for key in (SETTINGS_UNTRAINED if section.get("model") else SETTINGS)
                if key in section
            }
        ),
        "files": _files(study, output),
    }


def _order_figures(study: StudyInputs) -> list[Path]:
    def key(path: Path) -> tuple[int, str]:
        return (SHOWN.index(path.stem) if path.stem in SHOWN else len(SHOWN), path.stem)

    return sorted(study.figures, key=key)


def _figure(
    path: Path, study: StudyInputs, numbers: Numbers, limit: int, output: Path, templates: Path
) -> dict[str, Any]:
    image = embed_image(path, limit)
    title, words = caption(path.stem, study.name, numbers, templates)
    return {
        "name": path.stem,
        "id": f"figure-{study.name}-{path.stem}",
        "title": title,
        "alt": f"{title}, {study.study['title']}",
        "caption": words,
        "source": image.source,
        "tall": image.height > 1.2 * image.width,
        "link": _link(path, output),
        "kind": path.suffix[1:].upper(),
    }


def _link(path: Path, output: Path) -> str:
    return quote(Path(os.path.relpath(path, output.parent)).as_posix())


def _files(study: StudyInputs, output: Path) -> list[dict[str, str]]:
    """Return the files of a study that exist, with the words of their links."""
    home = study.metrics.parent
    files = [
        ("metrics.json", study.metrics),
        ("images.csv (all images)", home / "images.csv"),
        ("split.csv", home / "split.csv"),
        ("notebook", study.notebook or home / "notebook.html"),
        *((f"model {run.parents[1].name}", run.parent / "README.md") for run in study.runs),
    ]
    return [{"words": w, "link": _link(path, output)} for w, path in files if path.is_file()]


# --- The table of all test images


def _image_table(study: StudyInputs) -> dict[str, Any] | None:
    """Return head and rows of the table of test images; None without `images.csv`."""
    rows = _test_rows(study)
    if rows is None or not len(rows):
        return None
    total, rows = len(rows), rows.head(LISTED)
    images: list[dict[str, str] | None] = [*thumbnails(study, rows, THUMBNAIL)]
    images = images or [None] * len(rows)
    columns = {name: cells for name, cells in _columns(study, rows).items() if cells is not None}
    lines = [
        {"id": row.id, "group": row.group, "image": image, "cells": list(cells)}
        for row, image, *cells in zip(rows.itertuples(), images, *columns.values(), strict=True)
    ]
    groups = sorted(rows["group"].unique())
    return {"head": list(columns), "rows": lines, "groups": groups, "total": total}


def _columns(study: StudyInputs, rows: pd.DataFrame) -> dict[str, list[tuple[str, Any]] | None]:
    """Return the cells of each column: what is shown, and what it is sorted by."""

    def numbers(name: str, digits: int | None) -> list[tuple[str, Any]] | None:
        if name not in rows:
            return None
        count = digits is None
        return [
            (number(v, "count" if count else None, digits) if v == v else DASH, v if v == v else "")
            for v in rows[name]
        ]

    if study.task == "classification":
        correct = [("yes", 1) if is_correct else ("no", 0) for is_correct in rows["correct"]]
        return {
            "Annotated": [(name, name) for name in rows["true"]],
            "Predicted": [(name, name) for name in rows["predicted"]],
            "Probability": numbers("probability", 2),
            "Correct": correct,
        }
    if study.task == "confluency":
        return {
            "Annotated, %": numbers("confluency_true", 1),
            "Predicted, %": numbers("confluency_predicted", 1),
            "Error, pp": numbers("confluency_error", 1),
            "IoU": numbers("iou", 2),
            "IoU of Otsu": numbers("otsu_iou", 2),
        }
    error = rows["n_predicted"] - rows["n_true"]
    return {
        "IoU": numbers("iou", 2),
        "IoU of Otsu": numbers("otsu_iou", 2),
        "AP at IoU 0.5": numbers("ap50", 2),
        "Annotated": numbers("n_true", None),
        "Predicted": numbers("n_predicted", None),
        "Count error": [(number(int(v)), int(v)) for v in error],
    }


# --- Datasets and definitions


def _datasets(
    studies: Sequence[StudyInputs], metrics: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    first = {study.study["dataset"]: study for study in reversed(studies)}
    return [
        {
            "title": study.dataset["title"],
            "sentence": dataset_sentence(read_json(study.report)),
            "licence": study.dataset.get("licence") or "not stated",
            "citation": study.dataset.get("citation") or "",
        }
        for study in sorted(first.values(), key=studies.index)
    ]


def _definitions(lines: Sequence[Result]) -> list[dict[str, str]]:
    """Return name and definition of each metric once."""
    return [
        {
            "name": line.metric,
            "label": first_capital(label(line.metric)),
            "text": (line.record or {}).get("definition") or DASH,
        }
        for line in {line.metric: line for line in lines}.values()
    ]


def figure_of(line: Result) -> str:
    """Return the id of the figure that shows a number; empty if there is none."""
    start = max((s for s in FIGURES if line.metric.startswith(s)), key=len, default="")
    drawn = {path.stem for path in line.study.figures}
    name = next((name for name in FIGURES.get(start, ()) if name in drawn), "")
    return f"figure-{line.study.name}-{name}" if name else ""
