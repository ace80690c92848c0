"""What K-means makes of images: swatches, the original, and the clusters in false colours."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from coverslip.config.sections import KMeans
from coverslip.data.image_store import ImageStore
from coverslip.errors import CoverslipError
from coverslip.models import preprocessing
from coverslip.models.kmeans import OUTSIDE, check_clusters, cluster_labels
from coverslip.models.model import Model, load
from coverslip.reporting.figures import FigureInputs
from coverslip.reporting.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PALE,
    PURPLE,
    SKY,
    SUBSETS,
    VERMILLION,
    YELLOW,
    framed,
    heading,
    new,
    percent,
    save,
    scale_bar,
    shorten,
    styled,
)

NAME = "clusters"

TITLE = "Clusters of K-means"

COLOURS = (BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE, YELLOW, BLACK)
"""Of up to so many clusters; more take even steps of a map that is even to the eye."""

KINDS = ("median", "worst", "random")
"""Which of the panels are shown, one image each."""

LONGEST = 512
"""Larger images are thinned out to this height or width before they are drawn."""


class Segmented(NamedTuple):
    """An image with its clusters."""

    id: str
    image: np.ndarray
    """uint8 HxWxC as the model sees it."""
    labels: np.ndarray
    """uint8 HxW, `OUTSIDE` the field of view."""
    swatches: np.ndarray
    """K x 3, 0..1: mean colour of each cluster in this image; NaN where it has none."""
    shares: np.ndarray
    """K: shares of the field of view."""


@styled
def draw(inputs: FigureInputs, output: Path) -> None:
    """Draw a row an image: its swatches, the image, and its clusters in false colours.

    A swatch has the mean colour of the pixels of its cluster, next to its false colour and its
    percentage of the image; clusters that count as cells are marked. The first run is shown.

    Raises:
        CoverslipError: the study's model is not K-means.
    """
    model = load(inputs.models[0])
    if model.info["kind"] != "kmeans":
        raise CoverslipError(
            f"{model.folder}: is not K-means: the figure '{NAME}' is of its clusters"
        )
    chosen = [ids[0] for ids in (inputs.metrics["examples"][kind] for kind in KINDS) if ids]
    ids = list(dict.fromkeys(chosen))
    number, cells = model.info["clusters"]["number"], model.info["clusters"]["cells"]
    with ImageStore(inputs.images) as store:
        found = [segmented(model, store, id) for id in ids]
    heights = [each.labels.shape[0] / each.labels.shape[1] for each in found]
    figure = new(9.4, 1.0 + sum(3.3 * height for height in heights))
    heading(figure, f"{TITLE}, {SUBSETS[inputs.subset]} images", inputs)
    grid = figure.subplots(
        len(found), 3, squeeze=False, width_ratios=[0.8, 1, 1], height_ratios=heights
    )
    colours = false_colours(number)
    for line, each in zip(grid, found, strict=True):
        _swatches(line[0], each, colours, cells)
        step = -(-max(each.labels.shape) // LONGEST)
        image = each.image[::step, ::step]
        _image(line[1], np.repeat(image, 3 // image.shape[2], axis=2), shorten(each.id, 28))
        scale_bar(line[1], each.labels.shape[1], inputs)
        map = painted(each.labels[::step, ::step], colours)
        _image(line[2], map, f"map of its {number} clusters")
    save(figure, output)


def segmented(model: Model, store: ImageStore, id: str) -> Segmented:
    """An image of a store with the clusters that a K-means model finds in it."""
    image = preprocessing.to_input(store.image(id), model.preprocessing)
    info, recipe = model.info, KMeans(**model.info["kmeans"])
    found = cluster_labels(
        image, recipe, check_clusters(recipe, info["clusters"]), int(info["seed"])
    )
    number = info["clusters"]["number"]
    inside = found[found != OUTSIDE]
    counts = np.bincount(inside, minlength=number).astype(float)
    colour = np.repeat(image, 3 // image.shape[2], axis=2)[found != OUTSIDE] / 255
    sums = [np.bincount(inside, channel, minlength=number) for channel in colour.T]
    with np.errstate(invalid="ignore"):
        swatches = np.stack(sums, axis=1) / counts[:, np.newaxis]
    return Segmented(id, image, found, swatches, counts / max(1, inside.size))


def false_colours(number: int) -> np.ndarray:
    """Colours of so many clusters, K x 3, 0..1, that colour-blind readers can distinguish."""
    if number <= len(COLOURS):
        return np.array([to_rgb(colour) for colour in COLOURS[:number]])
    return matplotlib.colormaps["viridis"](np.linspace(0, 1, number))[:, :3]


def painted(found: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Clusters in their colours, uint8 HxWx3; what is outside the field of view is white."""
    table = np.full((256, 3), 255, np.uint8)
    table[: len(colours)] = np.rint(255 * colours)
    return table[found]


def _image(axes: Axes, shown: np.ndarray, title: str) -> None:
    axes.imshow(shown, interpolation="antialiased")
    framed(axes)
    axes.set_title(title, fontsize=9, loc="center")


def _swatches(axes: Axes, each: Segmented, colours: np.ndarray, cells: list[int]) -> None:
    """A line a cluster: false colour, mean colour, share, and whether it counts as cells."""
    axes.axis("off")
    count = len(colours)
    axes.set(xlim=(0, 4), ylim=(count, -0.6))
    size = 8 if count <= 8 else 6
    for x, word in ((0.4, "map"), (1.3, "image"), (2.3, "percent")):
        axes.text(x, -0.25, word, ha="center", va="center", fontsize=size, weight="bold")
    for at in range(count):
        for x, colour in ((0.0, colours[at]), (0.9, each.swatches[at])):
            face = colour if np.isfinite(colour).all() else "white"
            box = Rectangle((x, at + 0.1), 0.8, 0.8, facecolor=face, edgecolor=PALE)
            axes.add_patch(box)
        share = percent(each.shares[at])
        axes.text(2.3, at + 0.5, share, ha="center", va="center", fontsize=size)
        word = "cells" if at in cells else "background"
        weight = "bold" if at in cells else "normal"
        axes.text(2.9, at + 0.5, word, va="center", fontsize=size, weight=weight)
