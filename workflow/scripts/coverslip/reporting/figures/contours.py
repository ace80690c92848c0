"""Contours of annotated and predicted objects on images chosen by IoU and random."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch
from skimage.segmentation import find_boundaries

from coverslip.data.image_store import ImageStore
from coverslip.imaging.intensity import stretch, to_grey
from coverslip.metrics.matching import Matching, match
from coverslip.reporting.figures import FigureInputs
from coverslip.reporting.figures.examples import (
    KINDS,
    LONGEST,
    first_row,
    predictions_of,
    row_label,
    without_repeats,
)
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

NAME = "contours"

TITLE = "Instance segmentation"

COLOURS = {
    "correct: matches an annotated object at IoU 0.5": SKY,
    "spurious": VERMILLION,
    "annotated but not matched": YELLOW,
}


@styled
def draw(inputs: FigureInputs, output: Path) -> None:
    """Draw a row a kind of choice and two columns an image: as it is, and with outlines."""
    panels = without_repeats({kind: inputs.metrics["examples"][kind] for kind in KINDS})
    across = max(1, max(len(ids) for ids in panels.values()))
    figure = new(0.4 + 3.9 * across, 1.2 + 2.1 * len(panels))
    heading(figure, f"{TITLE}, {SUBSETS[inputs.subset]} images", inputs)
    ratios = ([1, 1, 0.06] * across)[:-1]
    grid = figure.subplots(len(panels), len(ratios), squeeze=False, width_ratios=ratios)
    for axes in grid.ravel():
        axes.axis("off")
    with ExitStack() as stack:
        store = stack.enter_context(ImageStore(inputs.images))
        for line, (kind, ids) in zip(grid, panels.items(), strict=True):
            for at, id in enumerate(ids):
                _example(line[3 * at : 3 * at + 2], inputs, store, id)
            row_label(line[0], KINDS[kind])
    handles = [Patch(color=colour, label=name) for name, colour in COLOURS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3 if across > 1 else 1)
    save(figure, output)


def _example(line: list[Axes], inputs: FigureInputs, store: ImageStore, id: str) -> None:
    row = first_row(inputs, id)
    truth = store.label(id)
    with predictions_of(inputs, row) as predictions:
        found = predictions.instances(id, truth.shape)
    image = stretch(store.image(id))
    window = _window(truth)
    shown = outlined(image[window], truth[window], found[window], match(truth, found))
    for axes, pixels in zip(line, (image[window], shown), strict=True):
        axes.imshow(pixels, cmap="gray", vmin=0, vmax=255, interpolation="antialiased")
        framed(axes)
    height, width = image[window].shape[:2]
    scale_bar(line[0], width, inputs)
    part = "" if truth.shape == (height, width) else ", a part"
    line[0].set_title(
        f"{shorten(str(id), 20)}\n{height} × {width} pixels{part}", fontsize=8, loc="center"
    )
    counts = f"{row['n_predicted']} predicted, {row['n_true']} annotated"
    line[1].set_title(f"{counts}\nAP at IoU 0.5: {row['ap50']:.2f}", fontsize=8, loc="center")


def _window(truth: np.ndarray) -> tuple[slice, slice]:
    """The part of a large image that is shown, at full resolution: about its middle object."""
    if max(truth.shape) <= LONGEST:
        return np.s_[:, :]
    places = np.argwhere(truth > 0)
    middle = np.median(places, axis=0) if len(places) else np.array(truth.shape) / 2
    starts = [
        int(np.clip(at - LONGEST // 2, 0, max(0, length - LONGEST)))
        for at, length in zip(middle, truth.shape, strict=True)
    ]
    top, left = starts
    return slice(top, top + LONGEST), slice(left, left + LONGEST)


def outlined(
    image: np.ndarray, truth: np.ndarray, found: np.ndarray, matching: Matching
) -> np.ndarray:
    """The image in grey with outlines, uint8 HxWx3.

    Args:
        image: uint8 HxW or HxWx3.
        truth: int HxW, true objects.
        found: int HxW, predicted objects.
        matching: `matching.match` of the two, or of the whole images that they are parts of.
    """
    shown = np.repeat(to_grey(image)[:, :, np.newaxis], 3, axis=2).astype(np.uint8)
    right = np.isin(found, matching.predicted_labels) & (found > 0)
    missed = (truth > 0) & ~np.isin(truth, matching.true_labels)
    for where, objects, colour in zip(
        (missed, (found > 0) & ~right, right),
        (truth, found, found),
        reversed(COLOURS.values()),
        strict=True,
    ):
        kept = np.where(where, objects, 0)
        # Two pixels wide on images that are shown much smaller than they are.
        edge = find_boundaries(kept, mode="thick" if max(kept.shape) > 192 else "inner")
        shown[edge] = np.rint(255 * np.asarray(to_rgb(colour))).astype(np.uint8)
    return shown
