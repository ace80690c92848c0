"""The classification report as a table with colours, whatever is counted: pixels or images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes

from coverslip.reporting.figures import FigureInputs
from coverslip.reporting.figures.style import GREY, SUBSETS, heading, new, save, shorten, thousands
from coverslip.reporting.results import baseline_text, interval_text, limits, value_text

COLUMNS = {"precision": "Precision", "recall": "Recall", "f1": "F1"}

Row = tuple[str, list[tuple[dict[str, Any] | None, str]], str]


@dataclass(frozen=True)
class Table:
    """What a classification report is about."""

    title: str
    unit: str
    """What is counted: `pixels` or `images`."""
    accuracy: str
    """Name of the metric that is their accuracy."""
    baseline: str
    """Baseline that is compared with each value."""
    baseline_words: str

    @property
    def summary(self) -> dict[str, dict[str, str]]:
        """Rows below the classes: the metric of each column."""
        mean = {"precision": "macro_precision", "recall": "balanced_accuracy", "f1": "macro_f1"}
        return {"Mean of classes": mean, f"All {self.unit}": {"f1": self.accuracy}}


def draw_table(table: Table, inputs: FigureInputs, output: Path) -> None:
    """Draw a row a class; value, 95 % CI and the baseline's value in each cell."""
    lines = rows(table, inputs)
    figure = new(8.2, 1.7 + 0.62 * len(lines))
    heading(figure, f"{table.title}, {SUBSETS[inputs.subset]} images", inputs)
    axes = figure.subplots()
    axes.set(xlim=(-1.4, 4.1), ylim=(len(lines) - 0.3, -1.0))
    axes.axis("off")
    for column, name in enumerate((*COLUMNS.values(), f"Support\n({table.unit})")):
        axes.text(column + 0.5, -0.72, name, ha="center", va="center", weight="bold")
    for at, (label, cells, support) in enumerate(lines):
        axes.text(-0.08, at, shorten(label, 24), ha="right", va="center", weight="bold")
        for column, (record, word) in enumerate(cells):
            if record is not None:
                cell(table, axes, column, at, record, word)
        axes.text(3.5, at, support, ha="center", va="center")
    axes.text(
        -1.4,
        len(lines) - 0.42,
        "In each cell: value, below it the 95 % CI over groups where there are enough of them, and "
        f"in brackets\nthe value of {table.baseline_words}.",
        fontsize=8.5,
        color=GREY,
        va="top",
    )
    save(figure, output)


def rows(table: Table, inputs: FigureInputs) -> list[Row]:
    """Label, cells (record and a word for what it is) and support of each row."""
    found: list[Row] = []
    for name in inputs.metrics["classes"]:
        records = [inputs.record(metric, inputs.subset, name) for metric in COLUMNS]
        support = thousands(records[1]["support"]) if records[1] else "–"
        label = name if table.unit == "images" else name.capitalize()
        found.append((label, [(record, "") for record in records], support))
    for label, metrics in table.summary.items():
        records = [inputs.record(metrics.get(c, ""), inputs.subset) for c in COLUMNS]
        words = ["accuracy" if metrics.get(c) == table.accuracy else "" for c in COLUMNS]
        first = next((record for record in records if record), None)
        support = thousands(first["support"]) if first else "–"
        found.append((label, list(zip(records, words, strict=True)), support))
    return found


def cell(
    table: Table, axes: Axes, column: int, row: int, record: dict[str, Any], word: str
) -> None:
    """Draw one cell, shaded from white (0) to blue (1)."""
    value = record["value"]
    shade = matplotlib.colormaps["Blues"](0.75 * (value or 0.0))
    axes.fill_between([column + 0.02, column + 0.98], row - 0.46, row + 0.46, color=shade)
    ink = "white" if (value or 0.0) > 0.72 else "black"
    text = f"{word} {value_text(record)}".strip()
    axes.text(column + 0.5, row - 0.16, text, ha="center", va="center", color=ink)
    below = []
    if limits(record):
        below.append(interval_text(record))
    other = record["baselines"].get(table.baseline)
    if other is not None:
        below.append(f"({baseline_text(record, table.baseline)})")
    centre: dict[str, Any] = {"ha": "center", "va": "center", "color": ink, "fontsize": 7.5}
    axes.text(column + 0.5, row + 0.24, "  ".join(below), **centre)
