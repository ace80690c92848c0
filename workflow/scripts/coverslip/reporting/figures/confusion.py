"""Confusion matrix of pixels: percentages of each annotated class, with counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from coverslip.errors import CoverslipError
from coverslip.reporting.figures import FigureInputs
from coverslip.reporting.figures.style import (
    SUBSETS,
    heading,
    new,
    percent,
    save,
    styled,
    thousands,
)
from coverslip.reporting.results import value_text

NAME = "confusion"

TITLE = "Confusion matrix of pixels"


@styled
def draw(inputs: FigureInputs, output: Path) -> None:
    """Draw the matrix, a row an annotated class that adds up to 100 %; pixel accuracy above it.

    Raises:
        CoverslipError: the study has no confusion matrix.
    """
    found, counts, shares = counted(inputs)
    names = [name.capitalize() for name in found["classes"]]
    number = len(names)
    figure = new(max(5.6, 2.8 + 1.3 * number), max(4.9, 2.4 + 1.1 * number))
    heading(figure, f"{TITLE}, {SUBSETS[inputs.subset]} images", inputs)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(number):
        for column in range(number):
            axes.text(
                column,
                row,
                f"{percent(shares[row, column])}\n{thousands(counts[row, column])} pixels",
                ha="center",
                va="center",
                color="white" if shares[row, column] > 0.6 else "black",
                fontsize=11 if number <= 4 else 8,
            )
    axes.set_xticks(range(number), names)
    axes.set_yticks(range(number), names, rotation=90, va="center")
    axes.set(xlabel="Predicted class", ylabel="Annotated class", title=_subtitle(inputs, found))
    axes.grid(False)
    bar = figure.colorbar(image, ax=axes, fraction=0.05, ticks=[0, 0.25, 0.5, 0.75, 1])
    bar.set_label("Percentage of the annotated class")
    bar.ax.set_yticklabels(["0 %", "25 %", "50 %", "75 %", "100 %"])
    save(figure, output)


def counted(inputs: FigureInputs) -> tuple[dict, np.ndarray, np.ndarray]:
    """Return the confusion matrix of a study: record, counts, and fractions of a class (0..1).

    Raises:
        CoverslipError: the study has none.
    """
    found = inputs.metrics["confusion"].get(inputs.subset)
    if found is None:
        raise CoverslipError(
            f"metrics.json of {inputs.study}: no confusion matrix of {inputs.subset} images: "
            "remove it and run again"
        )
    counts = np.asarray(found["counts"], dtype=float)
    rows = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, rows, out=np.zeros_like(counts), where=rows > 0)
    return found, counts, shares


def _subtitle(inputs: FigureInputs, found: dict) -> str:
    record = inputs.record("pixel_accuracy", inputs.subset)
    text = f"Pixel accuracy {value_text(record)}" if record else ""
    runs = found.get("runs", 1)
    return f"{text}, {runs} runs together" if runs > 1 else text
