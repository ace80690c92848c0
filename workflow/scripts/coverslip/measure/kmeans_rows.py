"""K-means on an image that is read row by row: the clusters that the whole image would give.

The colours of an image are counted, and the means that the light is fitted to are summed up, in
passes over its rows; texture reaches a few rows beyond its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from coverslip.config.sections import KMeans
from coverslip.imaging.field_of_view import Field, FilledRows
from coverslip.imaging.flatfield import background, fit_parts, grid, means_of
from coverslip.imaging.intensity import to_grey
from coverslip.imaging.rows import Rows, histogram, parts, spans
from coverslip.imaging.texture import features, reach
from coverslip.models.kmeans import OUTSIDE, STRIP, clustered, nearest, read_kmeans

if TYPE_CHECKING:
    from coverslip.models.model import Model

FLAT = 2**19
"""Pixels that are clustered at once: each has several features."""


def foreground_rows(model: Model, source: Rows) -> Iterator[np.ndarray]:
    """Foreground of an image, float32 hxWx1, 0 or 1, from the top on.

    Args:
        model: of the kind `kmeans`.
        source: uint8 HxWxC, preprocessed.

    Raises:
        CoverslipError: `model.json` does not hold what it should.
    """
    recipe, clusters, cells, seed = read_kmeans(model)
    for labels in label_rows(source, recipe, clusters, seed):
        yield np.isin(labels[..., np.newaxis], cells).astype(np.float32)


def label_rows(
    source: Rows, recipe: KMeans, clusters: dict[str, Any], seed: int
) -> Iterator[np.ndarray]:
    """The number of the cluster of each pixel, uint8 hxW, from the top on.

    See `kmeans_model.labels`, which gives the same for a whole image.
    """
    if recipe.features == "raw_color":
        yield from _published(source, clusters["number"], seed)
    else:
        yield from _texture(source, recipe, clusters)


def _published(source: Rows, clusters: int, seed: int) -> Iterator[np.ndarray]:
    channels = source.shape[2]
    counts = np.zeros(256**channels, np.int64)
    for part in parts(source):
        if channels == 1:
            counts += histogram(part)
        else:
            found, times = np.unique(_codes(part), return_counts=True)
            counts[found] += times
    codes = np.flatnonzero(counts)
    parts_of = [codes // 256**power % 256 for power in reversed(range(channels))]
    colours = np.stack(parts_of, axis=1).astype(np.uint8)
    _, numbers, _ = clustered(colours, counts[codes], clusters, seed)
    table = np.zeros(len(counts), np.uint8)
    table[codes] = numbers
    for part in parts(source):
        yield table[_codes(part)]


def _codes(part: np.ndarray) -> np.ndarray:
    """One number a colour, in the order of the colours."""
    if part.shape[2] == 1:
        return part[:, :, 0]
    channels = part.shape[2]
    codes = np.zeros(part.shape[:2], np.uint32)
    for at in range(channels):
        codes += part[:, :, at] * np.uint32(256 ** (channels - 1 - at))
    return codes


def _texture(source: Rows, recipe: KMeans, clusters: dict[str, Any]) -> Iterator[np.ndarray]:
    field = Field(source)
    flat = FilledRows(Flattened(source, field), field)
    beyond = reach(recipe.scales)
    for start, stop in spans(source.shape, max(FLAT, 4 * beyond * source.shape[1])):
        labels = np.full((stop - start, source.shape[1]), OUTSIDE, np.uint8)
        if field.area:
            top, bottom = max(0, start - beyond), min(source.shape[0], stop + beyond)
            light = flat.rows(top, bottom)[:, :, 0]
            for columns, wide in _chunks(source.shape[1], light.shape[0], beyond):
                looks = features(np.ascontiguousarray(light[:, wide]), recipe.scales)
                inner = slice(columns.start - wide.start, columns.stop - wide.start)
                looks = looks[start - top : stop - top, inner]
                scaled = (looks - clusters["mean"]) / clusters["standard_deviation"]
                labels[:, columns] = nearest(scaled, clusters["centres"])
            labels[~field.rows(start, stop)] = OUTSIDE
        yield labels


def _chunks(width: int, rows: int, beyond: int) -> Iterator[tuple[slice, slice]]:
    """Columns that are looked at together, and the same with those that they reach."""
    step = max(1, 2 * STRIP // rows)
    for start in range(0, width, step):
        stop = min(start + step, width)
        yield slice(start, stop), slice(max(0, start - beyond), min(width, stop + beyond))


class Flattened:
    """`Rows` of the grey image over its background, float32 HxWx1."""

    dtype = np.dtype(np.float32)

    def __init__(self, source: Rows, field: Field) -> None:
        self.source = source
        self.shape = (*source.shape[:2], 1)
        self.light = fit_parts(*_means(source, field))

    def rows(self, start: int, stop: int) -> np.ndarray:
        """See `Rows`."""
        light = background(self.light, (self.shape[0], self.shape[1]), slice(start, stop))
        grey = to_grey(self.source.rows(start, stop)).astype(np.float32)
        return (grey / light)[:, :, np.newaxis]


def _means(source: Rows, field: Field) -> tuple[np.ndarray, np.ndarray]:
    """Means of the parts of a grid, and which count; sums of integers, hence exact."""
    shape = source.shape[0], source.shape[1]
    edges = [grid(n) for n in shape]
    sums, counts = (np.zeros([len(one) for one in edges]) for _ in range(2))
    for start, stop in spans(shape):
        inside = field.rows(start, stop)
        grey = np.where(inside, to_grey(source.rows(start, stop)), 0)
        part = np.searchsorted(edges[0], np.arange(start, stop), side="right") - 1
        for total, values in ((sums, grey), (counts, inside)):
            lines = np.add.reduceat(values, edges[1], axis=1, dtype=np.float64)
            np.add.at(total, part, lines)
    return means_of(sums, counts, shape)
