"""Images that are read row by row, so that one of any height fits in memory.

`Rows` is the interface of a large image: its shape, its type, and the pixels of some whole rows.
Numbers of a whole image (percentiles, histograms of CLAHE, the light) come from passes over its
rows and are those of the whole image, not of a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import cv2
import numpy as np

from coverslip.errors import CoverslipError

PART = 2**22
"""Pixels that are worked on at once, about."""


class Unfit(CoverslipError):
    """An image that cannot be read to its end, or is not fit for a model: others may well be."""


class Rows(Protocol):
    """An image that gives its rows."""

    shape: tuple[int, ...]
    """Height, width and channels."""
    dtype: np.dtype

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Rows from `start` to before `stop`, (stop - start) x W x C; not to be changed."""
        ...


class Whole:
    """An array, HxWxC, as `Rows`."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.shape = array.shape
        self.dtype = array.dtype

    def rows(self, start: int, stop: int) -> np.ndarray:
        """See `Rows`."""
        return self.array[start:stop]


class Mapped:
    """`Rows` whose pixels are a function of those of another image.

    Args:
        source: the other image.
        function: from some rows of it, HxWxC, and the number of the first one, to the new pixels.
        channels: their channels.
        dtype: their type.
    """

    def __init__(
        self,
        source: Rows,
        function: Callable[[np.ndarray, int], np.ndarray],
        channels: int,
        dtype: np.dtype,
    ) -> None:
        self.source = source
        self.function = function
        self.shape = (*source.shape[:2], channels)
        self.dtype = dtype

    def rows(self, start: int, stop: int) -> np.ndarray:
        """See `Rows`."""
        return self.function(self.source.rows(start, stop), start)


class Cached:
    """`Rows` that reads blocks of rows and keeps those of the last request.

    Args:
        source: what is read.
        block: rows of a block: a multiple of the rows that a file is compressed by.
    """

    def __init__(self, source: Rows, block: int) -> None:
        self.source = source
        self.block = block
        self.shape = source.shape
        self.dtype = source.dtype
        self._kept: dict[int, np.ndarray] = {}

    def rows(self, start: int, stop: int) -> np.ndarray:
        """See `Rows`."""
        numbers = range(start // self.block, (stop - 1) // self.block + 1)
        self._kept = {n: pixels for n, pixels in self._kept.items() if n in numbers}
        for n in numbers:
            if n not in self._kept:
                end = min((n + 1) * self.block, self.shape[0])
                self._kept[n] = self.source.rows(n * self.block, end)
        first = numbers[0] * self.block
        if len(numbers) == 1:
            return self._kept[numbers[0]][start - first : stop - first]
        pieces = [
            self._kept[n][max(0, start - n * self.block) : stop - n * self.block] for n in numbers
        ]
        return np.concatenate(pieces)


def spans(shape: Sequence[int], pixels: int | None = None) -> Iterator[tuple[int, int]]:
    """First row of each part of about so many pixels (`PART`), and the first beyond it."""
    step = max(1, (pixels or PART) // shape[1])
    for start in range(0, shape[0], step):
        yield start, min(start + step, shape[0])


def parts(source: Rows) -> Iterator[np.ndarray]:
    """Yield the image in parts of about `PART` pixels, from the top on."""
    for start, stop in spans(source.shape):
        yield source.rows(start, stop)


def percentile(counts: np.ndarray, share: float) -> float:
    """Percentile of integers from their histogram, as `numpy.percentile` interpolates it.

    Args:
        counts: how often 0, 1, 2, ... occur.
        share: 0..100.
    """
    sums = np.cumsum(counts)
    place = (int(sums[-1]) - 1) * (share / 100)
    low = int(np.floor(place))
    below, above = np.searchsorted(sums, [low, min(low + 1, int(sums[-1]) - 1)], side="right")
    part = place - low
    if part >= 0.5:
        return float(above - (above - below) * (1 - part))
    return float(below + (above - below) * part)


def histogram(values: np.ndarray) -> np.ndarray:
    """Return how often each value of an array of uint8 or uint16 occurs, int64."""
    bins = np.iinfo(values.dtype).max + 1
    flat = np.ascontiguousarray(values).reshape(1, -1)
    counts = np.zeros(bins, np.int64)
    for start in range(0, flat.shape[1], PART):  # OpenCV counts in float32: exact up to 2**24
        part = cv2.calcHist([flat[:, start : start + PART]], [0], None, [bins], [0, bins])
        counts += part.ravel().astype(np.int64)
    return counts
