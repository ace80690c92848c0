"""Even light: the background of an image is estimated from the image alone and divided out.

What a camera counts is the light times what the specimen lets through, so an uneven light is
divided out, not subtracted (Leong, Brady and McGee, "Correction of uneven illumination (vignetting)
in digital microscopy images", J. Clin. Pathol. 56, 2003). The light is smooth: the logarithm of the
background is a polynomial in x and y, which suits a tilted light and the vignetting of a lens. It
is fitted robustly, so that cells, which are darker or brighter than the background around them,
have no weight: iteratively reweighted least squares with Tukey's biweight (Beaton and Tukey,
Technometrics 16, 1974) and its scale from the median absolute deviation.
"""

from __future__ import annotations

import numpy as np
from numpy.polynomial import legendre

DEGREE = 2
"""Largest total degree of the polynomial: more would follow colonies of cells."""

GRID = 64
"""The polynomial is fitted to the means of this many by this many parts of the image."""

BIWEIGHT = 4.685
"""Tukey's constant: 95 % efficiency where the deviations are normal."""

DEVIATION = 1.4826
"""From the median absolute deviation to a standard deviation, where they are normal."""

ROUNDS = 20
"""Rounds of reweighting; the weights have settled by then."""

RANK = 1e-10
"""Normal equations that depend on others up to this share are left out."""

SMALLEST = 1e-4
"""Least scale of the deviations: nothing is divided by zero in an image without any."""

DARKEST = 0.5
"""Least grey value: black has no logarithm."""


def fit_background(grey: np.ndarray, field: np.ndarray | None = None) -> np.ndarray:
    """Fit the background of an image.

    An image times a smooth field of light gives nearly the background times that field, as long
    as the logarithm of the field is a polynomial of degree `DEGREE`.

    Args:
        grey: HxW, uint8, uint16 or float, 0 is no light.
        field: bool HxW, what of the image counts; none: all of it.

    Returns:
        float64 (`DEGREE` + 1) x (`DEGREE` + 1): coefficients of Legendre polynomials of the
        logarithm, over y and x from -1 to 1. All zero where nothing counts.
    """
    return fit_parts(*_parts(grey, field))


def fit_parts(means: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Fit the background to the means of the parts of an image; see `fit_background`.

    Args:
        means: float64, at most `GRID` x `GRID`, above 0.
        there: bool, which of them count.
    """
    coefficients = np.zeros((DEGREE + 1, DEGREE + 1))
    if not there.any():
        return coefficients
    powers = [(i, j) for i in range(DEGREE + 1) for j in range(DEGREE + 1 - i)]
    along_y, along_x = (legendre.legvander(_positions(n), DEGREE) for n in means.shape)
    columns = [np.outer(along_y[:, i], along_x[:, j])[there] for i, j in powers]
    design, target = np.stack(columns, axis=1), np.log(means[there])
    weight = np.ones(len(target))
    for _ in range(ROUNDS):
        weighted = design * weight[:, np.newaxis]
        # The few normal equations are well conditioned, but for images of very few pixels.
        found = np.linalg.lstsq(weighted.T @ design, weighted.T @ target, rcond=RANK)[0]
        away = target - design @ found
        scale = DEVIATION * np.median(np.abs(away)) + SMALLEST
        weight = np.clip(1 - (away / (BIWEIGHT * scale)) ** 2, 0, None) ** 2
    for (i, j), value in zip(powers, found, strict=True):
        coefficients[i, j] = value
    return coefficients


def background(
    coefficients: np.ndarray, shape: tuple[int, int], rows: slice | None = None
) -> np.ndarray:
    """Return the background that `fit_background` found, float32, in the units of the image.

    Args:
        coefficients: what it returned.
        shape: height and width of the image in pixels.
        rows: which rows of it; none: all.
    """
    y, x = (legendre.legvander(_positions(n), DEGREE) for n in shape)
    return np.exp(y[rows or slice(None)] @ coefficients @ x.T).astype(np.float32)


def _positions(length: int) -> np.ndarray:
    """Middles of so many parts of the range -1..1."""
    return (2 * np.arange(length) + 1) / length - 1


def _parts(grey: np.ndarray, field: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Means of the parts of a grid, float64, and which parts count: more than half in the field."""
    edges = [grid(n) for n in grey.shape]
    counts = None
    if field is not None:
        grey = np.where(field, grey, np.zeros((), grey.dtype))
        counts = _sums(field, edges)
    return means_of(_sums(grey, edges), counts, grey.shape)


def grid(length: int) -> np.ndarray:
    """First places of the parts of an axis."""
    return np.arange(min(GRID, length)) * length // min(GRID, length)


def means_of(
    sums: np.ndarray, counts: np.ndarray | None, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Means of the parts of a grid, and which count, from their sums.

    Args:
        sums: float64, sum of the grey values that count in each part.
        counts: how many these are; none: all.
        shape: height and width of the image.
    """
    areas = np.outer(*(np.diff([*grid(n), n]) for n in shape))
    counts = areas.astype(np.float64) if counts is None else counts
    return np.maximum(sums / np.maximum(counts, 1), DARKEST), counts > areas / 2


def _sums(array: np.ndarray, edges: list[np.ndarray]) -> np.ndarray:
    rows = np.add.reduceat(array, edges[0], axis=0, dtype=np.float64)
    return np.add.reduceat(rows, edges[1], axis=1)
