"""Number and size of objects: predicted against annotated."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from coverslip.data.image_store import ImageStore
from coverslip.evaluation.predictions import Predictions
from coverslip.evaluation.runs import run_name, run_of
from coverslip.reporting.figures import FigureInputs
from coverslip.reporting.figures.style import (
    BLACK,
    GREY,
    MODEL,
    SUBSETS,
    heading,
    new,
    save,
    styled,
    thousands,
)

NAME = "objects"

TITLE = "Number and size of objects"

BINS = 40

ROUND = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Where logarithmic axes have their numbers."""

VECTOR_POINTS = 150
"""Above it points become pixels inside the svg, which would grow too large otherwise."""


@styled
def draw(inputs: FigureInputs, output: Path) -> None:
    """Draw predicted against true number of objects of each image, and both size distributions.

    Sizes are diameters of circles of the same area, in µm or, where the pixel size is not known,
    in pixels; every run counts its own objects.
    """
    rows = inputs.table[inputs.table["subset"] == inputs.subset]
    figure = new(9.6, 4.4)
    heading(figure, f"{TITLE}, {SUBSETS[inputs.subset]} images", inputs)
    left, right = figure.subplots(1, 2)
    true, predicted = rows["n_true"].to_numpy(), rows["n_predicted"].to_numpy()
    _counts(left, true, predicted)
    unit = "px" if inputs.pixel_size_um is None else "µm"
    _sizes(right, *_diameters(inputs, rows), unit)
    save(figure, output)


def _counts(axes: Axes, true: np.ndarray, predicted: np.ndarray) -> None:
    top = 1.4 * max(1, true.max(initial=1), predicted.max(initial=1))
    axes.plot([0.7, top], [0.7, top], color=GREY, linewidth=1, linestyle="--")
    axes.scatter(
        np.maximum(true, 0.8),
        np.maximum(predicted, 0.8),
        s=16,
        color=MODEL,
        alpha=0.5,
        linewidths=0,
        rasterized=len(true) > VECTOR_POINTS,
    )
    total, found = int(true.sum()), int(predicted.sum())
    axes.set(xscale="log", yscale="log", xlim=(0.7, top), ylim=(0.7, top), aspect="equal")
    axes.set(xlabel="Annotated objects in an image", ylabel="Predicted objects in an image")
    ticks = [t for t in ROUND if t <= top]
    # An image without objects is drawn below 1: a logarithmic axis has no 0.
    axes.set_xticks([0.8, *ticks[1:]], ["0", *map(str, ticks[1:])])
    axes.set_yticks([0.8, *ticks[1:]], ["0", *map(str, ticks[1:])])
    axes.minorticks_off()
    error = (found - total) / max(1, len(true))
    mean = f"{error:+.1f}".replace("-", "−")
    axes.set_title(
        f"{thousands(found)} predicted, {thousands(total)} annotated\n"
        f"bias {mean} per image ({total / max(1, len(true)):.1f} annotated)"
    )


def _diameters(inputs: FigureInputs, rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Equivalent diameters of true and predicted objects, in µm or else in pixels."""
    found: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    with ExitStack() as stack:
        store = stack.enter_context(ImageStore(inputs.images))
        for (fold, seed), part in rows.groupby(["fold", "seed"], sort=True):
            run = run_name(int(fold), int(seed))
            paths = [path for path in inputs.predictions if run_of(path) == run]
            with Predictions(paths) as predictions:
                for id in sorted(part["id"]):
                    label = store.label(id)
                    found[0].append(_areas(label))
                    found[1].append(_areas(predictions.instances(id, label.shape)))
    true, predicted = (np.concatenate(areas) if areas else np.zeros(0) for areas in found)
    size = inputs.pixel_size_um or 1
    return size * np.sqrt(4 / np.pi * true), size * np.sqrt(4 / np.pi * predicted)


def _areas(label: np.ndarray) -> np.ndarray:
    areas = np.bincount(label.ravel())[1:]
    return areas[areas > 0].astype(np.float64)


def _sizes(axes: Axes, true: np.ndarray, predicted: np.ndarray, unit: str) -> None:
    both = np.concatenate([true, predicted])
    if not both.size:
        axes.set_title("No objects")
        return
    bins = int(np.clip(np.sqrt(both.size), 5, BINS))
    edges = np.geomspace(both.min() * 0.95, both.max() * 1.05, bins + 1).tolist()
    axes.hist(true, edges, histtype="stepfilled", color=GREY, alpha=0.4, label="annotated")
    axes.hist(predicted, edges, histtype="step", color=MODEL, linewidth=1.8, label="predicted")
    for values, colour, style in ((true, BLACK, ":"), (predicted, MODEL, "-")):
        if values.size:
            axes.axvline(float(np.median(values)), color=colour, linestyle=style, linewidth=1.2)
    axes.set(xscale="log", ylabel="Objects")
    axes.set_xlabel(f"Diameter of a circle of equal area ({unit})")
    medians = [f"{np.median(v):.1f}" if v.size else "–" for v in (predicted, true)]
    axes.set_title(f"Median diameter {medians[0]} {unit} predicted, {medians[1]} {unit} annotated")
    ticks = [t for t in ROUND if edges[0] <= t <= edges[-1]]
    axes.set_xticks(ticks, [str(t) for t in ticks])
    axes.minorticks_off()
    axes.legend(loc="upper right")
