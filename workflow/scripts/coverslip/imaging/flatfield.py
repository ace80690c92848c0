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

from collections.abc import Callable

import numpy as np
from numpy.polynomial import legendre

from coverslip.imaging.intensity import to_grey
from coverslip.imaging.rows import Mapped, Rows, spans

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


def fit_background(source: Rows, inside: Callable[[slice], np.ndarray] | None = None) -> np.ndarray:
    """Fit the background of an image.

    An image times a smooth field of light gives nearly the background times that field, as long
    as the logarithm of the field is a polynomial of degree `DEGREE`.

    Args:
        source: HxWxC, uint8, uint16 or float, 0 is no light.
        inside: from some rows to which of their pixels count, bool; none: all do.

    Returns:
        float64 (`DEGREE` + 1) x (`DEGREE` + 1): coefficients of Legendre polynomials of the
        logarithm, over y and x from -1 to 1. All zero where nothing counts.
    """
    means, there = _grid_means(source, inside)
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
    coefficients: np.ndarray,
    shape: tuple[int, int],
    rows: slice = slice(None),
    columns: slice = slice(None),
) -> np.ndarray:
    """Return the background that `fit_background` found, float32, in the units of the image.

    Args:
        coefficients: what it returned.
        shape: height and width of the image in pixels.
        rows, columns: a window of it.
    """
    y, x = (legendre.legvander(_positions(n), DEGREE) for n in shape)
    return np.exp(y[rows] @ coefficients @ x[columns].T).astype(np.float32)


def correct_light(source: Rows, inside: Callable[[slice], np.ndarray] | None = None) -> Rows:
    """Return an image with its background divided out, in its own type and of the same mean level.

    Args:
        source: HxWxC, uint8 or uint16; all channels are divided by the background of the grey.
        inside: see `fit_background`.
    """
    coefficients = fit_background(source, inside)
    shape, level = (source.shape[0], source.shape[1]), np.float32(np.exp(coefficients[0, 0]))

    def even(pixels: np.ndarray, start: int) -> np.ndarray:
        light = background(coefficients, shape, slice(start, start + len(pixels))) / level
        values = np.rint(pixels / light[:, :, np.newaxis])
        return np.clip(values, 0, np.iinfo(source.dtype).max).astype(source.dtype)

    return Mapped(source, even, source.shape[2], source.dtype)


def _positions(length: int) -> np.ndarray:
    """Middles of so many parts of the range -1..1."""
    return (2 * np.arange(length) + 1) / length - 1


def _grid_means(
    source: Rows, inside: Callable[[slice], np.ndarray] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return means of the parts of a grid, float64, and which count: more than half in the field.

    Sums of integers are exact, whatever the parts that the image is read in.
    """
    shape = (source.shape[0], source.shape[1])
    edges = [np.arange(min(GRID, n)) * n // min(GRID, n) for n in shape]
    sums, counts = (np.zeros([len(one) for one in edges]) for _ in range(2))
    for start, stop in spans(shape):
        grey = to_grey(source.rows(start, stop))
        counted = np.ones(grey.shape, bool) if inside is None else inside(slice(start, stop))
        part = np.searchsorted(edges[0], np.arange(start, stop), side="right") - 1
        for total, values in ((sums, np.where(counted, grey, 0)), (counts, counted)):
            lines = np.add.reduceat(values, edges[1], axis=1, dtype=np.float64)
            np.add.at(total, part, lines)
    areas = np.outer(*(np.diff([*edge, n]) for edge, n in zip(edges, shape, strict=True)))
    return np.maximum(sums / np.maximum(counts, 1), DARKEST), counts > areas / 2
