"""Objects of an image whose predictions come band by band: nothing is cut at a seam.

Connected regions are numbered band by band, and numbers that touch across a seam are found to be
one at the end (two passes: Rosenfeld and Pfaltz, J. ACM 13, 1966; the unions by scipy). So a region
of any size is one, and seeds of a watershed have the same number on both sides of every seam. The
watershed itself fills windows with a margin of `MARGIN` pixels and keeps what lies in their middle:
the same as in the whole image wherever a pixel and the seeds around it lie in one window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.segmentation import watershed

from coverslip.imaging.rows import regrouped
from coverslip.models.heads import INSTANCES, foreground
from coverslip.models.model import Model
from coverslip.models.watershed import EIGHT, normalized_distance

MARGIN = 128
"""Pixels around a window of the watershed, and the largest height and width of a hole that is
closed: more than any nucleus, and most cells, are wide."""

STEP = 256
"""Rows of a window."""

CHUNK = 1024
"""Columns of a window."""


class Band(NamedTuple):
    """Some rows of an image, all that there is to know of them."""

    mask: np.ndarray
    """bool hxW, foreground."""
    label: np.ndarray
    """int32 hxW: provisional numbers of objects, from 1; below 0 those without a seed."""


class Regions:
    """8-connected regions of a mask that comes band by band."""

    def __init__(self) -> None:
        self.count = 0
        self._last: np.ndarray | None = None
        self._pairs: list[np.ndarray] = []

    def add(self, mask: np.ndarray) -> np.ndarray:
        """Number the regions of the next rows, int32 hxW from 1; see `numbers`.

        Args:
            mask: bool hxW.
        """
        label, found = ndimage.label(mask, EIGHT)
        label = np.where(label > 0, label + self.count, 0).astype(np.int32)
        self.count += found
        if self._last is not None:
            self._pairs.append(_touching(self._last, label[0]))
        self._last = label[-1].copy()
        return label

    def numbers(self) -> np.ndarray:
        """From provisional numbers to those of the regions, int64; 0 stays.

        A region has the smallest of its provisional numbers, so regions are in the order of their
        first pixels, row by row.
        """
        pairs = np.concatenate([np.zeros((0, 2), np.int64), *self._pairs])
        size = self.count + 1
        graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (size, size))
        _, groups = connected_components(graph, directed=False)
        _, first = np.unique(groups, return_index=True)
        return first[groups]


def _touching(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Pairs of numbers of two rows that touch by sides or corners, Nx2."""
    width = len(above)
    found = []
    for shift in (-1, 0, 1):
        upper = above[max(0, shift) : width + min(0, shift)]
        lower = below[max(0, -shift) : width + min(0, -shift)]
        both = (upper > 0) & (lower > 0)
        found.append(np.stack([upper[both], lower[both]], axis=1))
    return np.unique(np.concatenate(found), axis=0).astype(np.int64)


class Objects:
    """Objects of an image whose predictions come band by band.

    Args:
        model: of a segmentation.
    """

    def __init__(self, model: Model) -> None:
        self.model = model
        self.seeded = Regions()
        self.rest = Regions()

    def smallest(self, areas: np.ndarray) -> int:
        """Objects of fewer pixels are none for the model; see `Rules.smallest`."""
        return self.model.rules.smallest(areas) if self.model.head == INSTANCES else 0

    def bands(self, answers: Iterable[np.ndarray]) -> Iterator[Band]:
        """Masks and provisional objects of an image, from the top on.

        Args:
            answers: float32 hxWxK from the top on, as `predict_rows.answers` gives them.
        """
        if self.model.head == INSTANCES:
            yield from self._instances(answers)
            return
        for answer in answers:
            mask = self.model.mask(answer) > 0
            yield Band(mask, self.seeded.add(mask))

    def _instances(self, answers: Iterable[np.ndarray]) -> Iterator[Band]:
        rules = self.model.rules
        masks = (
            (
                self.model.mask(answer) > 0,
                foreground(answer) >= rules.threshold,
                normalized_distance(answer),
            )
            for answer in answers
        )
        for (mask, filled, depth, seeds), above, rows in regrouped(
            self._with_seeds(masks, rules.seed), STEP, MARGIN
        ):
            middle = slice(above, above + rows)
            label = _flooded(filled, depth, seeds, middle)
            rest = self.rest.add(filled[middle] & (label == 0))
            yield Band(mask[middle], np.where(rest > 0, -rest, label))

    def _with_seeds(
        self, masks: Iterable[tuple[np.ndarray, ...]], level: float
    ) -> Iterator[tuple[np.ndarray, ...]]:
        """Close holes, and number the seeds."""
        for (mask, closed, depth), above, rows in regrouped(masks, STEP, MARGIN):
            middle = slice(above, above + rows)
            filled = holes_closed(closed, MARGIN)[middle]
            seeds = self.seeded.add(filled & (depth[middle] >= level))
            yield mask[middle], filled, depth[middle], seeds


def holes_closed(mask: np.ndarray, largest: int) -> np.ndarray:
    """Close holes of a mask that are at most so high and wide and do not touch the border."""
    label, count = ndimage.label(~mask)
    keep = np.zeros(count + 1, bool)
    for number, (rows, columns) in enumerate(ndimage.find_objects(label), start=1):
        inside = rows.start > 0 and columns.start > 0
        inside = inside and rows.stop < mask.shape[0] and columns.stop < mask.shape[1]
        size = max(rows.stop - rows.start, columns.stop - columns.start)
        keep[number] = inside and size <= largest
    return mask | keep[label]


def _flooded(filled: np.ndarray, depth: np.ndarray, seeds: np.ndarray, middle: slice) -> np.ndarray:
    """Watershed from the seeds over some rows, window by window."""
    width = filled.shape[1]
    label = np.zeros((middle.stop - middle.start, width), np.int32)
    for start in range(0, width, CHUNK):
        stop = min(start + CHUNK, width)
        if not filled[middle, start:stop].any():
            continue
        first = max(0, start - MARGIN)
        window = np.s_[:, first : min(width, stop + MARGIN)]
        found = watershed(-depth[window], seeds[window], mask=filled[window])
        label[:, start:stop] = found[middle, start - first : stop - first]
    return label
