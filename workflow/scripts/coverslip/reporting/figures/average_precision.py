"""Average precision of objects against the IoU that counts as a match."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from coverslip.metrics.matching import PERCENT
from coverslip.reporting.figures import FigureInputs
from coverslip.reporting.figures.style import (
    BLUE,
    GREEN,
    ORANGE,
    SUBSETS,
    heading,
    new,
    save,
    styled,
)
from coverslip.reporting.results import limits

NAME = "average_precision"

TITLE = "Average precision of objects"

LINES = (
    ("model", "model", BLUE, "o"),
    ("otsu watershed", "Otsu with watershed", GREEN, "^"),
    ("otsu", "Otsu", ORANGE, "s"),
)


@styled
def draw(inputs: FigureInputs, output: Path) -> None:
    """Draw AP against the threshold: mean over images left, all objects together right.

    The band is the 95 % CI of the model over groups, where there are enough of them.
    """
    figure = new(9.6, 4.2)
    heading(figure, f"{TITLE}, {SUBSETS[inputs.subset]} images", inputs)
    left, right = figure.subplots(1, 2, sharey=True)
    _curves(left, inputs, "")
    _curves(right, inputs, "_pooled")
    left.set_title("Mean over images")
    right.set_title("All objects pooled")
    left.set_ylabel("AP = TP / (TP + FP + FN), 0 to 1")
    save(figure, output)


def _curves(axes: Axes, inputs: FigureInputs, suffix: str) -> None:
    found = [inputs.record(f"ap{percent}{suffix}", inputs.subset) for percent in PERCENT]
    records = [record for record in found if record is not None]
    thresholds = [percent / 100 for percent in PERCENT]
    whole = inputs.record(f"mean_ap{suffix}", inputs.subset) or {}
    for source, name, colour, marker in LINES:
        values = [_value(record, source) for record in records]
        label = f"{name}: {_value(whole, source):.3f}"
        axes.plot(thresholds, values, color=colour, marker=marker, markersize=5, label=label)
    ends = [limits(record) for record in records]
    if all(ends):
        low, high = zip(*ends, strict=True)
        look: dict[str, Any] = {"color": LINES[0][2], "alpha": 0.15, "linewidth": 0}
        axes.fill_between(thresholds, low, high, label="95 % CI of the model", **look)
    axes.set(xlim=(0.48, 0.97), ylim=(0, 1.02), xlabel="IoU threshold of a match")
    axes.legend(loc="best", title="Mean over all ten", title_fontsize=9)


def _value(record: dict, source: str) -> float:
    return record["value"] if source == "model" else record["baselines"][source]
