"""Captions of figures: reStructuredText templates filled from the metrics of a study.

The same templates serve Snakemake's own report, which knows the names but not the numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from docutils.core import publish_parts
from docutils.writers.html5_polyglot import Writer
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from coverslip.reporting.results import (
    DASH,
    SUBSET_WORDS,
    find,
    interval_text,
    label,
    number,
    value_text,
)

LONGEST_ID = 16
"""Longer names of images, such as digests, are cut short in a caption."""


class Numbers:
    """What a caption may say of a study's metrics; `numbers` in the templates of captions."""

    def __init__(self, metrics: Mapping[str, Any]) -> None:
        self._metrics = metrics

    def has(self, metric: str, subset: str) -> bool:
        """Whether the metric was computed on the subset."""
        return find(self._metrics, metric, subset) is not None

    def say(self, metric: str, subset: str) -> str:
        """`IoU on the test images is **0.9012** (95 % interval 0.88 to 0.92)`."""
        record = find(self._metrics, metric, subset)
        if record is None:
            return DASH
        name, value, low_high = (
            label(metric, record.get("class")),
            value_text(record),
            interval_text(record),
        )
        told = "" if low_high == DASH else f" (95 % interval {low_high})"
        return f"{name} on the {SUBSET_WORDS[subset]} images is **{value}**{told}"

    def pixels(self, subset: str) -> str:
        """Number of pixels in the confusion matrix of a subset, empty where there is none."""
        confusion = (self._metrics.get("confusion") or {}).get(subset)
        if not confusion:
            return ""
        return number(sum(sum(row) for row in confusion["counts"]), "count")

    @property
    def examples_subset(self) -> str:
        """The subset that the panels are drawn from, as an adjective."""
        subset = self._metrics.get("examples_subset") or "test"
        return SUBSET_WORDS.get(subset, subset)

    @property
    def panels(self) -> list[tuple[str, list[str]]]:
        """Kinds of panels (best, median, worst, draw) and the ids of their images, cut short."""
        panels = self._metrics.get("examples") or {}
        listed = {kind: [ids] if isinstance(ids, str) else ids for kind, ids in panels.items()}
        return [(kind, [_short(str(id)) for id in ids]) for kind, ids in listed.items() if ids]


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_ID else f"{name[: LONGEST_ID - 4]}…"


def caption(name: str, study: str, numbers: Numbers, templates: Path) -> tuple[str, Markup]:
    """Title and HTML of a figure's caption, from `<name>.rst` filled with the study's numbers.

    The title is what the caption begins with in bold. A figure without a template is called by
    its name.
    """
    path = templates / f"{name}.rst"
    title = name.replace("_", " ").capitalize()
    if not path.is_file():
        return title, Markup("<p><strong>{}.</strong></p>").format(title)
    environment = Environment(trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    job = SimpleNamespace(wildcards={"study": study}, params={}, input=[])
    text = environment.from_string(path.read_text(encoding="utf-8")).render(
        snakemake=job, numbers=numbers
    )
    bold = re.match(r"\s*\*\*(.+?)\.?\*\*", text)
    settings = {"raw_enabled": False, "file_insertion_enabled": False, "report_level": 5}
    parts = publish_parts(text, writer=Writer(), settings_overrides=settings)
    return bold[1] if bold else title, Markup(parts["body"])
