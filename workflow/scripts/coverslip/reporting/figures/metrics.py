"""IoU of each image: the model and Otsu's threshold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from coverslip.reporting.figures import FigureInputs
from coverslip.reporting.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    MODEL,
    ORANGE,
    OTSU,
    PURPLE,
    SKY,
    SUBSETS,
    VERMILLION,
    heading,
    new,
    save,
    styled,
)
from coverslip.reporting.results import digits_of, limits

NAME = "metrics"

TITLE = "IoU of each image"

ROWS = (
    ("iou", "model", "Model", MODEL),
    ("otsu_iou", "otsu", "Otsu's\nthreshold", OTSU),
)

MODALITIES = (
    (BLUE, "o"),
    (VERMILLION, "s"),
    (GREEN, "^"),
    (PURPLE, "D"),
    (ORANGE, "v"),
    (SKY, "P"),
)

VECTOR_POINTS = 150
"""Above it points become pixels inside the svg, which would grow too large otherwise."""


@styled
def draw(inputs: FigureInputs, output: Path) -> None:
    """Draw the distribution of IoU by method, and model against Otsu, a dot an image.

    Diamonds are the means, with the 95 % CI over groups where there are enough of them.
    """
    rows = inputs.table[inputs.table["subset"] == inputs.subset]
    # An image counts once, however many seeds there are.
    columns = ["iou", "otsu_iou"]
    rows = rows.groupby(["fold", "id", "modality"], as_index=False)[columns].mean()
    figure = new(9.6, 4.6)
    word = f"{len(rows)} {SUBSETS[inputs.subset]} image" + ("s" if len(rows) != 1 else "")
    heading(figure, f"{TITLE}, {word}", inputs)
    left, right = figure.subplots(1, 2, width_ratios=[1.25, 1])
    _distributions(left, rows, inputs)
    _pairs(right, rows)
    save(figure, output)


def _distributions(axes: Axes, rows: pd.DataFrame, inputs: FigureInputs) -> None:
    jitter = np.random.default_rng(1).uniform(-0.28, 0.28, len(rows))
    record = inputs.record("iou", inputs.subset)
    for at, (column, source, _, colour) in enumerate(ROWS):
        axes.scatter(
            rows[column],
            at + jitter,
            s=9,
            color=colour,
            alpha=0.45,
            linewidths=0,
            rasterized=len(rows) > VECTOR_POINTS,
            clip_on=False,
        )
        if record is not None:
            value, ends = _estimate(record, source)
            if ends:
                axes.plot(ends, [at, at], color=BLACK, linewidth=2.5, zorder=5)
            axes.plot(value, at, marker="D", color="white", markeredgecolor=BLACK, zorder=6)
            digits = digits_of(record)
            text = f"mean {value:.{digits}f}"
            text += f" ({ends[0]:.{digits}f} to {ends[1]:.{digits}f})" if ends else ""
            axes.text(0.5, at - 0.42, text, ha="center", va="center", fontsize=9)
    axes.set(xlim=(-0.01, 1.01), ylim=(1.5, -0.62), xlabel="IoU (0 to 1, higher is better)")
    axes.set_title("Distribution, mean" + (" and 95 % CI" if limits(record) else ""))
    axes.set_yticks(range(len(ROWS)), [label for *_, label, _ in ROWS])
    axes.grid(axis="y", visible=False)


def _estimate(record: dict, source: str) -> tuple[float, tuple[float, float] | None]:
    if source == "model":
        return record["value"], limits(record)
    low, high = record["baseline_intervals"][source]
    ends = {"ci_low": low, "ci_high": high, "groups": record["groups"]}
    return record["baselines"][source], limits(ends)


def _pairs(axes: Axes, rows: pd.DataFrame) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
    counts = rows["modality"].value_counts()
    names = sorted(counts.index, key=lambda name: (-counts[name], name))
    for at, name in enumerate(names):
        # The last sign is used for all further modalities, should there ever be so many.
        colour, marker = MODALITIES[min(at, len(MODALITIES) - 1)]
        chosen = rows[rows["modality"] == name]
        axes.scatter(
            chosen["otsu_iou"],
            chosen["iou"],
            s=16,
            marker=marker,
            color=colour,
            alpha=0.6,
            linewidths=0,
            label=f"{name or 'modality unknown'} ({len(chosen)})",
            rasterized=len(rows) > VECTOR_POINTS,
            clip_on=False,
        )
    better = int((rows["iou"] > rows["otsu_iou"]).sum())
    axes.set_title(f"Model above Otsu on {better} of {len(rows)}")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), aspect="equal")
    axes.set(xlabel="IoU of Otsu's threshold", ylabel="IoU of the model")
    if len(names) > 1:
        axes.figure.legend(loc="outside right center", title="Modality (images)", title_fontsize=9)
