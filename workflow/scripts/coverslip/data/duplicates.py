"""Pairs of images that must not be in two subsets of a split.

Three kinds, from the same pixels to the same specimen:

- `exact`: the same decoded pixels (equal SHA-256);
- `near`: the same view taken, scaled or stored twice (perceptual hash);
- `abutting`: tiles cut side by side from one field of view, so that nuclei on the common border are
  in both. In the training set of the 2018 Data Science Bowl most images are such tiles.

Flipped and turned copies are not looked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.fft import dctn
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

THUMBNAIL = 32
"""Height and width of the thumbnail that the perceptual hash is taken from."""

THUMBNAIL_CORRELATION = 0.8
"""Thumbnails of near duplicates correlate at least so much; it drops chance hits of the hash."""

EDGE_SAMPLES = 256
"""Longer borders are averaged to so many samples."""

EDGE_CONTRAST = 1.0
"""Borders with a smaller standard deviation (of 0..255) are empty and match nothing."""

PADDING_STEP = 2
"""Lines between black surroundings and what is of full brightness."""

PADDING_LEVEL = 0.25
"""Least brightness of a border next to black surroundings, as a fraction of that of the image."""

SEAM_CORRELATION = 0.9
"""Smallest correlation of the two border lines of abutting images."""

SEAM_STEP = 1.3
"""Largest step across a seam, in units of the step from the border line to the next one inside."""

STEP_FLOOR = 0.3
"""Added to the inner step (of 0..255), for images without noise."""

BLOCK = 512
"""Images compared at a time; memory is about `BLOCK` times the number of images times 16 B."""


@dataclass(frozen=True)
class Pair:
    """Two images by position, `a` before `b`.

    `distance` is 0 for `exact`, differing bits (0..64) for `near`, and 1 - correlation of the
    border lines for `abutting`.
    """

    a: int
    b: int
    kind: str
    distance: float


def thumbnail(grey: np.ndarray) -> np.ndarray:
    """Area-averaged float32 `THUMBNAIL` x `THUMBNAIL` copy of a grey image HxW float32."""
    return cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)


def inside_padding(grey: np.ndarray) -> np.ndarray:
    """Return the part of a grey image HxW (0..255) inside a black border from cropping.

    Two patches from the rim of two fields of view would be near duplicates for their black strips
    alone. Lines of 0 along a side are surroundings if the image is cut off sharply there: its
    median brightness next to them is at least `PADDING_LEVEL` of its own. Else, and where less than
    a thumbnail is left, it is the whole image (cells on a background that is black itself).
    """
    lit = grey > 0
    box = []
    for axis, length in ((1, grey.shape[0]), (0, grey.shape[1])):
        lines = np.flatnonzero(lit.any(axis=axis))
        first, last = (lines[0], lines[-1] + 1) if lines.size else (0, length)
        start = first + PADDING_STEP if first > 0 else 0
        box.append(slice(start, last - PADDING_STEP if last < length else length))
    part = grey[tuple(box)]
    if part.shape == grey.shape or min(part.shape) < THUMBNAIL:
        return grey
    edges = [part[0], part[-1], part[:, 0], part[:, -1]]
    cut = [box[0].start, grey.shape[0] - box[0].stop, box[1].start, grey.shape[1] - box[1].stop]
    levels = [np.median(line) for line, width in zip(edges, cut, strict=True) if width]
    return part if min(levels) >= PADDING_LEVEL * np.median(part) > 0 else grey


def perceptual_hash(small: np.ndarray) -> np.uint64:
    """64-bit perceptual hash (pHash) of a thumbnail.

    One bit for each of the 8x8 lowest frequencies of the discrete cosine transform: above the
    median of the 63 without the mean, whose own bit is 0. Brightness and contrast do not change it.
    Source: Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010.
    """
    low = dctn(small.astype(np.float64), norm="ortho")[:8, :8].ravel()
    bits = low > np.median(low[1:])
    bits[0] = False
    return np.packbits(bits).view(">u8")[0].astype(np.uint64)


def borders(grey: np.ndarray) -> dict[str, np.ndarray]:
    """Return the two outermost lines of each side of a grey image HxW (0..255).

    Keys `left`, `right`, `top`, `bottom`; values float16 2 x min(length, `EDGE_SAMPLES`), the
    border line first.
    """
    sides = {
        "left": grey[:, :2].T,
        "right": grey[:, :-3:-1].T,
        "top": grey[:2],
        "bottom": grey[:-3:-1],
    }
    return {name: _shorten(np.ascontiguousarray(lines)) for name, lines in sides.items()}


def _shorten(lines: np.ndarray) -> np.ndarray:
    samples = min(lines.shape[1], EDGE_SAMPLES)
    short = cv2.resize(lines, (samples, lines.shape[0]), interpolation=cv2.INTER_AREA)
    return short.astype(np.float16)


def exact_pairs(digests: Sequence[str]) -> list[Pair]:
    """Return each copy paired with the first image of the same digest."""
    first: dict[str, int] = {}
    found = []
    for position, digest in enumerate(digests):
        if digest in first:
            found.append(Pair(first[digest], position, "exact", 0.0))
        else:
            first[digest] = position
    return found


def near_pairs(hashes: np.ndarray, thumbnails: np.ndarray, distance: int) -> list[Pair]:
    """Pairs whose hashes differ in at most `distance` bits and whose thumbnails correlate.

    All pairs are compared, in blocks; the time grows with the square of the number: 2 s for 20,000.
    Images without contrast are left out: they have no view to be compared.

    Args:
        hashes: N, uint64. thumbnails: N x `THUMBNAIL` x `THUMBNAIL`, of images of one size.
        distance: in bits, 0..64.
    """
    flat = thumbnails.reshape(len(thumbnails), -1)
    structured = np.flatnonzero(flat.std(axis=1) > EDGE_CONTRAST / 2)
    codes = hashes[structured]
    found = []
    for start in range(0, len(codes), BLOCK):
        block = slice(start, start + BLOCK)
        bits = np.bitwise_count(codes[block, None] ^ codes[None, start:])
        for row, column in np.argwhere(bits <= distance):
            if column <= row:
                continue
            a, b = int(structured[start + row]), int(structured[start + column])
            if np.corrcoef(flat[a], flat[b])[0, 1] >= THUMBNAIL_CORRELATION:
                found.append(Pair(a, b, "near", float(bits[row, column])))
    return found


def abutting_pairs(sides: Sequence[dict[str, np.ndarray]]) -> list[Pair]:
    """Pairs that continue each other across a border: right to left, or bottom to top.

    Two borders match when each is the other's best match by correlation, the correlation is at
    least `SEAM_CORRELATION`, and the mean step across the seam is at most `SEAM_STEP` times the
    step to the next line inside. On the training set of the 2018 Data Science Bowl this finds 490
    seams among 664 images, most of them in squares of four; with one side mirrored, where no
    seam can be, it finds 2. The time grows with the square of the number of images: 8 s for
    20,000 on two cores.

    Args:
        sides: `borders` of each of N images of one size.
    """
    found: dict[tuple[int, int], Pair] = {}
    for end, begin in (("right", "left"), ("bottom", "top")):
        ends = np.array([side[end] for side in sides], np.float32)
        begins = np.array([side[begin] for side in sides], np.float32)
        for i, j, correlation in _seams(ends, begins):
            a, b = min(i, j), max(i, j)
            found.setdefault((a, b), Pair(a, b, "abutting", round(1 - correlation, 4)))
    return [found[key] for key in sorted(found)]


def _seams(ends: np.ndarray, begins: np.ndarray) -> list[tuple[int, int, float]]:
    """Matching borders (i ends where j begins) with their correlation; N x 2 x samples each."""
    if len(ends) < 2:
        return []
    first, second = _standardise(ends[:, 0]), _standardise(begins[:, 0])
    row_best = np.full(len(ends), -1)
    column_best = np.full(len(ends), -1)
    column_value = np.full(len(ends), -np.inf, np.float32)
    row_value = np.empty(len(ends), np.float32)
    for start in range(0, len(ends), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(ends)))
        alike = first[rows] @ second.T
        alike[rows - start, rows] = -1
        row_best[rows] = alike.argmax(axis=1)
        row_value[rows] = alike.max(axis=1)
        best = alike.argmax(axis=0)
        value = alike.max(axis=0)
        better = value > column_value
        column_best[better] = best[better] + start
        column_value[better] = value[better]
    found = []
    for i, j in enumerate(row_best):
        if row_value[i] < SEAM_CORRELATION or column_best[j] != i:
            continue
        inside = np.abs(ends[i, 0] - ends[i, 1]).mean() + np.abs(begins[j, 0] - begins[j, 1]).mean()
        step = np.abs(ends[i, 0] - begins[j, 0]).mean()
        if step <= SEAM_STEP * (inside / 2 + STEP_FLOOR):
            found.append((i, int(j), float(row_value[i])))
    return found


def _standardise(lines: np.ndarray) -> np.ndarray:
    """Scale to mean 0 and length 1 along the last axis; empty borders become 0, without matches."""
    centred = lines - lines.mean(axis=1, keepdims=True)
    deviation = centred.std(axis=1, keepdims=True)
    scale = np.where(deviation > EDGE_CONTRAST, deviation, np.inf) * np.sqrt(lines.shape[1])
    return (centred / scale).astype(np.float32)


def components(count: int, pairs: Sequence[Pair]) -> np.ndarray:
    """Connected components over pairs: for each of `count` images the number of its component,
    int64, counted from 0 in the order of the components' first images."""
    a = [pair.a for pair in pairs]
    b = [pair.b for pair in pairs]
    graph = coo_matrix((np.ones(len(pairs), np.int8), (a, b)), shape=(count, count))
    labels = connected_components(graph, directed=False)[1]
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]
