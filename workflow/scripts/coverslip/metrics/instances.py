"""Metrics of instances, as functions of sums over images, like those of `metrics`.

Each image is reduced to the numbers `STATISTICS`. Metrics come as the mean over images and
pooled: pooled ones count the objects of all images together, so that an image with many nuclei
has more to say. All functions take `sums` (..., S), S the number of `STATISTICS`, and give (...)
float64; what is undefined (nothing to divide by) is NaN. How objects are matched, and what a
image without objects scores, stands in `coverslip.metrics.matching`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from coverslip.metrics.matching import PERCENT, Matching
from coverslip.metrics.pixels import Metric, ratio

STATISTICS = (
    "images",
    "n_true",
    "n_predicted",
    "objects_absolute_error",
    *(f"tp_{percent}" for percent in PERCENT),
    *(f"ap_{percent}" for percent in PERCENT),
    "f1_50",
    "pq",
    "iou_50",
    "splits",
    "merges",
    "missed",
    "invented",
)
"""What is kept of an image: 1, its counts of objects, true positives and AP at each threshold in
percent, F1 and PQ at IoU 0.5, the sum of the IoU matched there, and what went wrong with how many.
False positives are `n_predicted - tp`, false negatives `n_true - tp`."""

HEADLINES = (
    "mean_ap",
    "mean_ap_pooled",
    "ap50",
    "ap50_pooled",
    "f1_50_pooled",
    "pq_pooled",
    "mean_matched_iou",
    "split_rate",
    "merge_rate",
    "missed_rate",
    "invented_rate",
    "object_count_ratio",
)
"""Metrics that are also told by modality and by group."""

AT = (
    "at IoU 0.{} (a true and a predicted object match if their intersection over union is at least "
    "that)"
)

COUNTED_ON = {
    "images": "images",
    "n_true": "true objects",
    "n_predicted": "predicted objects",
    "tp_50": "matched pairs",
}
"""Statistics that metrics are counted on, in words."""


def statistics(found: Matching) -> np.ndarray:
    """Sufficient statistics of one image: (S,) float64, in the order of `STATISTICS`."""
    error = abs(found.n_predicted - found.n_true)
    counts = (1, found.n_true, found.n_predicted, error)
    scores = (found.f1[0], found.panoptic_quality[0], found.iou_sum[0])
    wrong = (found.splits, found.merges, found.missed, found.invented)
    parts = (counts, found.tp, found.accuracy, scores, wrong)
    return np.concatenate([np.asarray(part, dtype=np.float64) for part in parts])


def column(sums: np.ndarray, name: str) -> np.ndarray:
    """One statistic of `sums` (..., S): (...)."""
    return sums[..., STATISTICS.index(name)]


def mean(sums: np.ndarray, name: str) -> np.ndarray:
    """Mean of a statistic over images."""
    return ratio(column(sums, name), column(sums, "images"))


def share(sums: np.ndarray, above: str, below: str) -> np.ndarray:
    """One statistic over another."""
    return ratio(column(sums, above), column(sums, below))


def mean_ap(sums: np.ndarray) -> np.ndarray:
    """Mean over the ten thresholds of the mean AP over images."""
    return np.mean([mean(sums, f"ap_{percent}") for percent in PERCENT], axis=0)


def ap_pooled(sums: np.ndarray, percent: int) -> np.ndarray:
    """TP / (TP + FP + FN) over the objects of all images."""
    tp = column(sums, f"tp_{percent}")
    return ratio(tp, column(sums, "n_true") + column(sums, "n_predicted") - tp)


def mean_ap_pooled(sums: np.ndarray) -> np.ndarray:
    """Mean over the ten thresholds of the pooled AP."""
    return np.mean([ap_pooled(sums, percent) for percent in PERCENT], axis=0)


def f1_pooled(sums: np.ndarray) -> np.ndarray:
    """2 TP / (2 TP + FP + FN) at IoU 0.5 over the objects of all images."""
    return ratio(2 * column(sums, "tp_50"), _both(sums))


def pq_pooled(sums: np.ndarray) -> np.ndarray:
    """Sum of matched IoU / (TP + FP/2 + FN/2) at IoU 0.5 over the objects of all images."""
    return ratio(2 * column(sums, "iou_50"), _both(sums))


def count_bias(sums: np.ndarray) -> np.ndarray:
    """Predicted less true objects, mean over images."""
    error = column(sums, "n_predicted") - column(sums, "n_true")
    return ratio(error, column(sums, "images"))


def _both(sums: np.ndarray) -> np.ndarray:
    """Number of true and predicted objects: 2 TP + FP + FN."""
    return column(sums, "n_true") + column(sums, "n_predicted")


def instances() -> list[Metric]:
    """All metrics of instances."""
    return [*_average_precision(), *_at_half(), *_errors(), *_counts()]


def _metric(
    name: str,
    compute: Callable[[np.ndarray], np.ndarray],
    definition: str,
    unit: str = "share",
    per: str = "n_true",
) -> Metric:
    """A metric of instances, counted on the statistic `per`."""
    return Metric(name, unit, definition, compute, partial(column, name=per), COUNTED_ON[per])


def _average_precision() -> list[Metric]:
    empty = "An image without any object, true or predicted, counts as 1."
    formula = "AP as TP / (TP + FP + FN), objects counted,"
    over = "then the mean over the thresholds 0.50, 0.55, ..., 0.95"
    told = [
        _metric(
            "mean_ap",
            mean_ap,
            f"{formula} of each image, {over} and over images: the score of the 2018 Data "
            f"Science Bowl (Caicedo et al., Nature Methods 2019). {empty}",
            per="images",
        ),
        _metric(
            "mean_ap_pooled",
            mean_ap_pooled,
            f"{formula} over the objects of all images, {over}.",
        ),
    ]
    for percent in PERCENT:
        at = AT.format(percent)
        told += [
            _metric(
                f"ap{percent}",
                partial(mean, name=f"ap_{percent}"),
                f"{formula} {at}, of each image, then the mean over images. {empty}",
                per="images",
            ),
            _metric(
                f"ap{percent}_pooled",
                partial(ap_pooled, percent=percent),
                f"{formula} {at}, over the objects of all images: the accuracy of "
                "stardist.matching (Schmidt et al., MICCAI 2018).",
            ),
        ]
    return told


def _at_half() -> list[Metric]:
    at = AT.format(50)
    f1 = f"2 TP / (2 TP + FP + FN), objects counted, {at}"
    pq = (
        "Panoptic quality, sum of the IoU of matched pairs / (TP + FP / 2 + FN / 2), "
        f"{at} (Kirillov et al., CVPR 2019)"
    )
    empty = "an image without any object, true or predicted, counts as 1."
    pooled = "over the objects of all images."
    over = f"of each image, then the mean over images; {empty}"
    return [
        _metric("f1_50", partial(mean, name="f1_50"), f"{f1}, {over}", per="images"),
        _metric("f1_50_pooled", f1_pooled, f"{f1}, {pooled}"),
        _metric("pq", partial(mean, name="pq"), f"{pq}, {over}", per="images"),
        _metric("pq_pooled", pq_pooled, f"{pq}, {pooled}"),
        _metric(
            "precision_50",
            partial(share, above="tp_50", below="n_predicted"),
            f"Share of predicted objects with a partner {at}: TP / (TP + FP), {pooled}",
            per="n_predicted",
        ),
        _metric(
            "recall_50",
            partial(share, above="tp_50", below="n_true"),
            f"Share of true objects with a partner {at}: TP / (TP + FN), {pooled}",
        ),
        _metric(
            "mean_matched_iou",
            partial(share, above="iou_50", below="tp_50"),
            f"Mean IoU of the pairs that match {at}, {pooled} With F1 it makes the panoptic "
            "quality.",
            per="tp_50",
        ),
        _metric(
            "mean_true_iou",
            partial(share, above="iou_50", below="n_true"),
            f"Sum of the IoU of the pairs that match {at} over the number of true objects, "
            f"{pooled}",
        ),
    ]


def _errors() -> list[Metric]:
    told = (
        (
            "split_rate",
            "splits",
            "n_true",
            "Share of true objects that lie in pieces: they hold more than half of each of two or "
            "more predicted objects.",
        ),
        (
            "merge_rate",
            "merges",
            "n_predicted",
            "Share of predicted objects that join true ones: they hold more than half of each of "
            "two or more.",
        ),
        (
            "missed_rate",
            "missed",
            "n_true",
            "Share of true objects that are at most half covered by predicted ones, all of them "
            "together.",
        ),
        (
            "invented_rate",
            "invented",
            "n_predicted",
            "Share of predicted objects at most half of which lies in true ones, all of them "
            "together.",
        ),
    )
    return [
        _metric(name, partial(share, above=above, below=below), definition, per=below)
        for name, above, below, definition in told
    ]


def _counts() -> list[Metric]:
    counted = "Objects are the instances of the label maps, true and predicted."
    return [
        _metric(
            "object_count_mae",
            partial(mean, name="objects_absolute_error"),
            f"Mean over images of |predicted - true| number of objects. {counted}",
            unit="objects per image",
        ),
        _metric(
            "object_count_bias",
            count_bias,
            f"Mean over images of predicted - true number of objects. {counted}",
            unit="objects per image",
        ),
        _metric(
            "object_count_ratio",
            partial(share, above="n_predicted", below="n_true"),
            "Number of predicted objects over number of true objects, over all images; 1 is "
            f"right. {counted}",
            unit="ratio",
        ),
    ]
