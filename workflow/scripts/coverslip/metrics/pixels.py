"""Metrics of a segmentation, as functions of sums over images.

Each image is reduced to a few numbers (`STATISTICS`); every metric is a function of their sums
over images. So a metric of all images, of a run, of a baseline and of a thousand bootstrap
resamples is one and the same vectorised function. All functions take `sums` (..., S), S the number
of `STATISTICS`, and give (...) float64; what is undefined (nothing to divide by) is NaN.

Counts of pixels follow scikit-learn: rows of a confusion matrix are the truth, columns the
prediction; foreground is the positive class.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

STATISTICS = (
    "tn",
    "fp",
    "fn",
    "tp",
    "images",
    "iou",
    "dice",
    "n_true",
    "n_predicted",
    "objects_absolute_error",
)
"""What is kept of an image: pixel counts, 1, its IoU and Dice, and its counts of objects."""

BACKGROUND, FOREGROUND = 0, 1

Compute = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Metric:
    """A metric with all that a reader needs to know about it."""

    name: str
    unit: str
    definition: str
    compute: Compute
    """From sums (..., S) to values (...)."""
    support: Callable[[np.ndarray], np.ndarray]
    """From sums (..., S) to the number of things that the metric is counted on."""
    support_unit: str
    class_index: int | None = None
    """0 background, 1 foreground, none for all classes together."""


def pixel_counts(truth: np.ndarray, prediction: np.ndarray) -> tuple[int, int, int, int]:
    """Count true negative, false positive, false negative, true positive pixels.

    Args:
        truth: bool HxW, true foreground.
        prediction: bool HxW, predicted foreground.
    """
    tp = int(np.count_nonzero(truth & prediction))
    fp = int(np.count_nonzero(prediction)) - tp
    fn = int(np.count_nonzero(truth)) - tp
    return truth.size - tp - fp - fn, fp, fn, tp


def statistics(counts: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Sufficient statistics of images: (N, S) float64, in the order of `STATISTICS`.

    Args:
        counts: (N, 4) pixels of each image, as `pixel_counts` orders them.
        true: (N,) number of true objects.
        predicted: (N,) number of predicted objects.
    """
    counts = np.asarray(counts, dtype=np.float64).reshape(-1, 4)
    columns = {name: counts[:, at] for at, name in enumerate(STATISTICS[:4])}
    overlap = (columns["tp"], columns["fp"], columns["fn"])
    columns["images"] = np.ones(len(counts))
    columns["iou"] = image_iou(*overlap)
    columns["dice"] = image_dice(*overlap)
    columns["n_true"] = np.asarray(true, dtype=np.float64)
    columns["n_predicted"] = np.asarray(predicted, dtype=np.float64)
    error = columns["n_predicted"] - columns["n_true"]
    columns["objects_absolute_error"] = np.abs(error)
    return np.stack([columns[name] for name in STATISTICS], axis=-1)


def image_iou(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """Intersection over union of single images; 1 where neither has foreground."""
    union = tp + fp + fn
    return np.where(union == 0, 1.0, tp / np.maximum(union, 1))


def image_dice(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """Dice coefficient of single images; 1 where neither has foreground."""
    total = 2 * tp + fp + fn
    return np.where(total == 0, 1.0, 2 * tp / np.maximum(total, 1))


def column(sums: np.ndarray, name: str) -> np.ndarray:
    """One statistic of `sums` (..., S): (...)."""
    return sums[..., STATISTICS.index(name)]


def of_class(sums: np.ndarray, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True positives, false positives and false negatives as seen by a class."""
    names = ("tp", "fp", "fn") if index == FOREGROUND else ("tn", "fn", "fp")
    tp, fp, fn = (column(sums, name) for name in names)
    return tp, fp, fn


def ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Quotient, NaN where there is nothing to divide by."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below == 0, np.nan, above / below)


def precision_of(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """TP / (TP + FP); 0 where the class exists but was never predicted."""
    return np.where((tp + fp == 0) & (fn > 0), 0.0, ratio(tp, tp + fp))


def recall_of(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """TP / (TP + FN)."""
    return ratio(tp, tp + fn)


def f1_of(tp: np.ndarray, fp: np.ndarray, fn: np.ndarray) -> np.ndarray:
    """2 TP / (2 TP + FP + FN)."""
    return ratio(2 * tp, 2 * tp + fp + fn)


def pixels(sums: np.ndarray) -> np.ndarray:
    """Number of pixels."""
    return np.sum([column(sums, name) for name in STATISTICS[:4]], axis=0)


def pixel_accuracy(sums: np.ndarray) -> np.ndarray:
    """Share of right pixels."""
    return ratio(column(sums, "tp") + column(sums, "tn"), pixels(sums))


def class_support(sums: np.ndarray, index: int) -> np.ndarray:
    """Number of true pixels of a class."""
    tp, _, fn = of_class(sums, index)
    return tp + fn


def precision(sums: np.ndarray, index: int) -> np.ndarray:
    """Precision of a class, see `precision_of`."""
    return precision_of(*of_class(sums, index))


def recall(sums: np.ndarray, index: int) -> np.ndarray:
    """Recall of a class."""
    return recall_of(*of_class(sums, index))


def f1(sums: np.ndarray, index: int) -> np.ndarray:
    """F1 of a class."""
    return f1_of(*of_class(sums, index))


def iou(sums: np.ndarray) -> np.ndarray:
    """TP / (TP + FP + FN) of the foreground, over all pixels."""
    tp, fp, fn = of_class(sums, FOREGROUND)
    return ratio(tp, tp + fp + fn)


def macro(sums: np.ndarray, compute: Callable[[np.ndarray, int], np.ndarray]) -> np.ndarray:
    """Plain mean of a metric over the classes."""
    return (compute(sums, BACKGROUND) + compute(sums, FOREGROUND)) / 2


def mean(sums: np.ndarray, name: str) -> np.ndarray:
    """Mean of a statistic over images."""
    return ratio(column(sums, name), column(sums, "images"))


def count_bias(sums: np.ndarray) -> np.ndarray:
    """Predicted less true objects, mean over images."""
    error = column(sums, "n_predicted") - column(sums, "n_true")
    return ratio(error, column(sums, "images"))


def count_ratio(sums: np.ndarray) -> np.ndarray:
    """Predicted objects over true objects, over all images."""
    return ratio(column(sums, "n_predicted"), column(sums, "n_true"))


def blank_accuracy(sums: np.ndarray) -> np.ndarray:
    """Share of pixels predicted as background."""
    return ratio(column(sums, "tn") + column(sums, "fn"), pixels(sums))


def segmentation(min_area_px: int) -> list[Metric]:
    """All metrics of a segmentation; `min_area_px` in pixels stands in the definitions."""
    return [*foreground(), *_objects(min_area_px)]


def foreground() -> list[Metric]:
    """Metrics of foreground and background, which know no objects."""
    return [*_whole(), *_classes()]


def blank_labels() -> Metric:
    """Accuracy against test labels that are all zero, a mistake that was published."""
    return Metric(
        "accuracy_blank_labels",
        "share",
        "Pixel accuracy against labels that are all background, as published by mistake: the share "
        "of pixels predicted as background. It says nothing about the prediction.",
        blank_accuracy,
        pixels,
        "pixels",
    )


def _whole() -> list[Metric]:
    counts: dict[str, Compute] = {"pixels": pixels, "images": partial(column, name="images")}
    empty = "an image with foreground in neither truth nor prediction counts as 1."
    told: list[tuple[str, str, Compute, str]] = [
        ("pixel_accuracy", "pixels", pixel_accuracy, "Share of all pixels whose class is right."),
        (
            "balanced_accuracy",
            "pixels",
            partial(macro, compute=recall),
            "Mean of the recalls of background and foreground, over all pixels.",
        ),
        (
            "iou",
            "images",
            partial(mean, name="iou"),
            "Intersection over union of the foreground, TP / (TP + FP + FN), of each image, then "
            f"the mean over images; {empty}",
        ),
        (
            "iou_pooled",
            "pixels",
            iou,
            "Intersection over union of the foreground, TP / (TP + FP + FN), over all pixels of "
            "all images.",
        ),
        (
            "dice",
            "images",
            partial(mean, name="dice"),
            "Dice coefficient of the foreground, 2 TP / (2 TP + FP + FN), of each image, then "
            f"the mean over images; {empty}",
        ),
        (
            "macro_precision",
            "pixels",
            partial(macro, compute=precision),
            "Mean of the precisions of background and foreground.",
        ),
        (
            "macro_f1",
            "pixels",
            partial(macro, compute=f1),
            "Mean of the F1 of background and foreground.",
        ),
    ]
    return [
        Metric(name, "share", definition, compute, counts[unit], unit)
        for name, unit, compute, definition in told
    ]


def _classes() -> list[Metric]:
    told = {
        "precision": (
            precision,
            "Of the pixels predicted as this class, the share that is of it: TP / (TP + FP); 0 "
            "where it was never predicted.",
        ),
        "recall": (
            recall,
            "Of the true pixels of this class, the share that was found: TP / (TP + FN).",
        ),
        "f1": (
            f1,
            "Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN), over all pixels.",
        ),
    }
    return [
        Metric(
            name,
            "share",
            definition,
            partial(compute, index=index),
            partial(class_support, index=index),
            "pixels of the class",
            index,
        )
        for index in (BACKGROUND, FOREGROUND)
        for name, (compute, definition) in told.items()
    ]


def _objects(min_area_px: int) -> list[Metric]:
    counted = (
        f"Predicted objects are 8-connected regions of at least {min_area_px} pixels, true ones "
        "the instances of the label map; touching nuclei that the mask joins count as one."
    )
    told: list[tuple[str, str, str, Compute]] = [
        (
            "object_count_mae",
            "objects per image",
            "Mean over images of |predicted - true| number of objects.",
            partial(mean, name="objects_absolute_error"),
        ),
        (
            "object_count_bias",
            "objects per image",
            "Mean over images of predicted - true number of objects.",
            count_bias,
        ),
        (
            "object_count_ratio",
            "ratio",
            "Number of predicted objects over number of true objects, over all images; 1 is right.",
            count_ratio,
        ),
    ]
    support = partial(column, name="n_true")
    return [
        Metric(name, unit, f"{text} {counted}", compute, support, "true objects")
        for name, unit, text, compute in told
    ]
