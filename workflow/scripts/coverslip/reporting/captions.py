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
    SUBSET_WORDS,
    find,
    first_capital,
    label,
    number,
    uncertainty,
    value_text,
)


class Numbers:
    """A study's metrics in words; `numbers` in the templates of captions."""

    def __init__(self, metrics: Mapping[str, Any]) -> None:
        self._metrics = metrics

    def has(self, metric: str, subset: str) -> bool:
        """Return whether the metric was computed on the subset."""
        record = find(self._metrics, metric, subset)
        return record is not None and record["value"] is not None

    def value(self, metric: str, subset: str) -> str:
        """Return `**0.90** (95 % CI 0.88 to 0.92)`."""
        record = find(self._metrics, metric, subset)
        return f"**{value_text(record)}**{uncertainty(record)}"

    def say(self, metric: str, subset: str) -> str:
        """Return `IoU on test images: **0.90** (95 % CI 0.88 to 0.92)`."""
        record = find(self._metrics, metric, subset)
        name = first_capital(label(metric, (record or {}).get("class")))
        return f"{name} on {SUBSET_WORDS[subset]} images: {self.value(metric, subset)}"

    def calibration(self, subset: str) -> str:
        """Return a note where temperature scaling made the calibration error larger."""
        before, after = (find(self._metrics, n, subset) for n in ("ece_uncalibrated", "ece"))
        worse = before and after and after["value"] > before["value"]
        return ": **temperature scaling made it worse**" if worse else ""

    def pixels(self, subset: str) -> str:
        """Return the number of pixels in the confusion matrix of a subset, or nothing."""
        confusion = (self._metrics.get("confusion") or {}).get(subset)
        if not confusion:
            return ""
        return number(sum(sum(row) for row in confusion["counts"]), "count")

    @property
    def examples_subset(self) -> str:
        """The subset of the images that are shown, as an adjective."""
        subset = self._metrics.get("examples_subset") or "test"
        return SUBSET_WORDS.get(subset, subset)


def caption(name: str, study: str, numbers: Numbers, templates: Path) -> tuple[str, Markup]:
    """Return title and HTML of a figure's caption, from `<name>.rst` and the study's numbers.

    The title is the bold start of the caption. A figure without a template has its own name.
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
