"""Images with their annotated and predicted class, for several figures."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from matplotlib.figure import Figure

from coverslip.data.image_store import ImageStore
from coverslip.imaging.intensity import stretch
from coverslip.reporting.figures import FigureInputs
from coverslip.reporting.figures.style import BLACK, RED, framed, scale_bar, shorten

ACROSS = 3

LONGEST = 384
"""Larger images are thinned out to this height or width before they are drawn."""


def height(ids: Sequence[str]) -> float:
    """Height in inches of a figure of these images."""
    return 1.1 + 2.8 * max(1, ceil(len(ids) / ACROSS))


def tiles(figure: Figure, inputs: FigureInputs, ids: Sequence[str]) -> None:
    """Draw the images in rows of three.

    Above each is its annotated class and, in red where it differs, the predicted class with
    its probability: of the first run (lowest fold, then seed) that predicted it. Images are
    stretched from their 1st to their 99.8th percentile for display only.
    """
    grid = figure.subplots(max(1, ceil(len(ids) / ACROSS)), ACROSS, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    rows = inputs.table[inputs.table["subset"] == inputs.subset].sort_values(["fold", "seed"])
    rows = rows.drop_duplicates("id").set_index("id")
    with ImageStore(inputs.images) as store:
        for axes, id in zip(grid, ids, strict=False):
            image = stretch(store.image(id))
            step = -(-max(image.shape[:2]) // LONGEST)
            axes.imshow(image[::step, ::step], cmap="gray", vmin=0, vmax=255)
            framed(axes)
            scale_bar(axes, image.shape[1], inputs)
            row = rows.loc[id]
            text = f"{shorten(str(row['true']), 26)}\n"
            text += f"→ {shorten(str(row['predicted']), 22)} {100 * row['probability']:.0f} %"
            colour = BLACK if row["correct"] else RED
            axes.set_title(text, fontsize=8.5, loc="center", color=colour)
            axes.set_xlabel(shorten(str(id), 34), fontsize=7)
