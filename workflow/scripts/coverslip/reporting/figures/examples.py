"""Image, annotation and prediction with coloured errors, for images chosen by IoU and random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch

from coverslip.data.image_store import ImageStore
from coverslip.evaluation.predictions import Predictions, resize_to_scored, scored_size, truth_mask
from coverslip.evaluation.runs import run_name, run_of
from coverslip.imaging.intensity import stretch, to_grey
from coverslip.reporting.figures import FigureInputs
from coverslip.reporting.figures.style import (
    SKY,
    SUBSETS,
    VERMILLION,
    YELLOW,
    framed,
    heading,
    new,
    save,
    scale_bar,
    shorten,
    styled,
)
from coverslip.reporting.results import plural

NAME = "examples"

TITLE = "Image, annotation and prediction"

KINDS = {
    "best": "Best IoU",
    "median": "Median IoU",
    "worst": "Worst IoU",
    "random": "Random",
}

ERRORS = {
    "correct (true positive)": SKY,
    "spurious (false positive)": VERMILLION,
    "missed (false negative)": YELLOW,
}

OPACITY = (0.45, 0.9, 0.9)
"""Correct pixels are more transparent than errors."""

LONGEST = 512
"""Larger images are thinned out to this height or width before they are drawn."""


@styled
def draw(inputs: FigureInputs, output: Path) -> None:
    """Draw a row a kind of choice and three columns an image; errors are coloured.

    Images are stretched from their 1st to their 99.8th percentile for display only. An image
    that several runs predicted is shown with the first of them (lowest fold, then seed).
    """
    panels = without_repeats({kind: inputs.metrics["examples"][kind] for kind in KINDS})
    across = max(1, max(len(ids) for ids in panels.values()))
    figure = new(0.4 + 4.7 * across, 1.2 + 1.8 * len(panels))
    heading(figure, f"{TITLE}, {SUBSETS[inputs.subset]} images", inputs)
    # A narrow empty column keeps the images apart.
    ratios = ([1, 1, 1, 0.06] * across)[:-1]
    grid = figure.subplots(len(panels), len(ratios), squeeze=False, width_ratios=ratios)
    for axes in grid.ravel():
        axes.axis("off")
    with ExitStack() as stack:
        store = stack.enter_context(ImageStore(inputs.images))
        for line, (kind, ids) in zip(grid, panels.items(), strict=True):
            for at, id in enumerate(ids):
                row = first_row(inputs, id)
                with predictions_of(inputs, row) as predictions:
                    *parts, row["shape"] = _parts(inputs, store, predictions, id)
                _example(line[4 * at : 4 * at + 3], parts, row)
                scale_bar(line[4 * at], store.image(id).shape[1], inputs)
            row_label(line[0], KINDS[kind])
    handles = [Patch(color=colour, label=name) for name, colour in ERRORS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3 if across > 1 else 1)
    save(figure, output)


def without_repeats(examples: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return each image once, under the first of the kinds; kinds of no image are left out."""
    shown: set[str] = set()
    once = {}
    for kind, ids in examples.items():
        once[kind] = [id for id in ids if id not in shown]
        shown |= set(ids)
    return {kind: ids for kind, ids in once.items() if ids} or {"best": []}


def first_row(inputs: FigureInputs, id: str) -> dict[str, Any]:
    """Return the row of an image as the first run predicted it (lowest fold, then seed)."""
    table = inputs.table
    rows = table[(table["id"] == id) & (table["subset"] == inputs.subset)]
    return rows.sort_values(["fold", "seed"]).iloc[0].to_dict()


def predictions_of(inputs: FigureInputs, row: Mapping[str, Any]) -> Predictions:
    """Predictions of the run that a row of the table is about."""
    run = run_name(int(row["fold"]), int(row["seed"]))
    return Predictions([path for path in inputs.predictions if run_of(path) == run])


def _parts(
    inputs: FigureInputs, store: ImageStore, predictions: Predictions, id: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]:
    """Image (uint8 HxW or HxWx3), truth and prediction (bool HxW), and their full size.

    Large ones are thinned out.
    """
    size = scored_size(inputs.preprocessing, inputs.evaluation)
    truth = truth_mask(store.label(id), size, inputs.preprocessing.mask_resize)
    image = stretch(resize_to_scored(store.image(id), size))
    mask = predictions.mask(id, truth.shape)
    step = -(-max(truth.shape) // LONGEST)
    return image[::step, ::step], truth[::step, ::step], mask[::step, ::step], truth.shape


def coloured_errors(image: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The image in grey with true and false positives and false negatives in colours.

    Args:
        image: uint8 HxW or HxWx3.
        truth: bool HxW.
        mask: bool HxW, the prediction.

    Returns:
        uint8 HxWx3.
    """
    grey = to_grey(image).astype(np.float32)
    shown = np.repeat(grey[:, :, np.newaxis], 3, axis=2)
    where = (truth & mask, ~truth & mask, truth & ~mask)
    for chosen, colour, opacity in zip(where, ERRORS.values(), OPACITY, strict=True):
        paint = 255 * np.asarray(to_rgb(colour), dtype=np.float32)
        shown[chosen] = (1 - opacity) * shown[chosen] + opacity * paint
    return np.rint(shown).astype(np.uint8)


def _example(line: np.ndarray, parts: list[np.ndarray], row: dict[str, Any]) -> None:
    image, truth, mask = parts
    errors = coloured_errors(image, truth, mask)
    for axes, shown in zip(line, (image, truth.astype(np.uint8) * 255, errors), strict=True):
        axes.imshow(shown, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
        framed(axes)
    height, width = row["shape"]
    covered = f"{100 * row['foreground_true']:.0f} % covered"
    objects = plural(int(row["n_true"]), "object") if "mean_ap" in row else covered
    titles = (
        f"{shorten(str(row['id']), 20)}\n{height} × {width} pixels",
        f"annotated\n{objects}",
        f"IoU {row['iou']:.2f}\nOtsu {row['otsu_iou']:.2f}",
    )
    for axes, title in zip(line, titles, strict=True):
        axes.set_title(title, fontsize=8, loc="center")


def row_label(axes: Axes, text: str) -> None:
    """Say left of the first image of a row what the row shows."""
    axes.axis("on")
    axes.set(xticks=[], yticks=[])
    axes.set_ylabel(text, weight="bold")
