"""The report: one self-contained page that a scientist opens in a browser, offline.

The page holds no script and asks the network for nothing: images are data URIs, and its own
content security policy forbids the rest. Every number comes from the `metrics.json` of a study.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coverslip.config.tasks import kind_of_result
from coverslip.errors import CoverslipError
from coverslip.files import atomic_write
from coverslip.reporting.captions import Numbers, caption
from coverslip.reporting.pages import TEMPLATES, embed_image, render
from coverslip.reporting.results import (
    DASH,
    KINDS,
    Row,
    StudyInputs,
    read_json,
    read_metrics,
    rows,
)
from coverslip.reporting.tables import (
    answers,
    data_facts,
    data_warnings,
    dataset_sentence,
    ensemble_scores,
    main_metrics,
    score_tables,
    search_facts,
    split_facts,
)
from coverslip.reporting.text import flat, reading, run_facts, run_title

IMAGE_BYTES = 300_000

PAGE_BYTES = 25_000_000

ORDER = (
    "examples",
    "contours",
    "class_examples",
    "confluency",
    "clusters",
    "metrics",
    "average_precision",
    "objects",
    "class_confusion",
    "class_report",
    "confusion",
    "classification_report",
    "attribution_maps",
    "confident_errors",
    "reliability",
    "learning_curves",
    "search_curves",
    "search_values",
    "network",
)
"""Figures from the image to the machine; others follow by name."""

WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

SETTINGS = ("split", "preprocessing", "network", "training", "evaluation", "seeds")

WIDE = 1.0
"""Figures of this width over height or more may be scrolled sideways on a narrow screen."""


def build(
    studies: Sequence[StudyInputs],
    facts: Mapping[str, str],
    output: Path,
    templates: Path = TEMPLATES,
) -> None:
    """Write the report of all studies of a run as one HTML page of at most 25 MB.

    Args:
        studies: in the order in which they are shown.
        facts: what the page says of itself: `title` and `command`, both optional.
        output: the page; notebooks are linked relative to it.
        templates: folder of `page.html.j2`, `page.css` and the captions `<figure>.rst`.

    Raises:
        CoverslipError: an input is missing or malformed, or the page is too large.
    """
    if not studies:
        raise CoverslipError("no study to report on; name one in the config under `run`")
    metrics = {study.name: read_metrics(study.metrics) for study in studies}
    table = rows(studies, metrics)
    page = {
        "dash": DASH,
        "kinds": KINDS,
        "title": facts.get("title") or "What the images say",
        "command": facts.get("command"),
        "lead": _lead(studies),
        "any_flawed": any(s.study["reproduces"] is not None for s in studies),
        "datasets": _datasets(studies),
        "answers": answers(table),
        "studies": _studies(studies, metrics, table, output, templates),
    }
    html = render("page.html.j2", page, templates).encode("utf-8")
    if len(html) > PAGE_BYTES:
        raise CoverslipError(
            f"{output}: {len(html) / 1e6:.0f} MB are too many for one page (at most "
            f"{PAGE_BYTES / 1e6:.0f}); name fewer studies in the config under `run`"
        )
    with atomic_write(output) as part:
        part.write_bytes(html)


def _lead(studies: Sequence[StudyInputs]) -> str:
    asked = "One study" if len(studies) == 1 else f"{_word(len(studies)).capitalize()} studies"
    datasets = len({study.study["dataset"] for study in studies})
    data = "one set of images" if datasets == 1 else f"{_word(datasets)} sets of images"
    return (
        f"{asked} of {data}. First the results in one table; then, for each study, its scores, "
        "its data, how images were held back for the test, and what the network sees."
    )


def _word(count: int) -> str:
    return WORDS[count] if count < len(WORDS) else str(count)


def _datasets(studies: Sequence[StudyInputs]) -> list[dict[str, Any]]:
    first: dict[str, StudyInputs] = {}
    for study in studies:
        first.setdefault(study.study["dataset"], study)
    return [
        {
            "title": study.dataset["title"],
            "sentence": dataset_sentence(read_json(study.report)),
            "licence": study.dataset.get("licence") or "not stated",
            "citation": study.dataset.get("citation") or "",
        }
        for study in first.values()
    ]


def _studies(
    studies: Sequence[StudyInputs],
    metrics: Mapping[str, Mapping[str, Any]],
    table: Sequence[Row],
    output: Path,
    templates: Path,
) -> list[dict[str, Any]]:
    count = sum(len(study.figures) for study in studies)
    # Base64 makes three bytes four; the rest of the page is left a fifth of the room.
    limit = min(IMAGE_BYTES, int(PAGE_BYTES * 0.8 * 0.75 / max(count, 1)))
    by_name = {study.name: study for study in studies}
    shown = []
    for study in studies:
        section, report = study.study, read_json(study.report)
        numbers = Numbers(metrics[study.name])
        other = by_name.get(section.get("compare_with") or "")
        shown.append(
            {
                "name": study.name,
                "title": section["title"],
                "question": section.get("question"),
                "source": section.get("source"),
                "reproduces": section["reproduces"],
                "kind": kind_of_result(section),
                "known_issues": section.get("known_issues") or [],
                "compare_with": other and {"name": other.name, "title": other.study["title"]},
                "readings": [
                    reading(row, study.name, section["split"]["method"])
                    for row in table
                    if study.name in (row.name, row.repeated_name)
                ],
                "tables": score_tables(metrics[study.name], main_metrics(section)),
                "data": data_facts(report),
                "warnings": data_warnings(report),
                "split": split_facts(read_json(study.split)),
                "search": search_facts(study.search),
                "ensemble": ensemble_scores(study.ensemble, main_metrics(section)),
                "figures": [
                    _figure(path, study, numbers, limit, templates) for path in _ordered(study)
                ],
                "notebook": _notebook(study, numbers, output, templates),
                "runs": _runs(study),
                "settings": flat({key: section[key] for key in SETTINGS if key in section}),
            }
        )
    return shown


def _ordered(study: StudyInputs) -> list[Path]:
    def key(path: Path) -> tuple[int, str]:
        stem = path.stem
        return (ORDER.index(stem) if stem in ORDER else len(ORDER), stem)

    return sorted(study.figures, key=key)


def _figure(
    path: Path, study: StudyInputs, numbers: Numbers, limit: int, templates: Path
) -> dict[str, Any]:
    shown = embed_image(path, limit)
    title, words = caption(path.stem, study.name, numbers, templates)
    return {
        "name": path.stem,
        "title": title,
        "alt": f"{title} of the study {study.study['title']}",
        "caption": words,
        "source": shown.source,
        "wide": shown.width / shown.height >= WIDE,
    }


def _notebook(
    study: StudyInputs, numbers: Numbers, output: Path, templates: Path
) -> dict[str, Any] | None:
    if study.notebook is None:
        return None
    link = Path(os.path.relpath(study.notebook, output.parent)).as_posix()
    return {"link": link, "caption": caption("notebook", study.name, numbers, templates)[1]}


def _runs(study: StudyInputs) -> list[dict[str, Any]]:
    runs = [(path, read_json(path)) for path in study.runs]
    return [
        {"title": run_title(run, path.parent.name), "facts": run_facts(run)} for path, run in runs
    ]
