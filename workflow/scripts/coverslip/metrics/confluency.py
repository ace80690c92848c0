"""Confluency: the percentage of the field of view that cells cover, and its error.

Pixels outside the field of view (black surroundings, `coverslip.imaging.field_of_view`) do not
count. All functions are vectorized over images; an image without a field of view has NaN.
"""

from __future__ import annotations

import numpy as np

from coverslip.metrics.metric import ratio

BANDS = ((0, 25), (25, 50), (50, 75), (75, 100))
"""Bands of the true confluency in percent; a band contains its lower end, the last one both."""


def percent(covered: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Return the covered percentage of the field of view, from numbers of pixels."""
    return 100 * ratio(np.asarray(covered, float), np.asarray(field, float))


def error(predicted: np.ndarray, true: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Return the predicted minus the true confluency in percentage points."""
    return percent(predicted, field) - percent(true, field)


def absolute_error(predicted: np.ndarray, true: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Return the absolute error of the confluency in percentage points."""
    return np.abs(error(predicted, true, field))


def in_band(
    predicted: np.ndarray, true: np.ndarray, field: np.ndarray, low: float, high: float
) -> np.ndarray:
    """Return whether the true confluency is in a band, bool."""
    value = percent(true, field)
    return (value >= low) & ((value < high) | (high == BANDS[-1][1]))
