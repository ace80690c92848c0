"""Scores of a classification of images: from confusion matrices, probabilities and their bins.

Rows of a confusion matrix are the truth, columns the prediction, as in scikit-learn. Probabilities
are used twice: as the network gives them (raw), and divided by the temperature that was fitted on
validation (`coverslip.models.heads`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from coverslip.metrics.metric import ratio
from coverslip.metrics.pixels import f1, precision, recall

BINS = 15
"""Bins of confidence, of equal width."""

MIN_PROBABILITY = 1e-7
"""Smaller probabilities of the true class count as this in the log loss."""


def statistics(truth: np.ndarray, raw: np.ndarray, calibrated: np.ndarray) -> dict[str, np.ndarray]:
    """Return the inputs of the metrics of a classification for N images.

    Args:
        truth: (N,) int, true classes 0..K-1.
        raw: (N, K) probabilities, rows sum to 1; the most probable class is the prediction.
        calibrated: (N, K) the same with temperature.
    """
    images, classes = raw.shape
    rows = np.arange(images)
    predicted = raw.argmax(axis=1)
    confusion = np.zeros((images, classes, classes))
    confusion[rows, truth, predicted] = 1
    tp = np.diagonal(confusion, axis1=1, axis2=2)
    correct = predicted == truth
    return {
        "images": np.ones(images),
        "confusion": confusion,
        "class_tp": tp,
        "class_fp": confusion.sum(axis=1) - tp,
        "class_fn": confusion.sum(axis=2) - tp,
        "class_images": confusion.sum(axis=2),
        "true_probability": calibrated[rows, truth],
        "true_probability_raw": raw[rows, truth],
        "bins": bin_confidences(calibrated.max(axis=1), correct),
        "bins_raw": bin_confidences(raw.max(axis=1), correct),
    }


def bin_confidences(confidence: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Return the bin of each image in the reliability diagram.

    Bin m of M contains the confidences in ((m - 1) / M, m / M].

    Returns:
        float64 (N, BINS, 3): images, correct ones, sum of their confidence.
    """
    rows = np.arange(len(confidence))
    place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    bins = np.zeros((len(confidence), BINS, 3))
    bins[rows, place] = np.stack([np.ones(len(rows)), correct, confidence], axis=-1)
    return bins


def accuracy(confusion: np.ndarray) -> np.ndarray:
    """Return the fraction of images whose class is correct, from (..., K, K)."""
    return ratio(np.trace(confusion, axis1=-2, axis2=-1), confusion.sum(axis=(-2, -1)))


def balanced_accuracy(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """Return the mean recall of the classes for which it is defined, from (..., K)."""
    return _macro(recall(tp, fp, fn))


def macro_precision(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """Return the mean precision of the classes for which it is defined, from (..., K)."""
    return _macro(precision(tp, fp, fn))


def macro_f1(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """Return the mean F1 of the classes for which it is defined, from (..., K)."""
    return _macro(f1(tp, fp, fn))


def _macro(values: np.ndarray) -> np.ndarray:
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1))


def log_loss(probability: np.ndarray) -> np.ndarray:
    """Return -ln of the probability of the true class of each image."""
    return -np.log(np.maximum(probability, MIN_PROBABILITY))


def penalized_log_loss(probability: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """Return the log loss of each image plus the penalty on the weights, in nats."""
    return log_loss(probability) + penalty


def expected_calibration_error(bins: np.ndarray) -> np.ndarray:
    """Return the mean over images of |fraction correct - mean confidence| of their bins.

    Args:
        bins: (..., BINS, 3), sums of `bin_confidences`.
    """
    difference = np.abs(bins[..., 1] - bins[..., 2]).sum(axis=-1)
    return ratio(difference, bins[..., 0].sum(axis=-1))


def top_confusions(
    counts: np.ndarray, classes: Sequence[str], most: int = 10
) -> list[dict[str, object]]:
    """Return the most frequent errors, most frequent first.

    Args:
        counts: (K, K) confusion matrix.
        classes: names of the classes.
        most: number of errors, at most.

    Returns:
        One dictionary for each error: `true`, `predicted`, `images`, and their `fraction` of the
        true class.
    """
    wrong = [
        (-int(counts[i, j]), i, j)
        for i in range(len(classes))
        for j in range(len(classes))
        if i != j and counts[i, j] > 0
    ]
    return [
        {
            "true": classes[i],
            "predicted": classes[j],
            "images": -negative,
            "fraction": round(-negative / float(counts[i].sum()), 6),
        }
        for negative, i, j in sorted(wrong)[:most]
    ]
