"""Confusion matrix of images: shares of each true class, and counts."""

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

NAME = "class_confusion"

TITLE = "Confusion matrix of images"

LETTERS = 18
"""Longer names of classes are shortened."""

SMALL = 6
"""With more classes than this, letters are smaller, and the matrices stand below one another."""


@styled
def draw(inputs: FigureInputs, output: Path) -> None:
    """Draw two matrices, rows are the truth: shares that add up to 100 % a row, and counts.

    Loss and accuracy stand above them.

    Raises:
        CoverslipError: the study has no confusion matrix.
    """
    found, counts, shares = counted(inputs)
    names = [shorten(name, LETTERS) for name in found["classes"]]
    beside = len(names) <= SMALL
    cells, words = max(2.8, 0.52 * len(names)), 0.085 * max(len(name) for name in names)
    one = (0.6 + words + cells, 1.4 + 0.65 * words + cells)
    figure = new(2 * one[0], 0.7 + one[1]) if beside else new(0.4 + one[0], 0.7 + 2 * one[1])
    heading(figure, f"{TITLE}, {SUBSETS[inputs.subset]} images", inputs)
    left, right = figure.subplots(*((1, 2) if beside else (2, 1)))
    matrix(left, shares, [[f"{100 * v:.0f}" for v in row] for row in shares], names)
    left.set_title(f"{told(inputs, found)}\nShare of the true class (%)")
    matrix(right, shares, [[thousands(v) for v in row] for row in counts], names)
    right.set_title("Images")
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
                fontsize=11 if number <= SMALL else 8,
            )
    axes.set_xticks(range(number), classes, rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(number), classes)
    axes.set(xlabel="Predicted class", ylabel="True class")
    axes.grid(False)


def told(inputs: FigureInputs, found: dict) -> str:
    """Loss and accuracy in words."""
    subset = SUBSETS[inputs.subset].capitalize()
    parts = []
    loss = "loss" if inputs.record("loss", inputs.subset) else "log_loss"
    for name, word in ((loss, "loss"), ("accuracy", "accuracy")):
        record = inputs.record(name, inputs.subset)
        if record and record["value"] is not None:
            parts.append(f"{word} {record['value']:.4f}")
    runs = found.get("runs", 1)
    text = f"{subset} {', '.join(parts)}"
    return f"{text} ({runs} runs)" if runs > 1 else text
