"""Images with a common area: patches that were cut from one larger image, overlapping.

Neighbouring patches of a slide hold the same cells, so they must not be in two subsets of a
split, and many archives do not record the neighbours of a patch. Comparing all pairs at all offsets
is out of the question; instead each image names a few of its windows by their content alone, so
that an area that is in two images names the same windows in both:

1. every window of `WINDOW` x `WINDOW` pixels gets a hash of its content (a polynomial over rows and
   columns, as in Karp and Rabin, IBM J. Res. Dev. 31, 1987; two-dimensional: Bird, Inf. Process.
   Lett. 6, 1977);
2. in each square of neighbouring windows the one with the smallest hash is named (winnowing:
   Schleimer, Wilkerson and Aiken, SIGMOD 2003, here in two dimensions);
3. images that named windows of one hash are laid over each other so that these match, and share
   an area if all pixels of the overlap are equal.

Two images with a common area of at least `reach` pixels in height and in width, blank parts
aside, name a window in common for certain, and the third step lets nothing else pass. Time and
memory grow with the number of pixels, not with that of pairs; only a window that is found in many
unrelated images (such as a scale bar) is not followed further than `FOLLOWED` times. Scaled,
turned or newly compressed copies share no pixels and are not found.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from coverslip.data.duplicates import Pair

WINDOW = 8
"""Height and width of a window in pixels."""

REACHES = (16, 64)
"""Smallest and largest `reach`; in between it is a sixth of the smallest side of all images."""

FOLLOWED = 32
"""So many places further on in the list of equal windows one that matched none is compared."""

CACHED = 256
"""Images kept in memory while areas are compared."""

NONE = np.uint64(2**64 - 1)
"""Hash of windows without content."""

ROW, COLUMN = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)


def links(image: Callable[[int], np.ndarray], sizes: np.ndarray) -> list[Pair]:
    """Pairs of kind `overlap` that join all images with common areas, directly or in chains.

    Of images that are joined by others already no further pair is given: together with
    `duplicates.components` the pairs define the groups, and there are fewer pairs than images.

    Args:
        image: gives the image (HxWxC, uint8 or uint16) of a position, 0..N-1.
        sizes: (N, 2) heights and widths in pixels.

    Returns:
        Sorted pairs; `distance` is 1 - common area / area of the smaller image.
    """
    if len(sizes) < 2:
        return []
    image = lru_cache(CACHED)(image)
    spread = reach(sizes) - WINDOW + 1
    found = [window_fingerprints(image(position), spread) for position in range(len(sizes))]
    owner = np.repeat(np.arange(len(sizes)), [len(hashes) for hashes, _ in found])
    hashes = np.concatenate([hashes for hashes, _ in found])
    places = np.concatenate([places for _, places in found])
    order = np.argsort(hashes, kind="stable")
    return _join(image, owner[order], hashes[order], places[order], sizes)


def reach(sizes: np.ndarray) -> int:
    """Height and width, in pixels, from which on a common area is found for certain."""
    smallest = int(np.min(sizes))
    return max(WINDOW, min(smallest, int(np.clip(smallest // 6, *REACHES))))


def window_fingerprints(image: np.ndarray, spread: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the windows that an image names: hashes (uint64 K) and rows and columns (int32 K x 2).

    Args:
        image: HxWxC, uint8 or uint16.
        spread: height and width of the squares of windows of which the smallest is named.
    """
    hashes = window_hashes(image)
    if min(hashes.shape, default=0) < spread:
        return np.empty(0, np.uint64), np.empty((0, 2), np.int32)
    smallest = _sliding(np.minimum, hashes, spread)
    padded = np.pad(smallest, spread - 1)
    rows, columns = np.nonzero((hashes == _sliding(np.maximum, padded, spread)) & (hashes != NONE))
    return hashes[rows, columns], np.stack([rows, columns], axis=1).astype(np.int32)


def window_hashes(image: np.ndarray) -> np.ndarray:
    """Hash of each window of an image HxWxC: uint64, (H - WINDOW + 1) x (W - WINDOW + 1).

    Windows of hardly more than one value are in many images and identify none: they get `NONE`.
    """
    height, width = image.shape[0] - WINDOW + 1, image.shape[1] - WINDOW + 1
    if height < 1 or width < 1:
        return np.empty((0, 0), np.uint64)
    pixels = np.zeros(image.shape[:2], np.uint64)
    for channel in range(image.shape[2]):
        pixels = (pixels << np.uint64(16)) | image[:, :, channel].astype(np.uint64)
    mixed = _mix(pixels)
    across = mixed[:, :width].copy()
    for step in range(1, WINDOW):
        across = across * ROW + mixed[:, step : step + width]
    hashes = across[:height].copy()
    for step in range(1, WINDOW):
        hashes = hashes * COLUMN + across[step : step + height]
    changes = np.zeros((image.shape[0] + 1, image.shape[1]), np.int32)
    changes[1:, 1:] = np.cumsum(np.cumsum(pixels[:, 1:] != pixels[:, :-1], axis=0), axis=1)
    last = WINDOW - 1
    content = (
        changes[WINDOW:, last : last + width]
        - changes[:height, last : last + width]
        - changes[WINDOW:, :width]
        + changes[:height, :width]
    )
    return np.where(content >= WINDOW, _mix(hashes), NONE)


def _mix(values: np.ndarray) -> np.ndarray:
    """Scatter uint64 values evenly (the finalizer of SplitMix64: Steele et al., OOPSLA 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _sliding(smaller: np.ufunc, values: np.ndarray, length: int) -> np.ndarray:
    """Minimum or maximum of each square of `length` x `length` values, in log2(length) steps."""
    for axis in (0, 1):
        done = 1
        while done < length:
            step = min(done, length - done)
            count = values.shape[axis] - step
            values = smaller(
                np.take(values, np.arange(count), axis),
                np.take(values, np.arange(count) + step, axis),
            )
            done += step
    return values


def _join(
    image: Callable[[int], np.ndarray],
    owner: np.ndarray,
    hashes: np.ndarray,
    places: np.ndarray,
    sizes: np.ndarray,
) -> list[Pair]:
    """Pairs that join images, from windows sorted by hash.

    Windows of one hash are compared with the next one in the list, then, where that joined
    nothing, with the one after it, and so on. What is joined already is not looked at again.
    """
    parent = np.arange(len(sizes))
    found: list[Pair] = []
    refuted: set[tuple[int, ...]] = set()
    for lag in range(1, FOLLOWED + 1):
        equal = np.flatnonzero(hashes[lag:] == hashes[:-lag])
        if not len(equal):
            break
        roots = np.array([_root(parent, position) for position in range(len(parent))])
        equal = equal[roots[owner[equal]] != roots[owner[equal + lag]]]
        offsets = places[equal] - places[equal + lag]
        candidates = np.column_stack([owner[equal], owner[equal + lag], offsets])
        for candidate in map(tuple, np.unique(candidates, axis=0).tolist()):
            a, b = _root(parent, candidate[0]), _root(parent, candidate[1])
            if a == b or candidate in refuted:
                continue
            area = common_area(image(candidate[0]), image(candidate[1]), candidate[2:])
            if area == 0:
                refuted.add(candidate)
                continue
            parent[max(a, b)] = min(a, b)
            smaller = int(sizes[list(candidate[:2])].prod(axis=1).min())
            distance = round(1 - area / smaller, 4)
            found.append(Pair(min(candidate[:2]), max(candidate[:2]), "overlap", distance))
    return sorted(found, key=lambda pair: (pair.a, pair.b))


def _root(parent: np.ndarray, position: int) -> int:
    """Root of an image in the forest of joined images; paths are halved on the way."""
    while parent[position] != position:
        parent[position] = parent[parent[position]]
        position = int(parent[position])
    return position


def common_area(first: np.ndarray, second: np.ndarray, offset: tuple[int, ...]) -> int:
    """Pixels of the overlap of two images, if all of them are equal there; else 0.

    Args:
        first, second: HxWxC. offset: row and column of the second's corner in the first.
    """
    if first.shape[2] != second.shape[2] or first.dtype != second.dtype:
        return 0
    (row, column), (height, width) = offset, second.shape[:2]
    part = first[max(row, 0) : row + height, max(column, 0) : column + width]
    other = second[max(-row, 0) :, max(-column, 0) :][: part.shape[0], : part.shape[1]]
    if part.shape != other.shape or not np.array_equal(part, other):
        return 0
    return part.shape[0] * part.shape[1]
