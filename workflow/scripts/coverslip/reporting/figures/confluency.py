"""Confluency of each image: predicted against true, and the error by true confluency."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from coverslip.errors import CoverslipError
from coverslip.metrics.confluency import BANDS
from coverslip.reporting.figures import FigureInputs
from coverslip.reporting.figures.style import (
    BLACK,
    GREY,
    MODEL,
    ORANGE,
    PALE,
    SUBSETS,
    heading,
    new,
    save,
    styled,
)
from coverslip.reporting.results import interval_text, limits, value_text

NAME = "confluency"

TITLE = "Confluency of each image"

VECTOR_POINTS = 400
"""Above it points become pixels inside the svg, which would grow too large otherwise."""

SMALLEST = 10
"""Half of the least range of errors, in points, so that a small error looks small."""


@styled
def draw(inputs: FigureInputs, output: Path) -> None:
    """Draw predicted against true confluency, and the error over the true one with its bands.

    A dot is an image (the mean over seeds). Each band of 25 points has its bias (line) and the
    root mean square of its errors around zero (shade); the CI is over groups.

    Raises:
        CoverslipError: no image has a field of view.
    """
    rows = inputs.table[inputs.table["subset"] == inputs.subset]
    columns = ["confluency_true", "confluency_predicted", "confluency_error"]
    rows = rows.groupby(["fold", "id"], as_index=False)[columns].mean().dropna()
    if rows.empty:
        raise CoverslipError(
            f"images.csv of {inputs.study}: no {SUBSETS[inputs.subset]} image has a field of "
            "view: look at the images"
        )
    figure = new(9.6, 4.9)
    word = f"{len(rows)} {SUBSETS[inputs.subset]} image" + ("s" if len(rows) != 1 else "")
    heading(figure, f"{TITLE}, {word}", inputs)
    left, right = figure.subplots(1, 2)
    _pairs(left, rows, inputs)
    _errors(right, rows, inputs)
    save(figure, output)


def _dots(axes: Axes, x: pd.Series, y: pd.Series) -> None:
    axes.scatter(
        x,
        y,
        s=18,
        color=MODEL,
        alpha=0.6,
        linewidths=0,
        rasterized=len(x) > VECTOR_POINTS,
        clip_on=False,
        zorder=3,
    )


def _pairs(axes: Axes, rows: pd.DataFrame, inputs: FigureInputs) -> None:
    axes.plot([0, 100], [0, 100], color=GREY, linewidth=1, linestyle="--")
    _dots(axes, rows["confluency_true"], rows["confluency_predicted"])
    axes.set(xlim=(0, 100), ylim=(0, 100), aspect="equal")
    axes.set(xlabel="Annotated confluency (%)", ylabel="Predicted confluency (%)")
    axes.set_title(_words(inputs, "confluency_rmse", "RMSE"))


def _errors(axes: Axes, rows: pd.DataFrame, inputs: FigureInputs) -> None:
    axes.axhline(0, color=GREY, linewidth=1, linestyle="--")
    _dots(axes, rows["confluency_true"], rows["confluency_error"])
    bottom, top = rows["confluency_error"].min(), rows["confluency_error"].max()
    reach = 1.1 * max(SMALLEST, -bottom, top)
    texts = {}
    for low, high in BANDS:
        bias = inputs.record(f"confluency_bias_{low}_{high}", inputs.subset)
        spread = inputs.record(f"confluency_rmse_{low}_{high}", inputs.subset)
        if bias is None or spread is None or bias["value"] is None:
            continue
        around = np.array([-1, 1]) * spread["value"]
        axes.fill_between([low + 0.5, high - 0.5], *around, color=PALE, linewidth=0, zorder=1)
        line = [bias["value"]] * 2
        axes.plot([low + 0.5, high - 0.5], line, color=ORANGE, linewidth=2.5, zorder=4)
        bias_text = f"{bias['value']:+.1f}".replace("-", "−")
        count = f"{bias['support']} image" + ("s" if bias["support"] != 1 else "")
        text = f"bias {bias_text} pp\nRMSE {spread['value']:.1f} pp\n{count}"
        texts[(low + high) / 2] = text
        reach = max(reach, 1.02 * spread["value"])
    for at, text in texts.items():
        axes.text(at, 1.42 * reach, text, ha="center", va="top", fontsize=8)
    axes.set(xlim=(0, 100), ylim=(-reach, 1.45 * reach))
    axes.set_xticks([0, 25, 50, 75, 100])
    axes.grid(axis="x", color=BLACK, alpha=0.25, linewidth=0.6)
    axes.set(xlabel="Annotated confluency (%)", ylabel="Predicted − annotated (pp)")
    axes.set_title(_words(inputs, "confluency_bias", "Bias"))
    if texts:
        bias_line = Line2D([], [], color=ORANGE, linewidth=2.5, label="bias of a band")
        shade = Patch(color=PALE, label="root mean square error (RMSE) of a band")
        axes.figure.legend(handles=[bias_line, shade], loc="outside lower right", ncols=2)


def _words(inputs: FigureInputs, name: str, word: str) -> str:
    record = inputs.record(name, inputs.subset)
    if record is None or record["value"] is None:
        return ""
    ends = limits(record)
    text = f"{word} {value_text(record)}"
    return f"{text}\n95 % CI {interval_text(record)}" if ends else text
