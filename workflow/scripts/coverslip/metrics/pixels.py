"""Scores of a mask from numbers of pixels: true and false, positive and negative.

Foreground is the positive class, as in scikit-learn. All functions are vectorized; numbers of
several classes are (..., K), with the positive class of each in its own column.
"""

from __future__ import annotations

import numpy as np

from coverslip.metrics.metric import ratio

COUNTS = ("tn", "fp", "fn", "tp")


def pixel_counts(truth: np.ndarray, prediction: np.ndarray) -> tuple[int, int, int, int]:
    """Count true negative, false positive, false negative and true positive pixels.

    Args:
        truth: bool HxW, true foreground.
        prediction: bool HxW, predicted foreground.
    """
    tp = int(np.count_nonzero(truth & prediction))
    fp = int(np.count_nonzero(prediction)) - tp
    fn = int(np.count_nonzero(truth)) - tp
    return truth.size - tp - fp - fn, fp, fn, tp


def statistics(
    counts: np.ndarray, true: np.ndarray, predicted: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the inputs of the metrics of masks for N images.

    Args:
        counts: (N, 4) pixels of each image in the order of `COUNTS`.
        true: (N,) number of true objects.
        predicted: (N,) number of predicted objects.
    """
    tn, fp, fn, tp = np.asarray(counts, float).reshape(-1, 4).T
    return {
        "tn": tn,
        "fp": fp,
        "fn": fn,
        "tp": tp,
        "pixels": tn + fp + fn + tp,
        "class_tp": np.stack([tn, tp], axis=-1),
        "class_fp": np.stack([fn, fp], axis=-1),
        "class_fn": np.stack([fp, fn], axis=-1),
        "class_pixels": np.stack([tn + fp, fn + tp], axis=-1),
        "n_true": np.asarray(true, float),
        "n_predicted": np.asarray(predicted, float),
    }


def accuracy(tn: np.ndarray, fp: np.ndarray, fn: np.ndarray, tp: np.ndarray) -> np.ndarray:
    """Return (TP + TN) / all pixels."""
    return ratio(tp + tn, tn + fp + fn + tp)


def predicted_background(
    tn: np.ndarray, fp: np.ndarray, fn: np.ndarray, tp: np.ndarray
) -> np.ndarray:
    """Return the fraction of pixels that are predicted as background."""
    return ratio(tn + fn, tn + fp + fn + tp)


def precision(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """Return TP / (TP + FP); 0 where the class exists and is never predicted."""
    return np.where((tp + fp == 0) & (fn > 0), 0.0, ratio(tp, tp + fp))


def recall(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """Return TP / (TP + FN)."""
    return ratio(tp, tp + fn)


def f1(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """Return 2 TP / (2 TP + FP + FN)."""
    return ratio(2 * tp, 2 * tp + fp + fn)


def iou(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """Return the intersection over union TP / (TP + FP + FN)."""
    return ratio(tp, tp + fp + fn)


def image_iou(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """Return the IoU of single images; 1 where truth and prediction have no foreground."""
    union = tp + fp + fn
    return np.where(union == 0, 1.0, tp / np.maximum(union, 1))


def image_dice(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """Return the Dice coefficient of single images; 1 where neither has foreground."""
    total = 2 * tp + fp + fn
    return np.where(total == 0, 1.0, 2 * tp / np.maximum(total, 1))


def balanced_accuracy(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """Return the mean recall of the classes, from (..., K)."""
    return recall(tp, fp, fn).mean(axis=-1)


def macro_precision(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """Return the mean precision of the classes, from (..., K)."""
    return precision(tp, fp, fn).mean(axis=-1)


def macro_f1(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """Return the mean F1 of the classes, from (..., K)."""
    return f1(tp, fp, fn).mean(axis=-1)
