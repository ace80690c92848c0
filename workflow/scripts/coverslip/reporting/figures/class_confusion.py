"""Confusion matrix of images: counts, and percentages of each annotated class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from coverslip.reporting.figures import FigureInputs
from coverslip.reporting.figures.confusion import counted
from coverslip.reporting.figures.style import (
    SUBSETS,
    heading,
    new,
    save,
    shorten,
    styled,
    thousands,
)
from coverslip.reporting.results import value_text

NAME = "class_confusion"

TITLE = "Confusion matrix of images"

LETTERS = 18
"""Longer names of classes are shortened."""

SMALL = 6
"""With more classes than this, letters are smaller."""


@styled
def draw(inputs: FigureInputs, output: Path) -> None:
    """Draw the matrix, a row an annotated class: number of images, and percentage of its class.

    Raises:
        CoverslipError: the study has no confusion matrix.
    """
    found, counts, shares = counted(inputs)
    names = [shorten(name, LETTERS) for name in found["classes"]]
    cells, words = max(3.2, 0.62 * len(names)), 0.085 * max(len(name) for name in names)
    figure = new(max(4.6, 0.9 + words + cells), 2.1 + 0.65 * words + cells)
    heading(figure, f"{TITLE}, {SUBSETS[inputs.subset]} images", inputs)
    texts = [
        [f"{thousands(n)}\n{100 * share:.0f} %" if n else "0" for n, share in zip(*of, strict=True)]
        for of in zip(counts, shares, strict=True)
    ]
    axes = figure.subplots()
    matrix(axes, shares, texts, names)
    axes.set_title(f"{subtitle(inputs, found)}\nImages, and percentage of the annotated class")
    save(figure, output)


def matrix(axes: Axes, shares: np.ndarray, texts: list[list[str]], classes: list[str]) -> None:
    """Draw one matrix, shaded by the shares."""
    number = len(classes)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row in range(number):
        for column in range(number):
            axes.text(
                column,
                row,
                texts[row][column],
                ha="center",
                va="center",
                color="white" if shares[row, column] > 0.6 else "black",
                fontsize=11 if number <= SMALL else 7.5,
            )
    axes.set_xticks(range(number), classes, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(number), classes)
    axes.set(xlabel="Predicted class", ylabel="Annotated class")
    axes.grid(False)


def subtitle(inputs: FigureInputs, found: dict) -> str:
    """Return the accuracy in words, and how many runs are counted together."""
    record = inputs.record("accuracy", inputs.subset)
    text = f"Accuracy {value_text(record)}"
    runs = found.get("runs", 1)
    return f"{text}, {runs} runs together" if runs > 1 else text
