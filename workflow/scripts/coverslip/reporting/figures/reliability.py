"""Reliability diagram: accuracy by predicted probability."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from coverslip.reporting.figures import FigureInputs
from coverslip.reporting.figures.style import (
    BLUE,
    GREY,
    ORANGE,
    SUBSETS,
    heading,
    new,
    save,
    styled,
)

NAME = "reliability"

TITLE = "Reliability of the probabilities"

LEAST = 8
"""Images in a bin; with fewer it is joined to the next."""

SIDES = (
    ("raw", "ece_uncalibrated", "Without temperature scaling"),
    ("calibrated", "ece", "With temperature"),
)


@styled
def draw(inputs: FigureInputs, output: Path) -> None:
    """Draw two panels, without and with temperature scaling: accuracy by bin of probability.

    The number of images is written above each dot. Niculescu-Mizil and Caruana, ICML 2005.
    """
    figure = new(8.6, 5.3)
    heading(figure, f"{TITLE}, {SUBSETS[inputs.subset]} images", inputs)
    found = inputs.metrics["reliability"].get(inputs.subset, {})
    for axes, (name, metric, title) in zip(figure.subplots(1, 2), SIDES, strict=True):
        panel(axes, np.asarray(found.get(name, np.zeros((1, 3))), dtype=float))
        record = inputs.record(metric, inputs.subset)
        value = record["value"] if record else None
        error = "" if value is None else f"\nExpected calibration error {value:.2f}"
        of = temperatures(inputs) if name == "calibrated" else ""
        axes.set_title(f"{title}{of}{error}")
    save(figure, output)


def merged(bins: np.ndarray) -> np.ndarray:
    """Return neighbouring bins together, so that each of (B, 3) has at least `LEAST` images."""
    rows: list[np.ndarray] = []
    for row in bins[bins[:, 0] > 0]:
        if rows and rows[-1][0] < LEAST:
            rows[-1] = rows[-1] + row
        else:
            rows.append(row)
    if len(rows) > 1 and rows[-1][0] < LEAST:
        last = rows.pop()
        rows[-1] = rows[-1] + last
    return np.array(rows).reshape(-1, 3)


def panel(axes: Axes, bins: np.ndarray) -> None:
    """Draw one diagram from (bins, 3): images, correct ones, sum of probabilities."""
    images, right, sure = merged(bins).T
    accuracy, probability = right / images, sure / images
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    axes.vlines(probability, accuracy, probability, color=ORANGE, linewidth=2)
    axes.plot(probability, accuracy, color=BLUE, marker="o", clip_on=False, zorder=3)
    for x, y, count in zip(probability, accuracy, images, strict=True):
        above = y < 0.1 or x <= y < 0.9  # not over the line to the diagonal
        axes.annotate(
            f"{int(count)}",
            (x, y),
            xytext=(0, 7 if above else -7),
            textcoords="offset points",
            ha="center",
            va="bottom" if above else "top",
            fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6},
        )
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set(xlabel="Probability of the predicted class", ylabel="Fraction of correct images")


def temperatures(inputs: FigureInputs) -> str:
    """The temperature, or the range of those of several runs."""
    values = sorted(inputs.metrics.get("temperature", {}).values())
    if not values:
        return ""
    if f"{values[0]:.2f}" == f"{values[-1]:.2f}":
        return f" {values[0]:.2f}"
    return f" {values[0]:.2f} to {values[-1]:.2f}"
