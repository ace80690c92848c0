"""Precision, recall, F1 and support of each class, as a table with colours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes

from coverslip.reporting.figures import FigureInputs
from coverslip.reporting.figures.style import (
    BASELINES,
    GREY,
    SUBSETS,
    heading,
    new,
    save,
    styled,
    thousands,
)

NAME = "classification_report"
TITLE = "Classification report of pixels"
COLUMNS = {"precision": "Precision", "recall": "Recall", "f1": "F1"}
SUMMARY = {
    "Mean of classes": {
        "precision": "macro_precision",
        "recall": "balanced_accuracy",
        "f1": "macro_f1",
    },
    "All pixels": {"f1": "pixel_accuracy"},
}
"""Rows below the classes: which metric stands in which column."""


@styled
def draw(inputs: FigureInputs, output: Path) -> None:
    """Draw a table: a row a class, the value, its 95 % interval and Otsu's value in each cell."""
    rows = _rows(inputs)
    figure = new(8.2, 1.9 + 0.85 * len(rows))
    heading(figure, f"{TITLE}, {SUBSETS[inputs.subset]} pictures", inputs)
    axes = figure.subplots()
    axes.set(xlim=(-1.25, 4.1), ylim=(len(rows) - 0.5, -1.0))
    axes.axis("off")
    for column, name in enumerate((*COLUMNS.values(), "Support")):
        axes.text(column + 0.5, -0.68, name, ha="center", va="center", weight="bold")
    for at, (label, cells, support) in enumerate(rows):
        axes.text(-0.08, at, label, ha="right", va="center", weight="bold")
        for column, (record, word) in enumerate(cells):
            _cell(axes, column, at, record, word)
        axes.text(3.5, at, support, ha="center", va="center")
    axes.text(
        -1.25,
        len(rows) - 0.42,
        "In each cell: value, 95 % interval over groups, and the same number of Otsu's threshold.",
        fontsize=8.5,
        color=GREY,
        va="top",
    )
    save(figure, output)


def _rows(inputs: FigureInputs) -> list[tuple[str, list[tuple[dict[str, Any] | None, str]], str]]:
    """Label, cells (record and a word for what it is) and support of each row."""
    rows = []
    for name in inputs.metrics["classes"]:
        records = [inputs.record(metric, inputs.subset, name) for metric in COLUMNS]
        support = f"{thousands(records[1]['support'])}\npixels" if records[1] else "–"
        rows.append((name.capitalize(), [(record, "") for record in records], support))
    for label, metrics in SUMMARY.items():
        records = [inputs.record(metrics.get(c, ""), inputs.subset) for c in COLUMNS]
        words = ["accuracy" if metrics.get(c) == "pixel_accuracy" else "" for c in COLUMNS]
        found = next((record for record in records if record), None)
        support = f"{thousands(found['support'])}\npixels" if found else "–"
        rows.append((label, list(zip(records, words, strict=True)), support))
    return rows


def _cell(axes: Axes, column: int, row: int, record: dict[str, Any] | None, word: str) -> None:
    """Draw one cell, shaded from white (0) to blue (1)."""
    if record is None:
        return
    value = record["value"]
    shade = matplotlib.colormaps["Blues"](0.75 * (value or 0.0))
    axes.fill_between([column + 0.02, column + 0.98], row - 0.47, row + 0.47, color=shade)
    ink = "white" if (value or 0.0) > 0.72 else "black"
    text = "–" if value is None else f"{value:.3f}"
    if word:
        text = f"{word} {text}"
    axes.text(column + 0.5, row - 0.2, text, ha="center", va="center", color=ink, fontsize=12)
    below = []
    if record["low"] is not None:
        below.append(f"{record['low']:.3f} to {record['high']:.3f}")
    otsu = record["baselines"].get("otsu")
    if otsu is not None:
        below.append(f"{BASELINES['otsu']} {otsu:.3f}")
    axes.text(
        column + 0.5,
        row + 0.2,
        "\n".join(below),
        ha="center",
        va="center",
        color=ink,
        fontsize=8,
    )
