"""Confidence of segmented objects: the probability that an object matches a true one.

A logistic regression on three features of an object, fitted after training on validation images of
acquisitions that the network did not see. Of objects with confidence 0.8, four in five match a true
object at IoU 0.5 (Guo et al., On calibration of modern neural networks, ICML 2017, for the idea of
calibrating after training).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from scipy import ndimage
from scipy.special import expit, logit

FEATURES = ("inside", "outside", "relative_area")
"""Names of the columns that `object_features` returns."""

RING_PX = 2
"""Width of the ring around an object whose pixels are `outside`, in pixels."""

CLIP = 0.001
"""Probabilities are clipped to this and to 1 minus this before their logit is taken."""

MIN_OBJECTS = 50
"""Fewer objects, or fewer matched or unmatched ones than a tenth of this, give no fit."""


def object_features(foreground: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return what the confidence of each object of an image depends on.

    Args:
        foreground: probability of foreground, float HxW, 0..1.
        labels: label image, integers HxW, 0 is background, numbered from 1 without gaps.

    Returns:
        float64 (objects, 3): logit of the mean probability inside; logit of the mean probability of
        the background within `RING_PX` pixels around, which is that of 0 where there is none; and
        the natural logarithm of the area over the median area of the image.
    """
    inside = _mean_inside(foreground, labels)
    count = len(inside)
    if count == 0:
        return np.empty((0, len(FEATURES)))
    area = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * RING_PX + 1, 2 * RING_PX + 1))
    # A pixel near two objects counts for the one of the larger number.
    grown = cv2.dilate(labels.astype(np.float32), kernel).astype(labels.dtype)
    ring = np.where(labels == 0, grown, 0)
    sums = np.bincount(ring.ravel(), foreground.ravel(), minlength=count + 1)[1:]
    outside = sums / np.maximum(np.bincount(ring.ravel(), minlength=count + 1)[1:], 1)
    return np.stack([_logit(inside), _logit(outside), np.log(area / np.median(area))], axis=1)


def fit(features: np.ndarray, matched: np.ndarray) -> list[float] | None:
    """Fit a logistic regression with a weak penalty.

    Args:
        features: (N, 3) of objects, see `object_features`.
        matched: bool (N,), whether an object matches a true one at IoU 0.5.

    Returns:
        Intercept and three weights; None where there are too few objects.
    """
    from sklearn.linear_model import LogisticRegression

    matched = np.asarray(matched, bool)
    rarer = min(matched.sum(), (~matched).sum())
    if len(matched) < MIN_OBJECTS or rarer < MIN_OBJECTS / 10:
        return None
    fitted = LogisticRegression(C=1.0).fit(features, matched)
    return [float(fitted.intercept_[0]), *(float(weight) for weight in fitted.coef_[0])]


def object_confidence(
    foreground: np.ndarray, labels: np.ndarray, coefficients: Sequence[float] | None = None
) -> np.ndarray:
    """Return the confidence of each object of an image.

    Args:
        foreground: probability of foreground, float HxW, 0..1.
        labels: label image, integers HxW, 0 is background, numbered from 1 without gaps.
        coefficients: what `fit` returned; without it the result is the mean probability of
            foreground inside, which is not calibrated.

    Returns:
        float64 (objects,), 0..1, in the order of the numbers.

    Examples:
        >>> labels = np.array([[1, 1, 0, 2]])
        >>> object_confidence(np.array([[0.9, 0.7, 0.1, 0.6]]), labels).round(2)
        array([0.8, 0.6])
    """
    if coefficients is None:
        return _mean_inside(foreground, labels)
    intercept, *weights = coefficients
    scores: np.ndarray = expit(intercept + object_features(foreground, labels) @ np.array(weights))
    return scores


def _mean_inside(foreground: np.ndarray, labels: np.ndarray) -> np.ndarray:
    numbers = np.arange(1, int(labels.max(initial=0)) + 1)
    return np.asarray(ndimage.mean(foreground, labels, numbers), float).reshape(len(numbers))


def _logit(probability: np.ndarray) -> np.ndarray:
    clipped: np.ndarray = logit(np.clip(probability, CLIP, 1 - CLIP))
    return clipped
