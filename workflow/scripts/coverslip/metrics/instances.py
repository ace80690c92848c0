"""Scores of objects from numbers of matched, true and predicted ones.

`coverslip.metrics.matching` describes how objects are matched. Functions named `image_*` are for
single images, where an image without any object, true or predicted, scores 1.
"""

from __future__ import annotations

import cv2
import numpy as np

from coverslip.metrics.matching import PERCENT, Matching
from coverslip.metrics.metric import ratio

STATISTICS = (
    "n_true",
    "n_predicted",
    *(f"tp_{percent}" for percent in PERCENT),
    "iou_50",
    "splits",
    "merges",
    "missed",
    "spurious",
)
"""What is counted on an image: objects, matched pairs at each threshold of the IoU in percent, the
sum of the IoU of the pairs at 0.5, and objects with errors, see `matching.Matching`."""


def statistics(matching: Matching) -> list[float]:
    """Return the numbers of one image in the order of `STATISTICS`."""
    return [
        matching.n_true,
        matching.n_predicted,
        *matching.tp.tolist(),
        float(matching.iou_sum[0]),
        matching.splits,
        matching.merges,
        matching.missed,
        matching.spurious,
    ]


def inputs(columns: np.ndarray) -> dict[str, np.ndarray]:
    """Return the inputs of the metrics of instances from `STATISTICS` of N images, (N, S)."""
    named = dict(zip(STATISTICS, np.asarray(columns, float).T, strict=True))
    return named | {"tp": np.stack([named[f"tp_{percent}"] for percent in PERCENT], axis=-1)}


def average_precision(tp: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return TP / (TP + FP + FN)."""
    return ratio(tp, true + predicted - tp)


def mean_average_precision(tp: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the mean of `average_precision` over the thresholds of `tp`, (..., 10)."""
    return average_precision(tp, true[..., None], predicted[..., None]).mean(axis=-1)


def f1(tp: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return 2 TP / (2 TP + FP + FN)."""
    return ratio(2 * tp, true + predicted)


def panoptic_quality(iou: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the sum of matched IoU / (TP + FP / 2 + FN / 2)."""
    return ratio(2 * iou, true + predicted)


def image_average_precision(tp: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return `average_precision` of single images."""
    return np.where(true + predicted == 0, 1.0, average_precision(tp, true, predicted))


def image_mean_average_precision(
    tp: np.ndarray, true: np.ndarray, predicted: np.ndarray
) -> np.ndarray:
    """Return `mean_average_precision` of single images."""
    return np.where(true + predicted == 0, 1.0, mean_average_precision(tp, true, predicted))


def image_f1(tp: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return `f1` of single images."""
    return np.where(true + predicted == 0, 1.0, f1(tp, true, predicted))


def image_panoptic_quality(iou: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return `panoptic_quality` of single images."""
    return np.where(true + predicted == 0, 1.0, panoptic_quality(iou, true, predicted))


def count_error(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return the predicted minus the true number of objects."""
    return predicted - true


def absolute_count_error(predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return the absolute difference of the predicted and the true number of objects."""
    return np.abs(predicted - true)


def count_labels(label: np.ndarray) -> int:
    """Count the objects of a label image (int HxW, 0 is background)."""
    return int(np.count_nonzero(np.bincount(label.ravel())[1:]))


def count_components(mask: np.ndarray, min_area_px: int) -> int:
    """Count the 8-connected components of a mask (bool HxW) with at least `min_area_px` pixels."""
    _, _, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return int(np.count_nonzero(facts[1:, cv2.CC_STAT_AREA] >= min_area_px))
