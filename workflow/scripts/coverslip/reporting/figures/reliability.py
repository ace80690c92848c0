"""Reliability diagram: how often the model is right where it says that it is so sure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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

SIDES = (
    ("raw", "ece_uncalibrated", "As the network gives them"),
    ("calibrated", "ece", "With temperature"),
)


@styled
def draw(inputs: FigureInputs, output: Path) -> None:
    """Draw two panels, without and with temperature: share of right images a bin of confidence.

    Bars on the dashed line are honest; hatched is what lacks to it, or is beyond. The dots' area is
    the number of images. Niculescu-Mizil and Caruana, ICML 2005.
    """
    figure = new(8.6, 5.3)
    heading(figure, f"{TITLE}, {SUBSETS[inputs.subset]} images", inputs)
    found = inputs.metrics["reliability"].get(inputs.subset, {})
    for axes, (name, metric, title) in zip(figure.subplots(1, 2), SIDES, strict=True):
        panel(axes, np.asarray(found.get(name, np.zeros((1, 3))), dtype=float))
        record = inputs.record(metric, inputs.subset)
        value = record["value"] if record else None
        told = "" if value is None else f"\nExpected calibration error {value:.3f}"
        of = temperatures(inputs) if name == "calibrated" else ""
        axes.set_title(f"{title}{of}{told}")
    save(figure, output)


def panel(axes: Axes, bins: np.ndarray) -> None:
    """Draw one diagram from (bins, 3): images, right ones, sum of confidence."""
    edges = np.linspace(0, 1, len(bins) + 1)
    filled = bins[:, 0] > 0
    right = np.divide(bins[:, 1], bins[:, 0], out=np.zeros(len(bins)), where=filled)
    sure = np.divide(bins[:, 2], bins[:, 0], out=np.zeros(len(bins)), where=filled)
    width = 1 / len(bins)
    axes.bar(edges[:-1][filled], right[filled], width, align="edge", color=BLUE, alpha=0.75)
    gap = (sure - right)[filled]
    lacking: dict[str, Any] = {"color": "none", "edgecolor": ORANGE, "hatch": "////"}
    lacking["linewidth"] = 1
    axes.bar(edges[:-1][filled], gap, width, bottom=right[filled], align="edge", **lacking)
    area = 90 * bins[filled, 0] / max(bins[:, 0].max(), 1)
    dots: dict[str, Any] = {"color": "black", "zorder": 3, "linewidths": 0, "clip_on": False}
    axes.scatter(sure[filled], right[filled], s=4 + area, **dots)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set(xlabel="Probability of the predicted class", ylabel="Share of right images")


def temperatures(inputs: FigureInputs) -> str:
    """The temperature, or the range of those of several runs."""
    values = sorted(inputs.metrics.get("temperature", {}).values())
    if not values:
        return ""
    if f"{values[0]:.2f}" == f"{values[-1]:.2f}":
        return f" {values[0]:.2f}"
    return f" {values[0]:.2f} to {values[-1]:.2f}"
