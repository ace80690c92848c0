"""Metrics of a classification of images, as functions of sums over images.

Each image is reduced to a few numbers (`statistics`), all of which add up: a 1 in the confusion
matrix, its log loss, and its place in the bins of the reliability diagram. So a metric of all
images, of a run, of a baseline and of a thousand bootstrap resamples is one and the same
vectorised function, as in `coverslip.metrics.pixels`. Functions take `sums` (..., S) and give
(...) float64; what is undefined (nothing to divide by) is NaN.

Rows of a confusion matrix are the truth, columns the prediction, as in scikit-learn. Probabilities
come twice: as the network gives them (`raw`), and divided by the temperature that was fitted on
validation (`coverslip.models.heads`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from coverslip.metrics.pixels import Compute, Metric, f1_of, precision_of, ratio, recall_of

BINS = 15
"""Bins of confidence, of equal width."""

SMALLEST = 1e-7
"""Smaller probabilities of the true class count as this in the log loss."""

PER_BIN = 3
"""Of a bin: images, right ones, sum of their confidence."""


def statistics(truth: np.ndarray, raw: np.ndarray, calibrated: np.ndarray) -> np.ndarray:
    """Sufficient statistics of images.

    Args:
        truth: (N,) int, true classes 0..K-1.
        raw: (N, K) probabilities, rows sum to 1; the most probable class is the prediction.
        calibrated: (N, K) the same with temperature.

    Returns:
        (N, S) float64, S = K² + 2 (1 + 3 `BINS`): the confusion matrix, then for raw and for
        calibrated probabilities the log loss and the bins.
    """
    images, classes = raw.shape
    rows = np.arange(images)
    predicted = raw.argmax(axis=1)
    confusion = np.zeros((images, classes * classes))
    confusion[rows, truth * classes + predicted] = 1
    parts = [confusion]
    for probabilities in (raw, calibrated):
        loss = -np.log(np.maximum(probabilities[rows, truth], SMALLEST))
        parts += [loss[:, None], binned(probabilities.max(axis=1), predicted == truth)]
    return np.concatenate(parts, axis=1)


def binned(confidence: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Place of each image in the reliability diagram: (N, BINS * PER_BIN).

    Bin m of M holds the confidences in ((m - 1) / M, m / M].
    """
    rows = np.arange(len(confidence))
    place = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    found = np.zeros((len(confidence), BINS, PER_BIN))
    found[rows, place, 0] = 1
    found[rows, place, 1] = right
    found[rows, place, 2] = confidence
    return found.reshape(len(confidence), BINS * PER_BIN)


def number_of_classes(sums: np.ndarray) -> int:
    """K of `sums` (..., S)."""
    return round(np.sqrt(sums.shape[-1] - 2 * (1 + BINS * PER_BIN)))


def confusion(sums: np.ndarray) -> np.ndarray:
    """Confusion matrix: (..., K, K)."""
    classes = number_of_classes(sums)
    return sums[..., : classes * classes].reshape(*sums.shape[:-1], classes, classes)


def bins(sums: np.ndarray, calibrated: bool) -> np.ndarray:
    """The reliability diagram: (..., BINS, PER_BIN) images, right ones, sum of confidence."""
    size = 1 + BINS * PER_BIN
    first = number_of_classes(sums) ** 2 + (size if calibrated else 0) + 1
    return sums[..., first : first + size - 1].reshape(*sums.shape[:-1], BINS, PER_BIN)


def images(sums: np.ndarray) -> np.ndarray:
    """Number of images."""
    return confusion(sums).sum(axis=(-2, -1))


def accuracy(sums: np.ndarray) -> np.ndarray:
    """Share of images whose class is right."""
    return ratio(np.trace(confusion(sums), axis1=-2, axis2=-1), images(sums))


def of_class(sums: np.ndarray, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True positives, false positives and false negatives of a class."""
    counts = confusion(sums)
    tp = counts[..., index, index]
    return tp, counts[..., :, index].sum(axis=-1) - tp, counts[..., index, :].sum(axis=-1) - tp


def support(sums: np.ndarray, index: int) -> np.ndarray:
    """Number of images of a class."""
    return confusion(sums)[..., index, :].sum(axis=-1)


def precision(sums: np.ndarray, index: int) -> np.ndarray:
    """Precision of a class, see `metrics.precision_of`."""
    return precision_of(*of_class(sums, index))


def recall(sums: np.ndarray, index: int) -> np.ndarray:
    """Recall of a class."""
    return recall_of(*of_class(sums, index))


def f1(sums: np.ndarray, index: int) -> np.ndarray:
    """F1 of a class."""
    return f1_of(*of_class(sums, index))


def macro(sums: np.ndarray, compute: Callable[[np.ndarray, int], np.ndarray]) -> np.ndarray:
    """Plain mean of a metric over the classes for which it is defined."""
    values = np.stack([compute(sums, index) for index in range(number_of_classes(sums))], axis=-1)
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1))


def log_loss(sums: np.ndarray, calibrated: bool) -> np.ndarray:
    """Mean of -ln of the probability of the true class."""
    size = 1 + BINS * PER_BIN
    at = number_of_classes(sums) ** 2 + (size if calibrated else 0)
    return ratio(sums[..., at], images(sums))


def expected_calibration_error(sums: np.ndarray, calibrated: bool) -> np.ndarray:
    """Mean over images of |share of right ones - mean confidence| of their bins."""
    found = bins(sums, calibrated)
    return ratio(np.abs(found[..., 1] - found[..., 2]).sum(axis=-1), images(sums))


def top_confusions(
    counts: np.ndarray, classes: Sequence[str], most: int = 10
) -> list[dict[str, object]]:
    """The most frequent mistakes, most frequent first.

    Args:
        counts: (K, K) confusion matrix.
        classes: names of the classes.
        most: number of mistakes, at most.

    Returns:
        One dictionary a mistake: `true`, `predicted`, `images`, and `share` of the true class.
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
            "share": round(-negative / float(counts[i].sum()), 6),
        }
        for negative, i, j in sorted(wrong)[:most]
    ]


def classification(classes: int, penalty: float = 0.0) -> list[Metric]:
    """All metrics, of all classes together and of each.

    With a `penalty` on weights above 0 there is also `loss`, which has it as Keras reports it.
    """
    told = [*_whole(), *_probabilities(), *_classes(classes)]
    return [*told, _loss(penalty)] if penalty > 0 else told


def _loss(penalty: float) -> Metric:
    def loss(sums: np.ndarray) -> np.ndarray:
        return log_loss(sums, calibrated=False) + penalty

    return Metric(
        "loss",
        "nats",
        "Log loss of the probabilities as the network gives them, plus the L2 penalty on its "
        f"weights ({penalty:.4f}; also added to the baselines), as Keras reports the loss.",
        loss,
        images,
        "images",
    )


def _whole() -> list[Metric]:
    told: dict[str, tuple[Compute, str]] = {
        "accuracy": (accuracy, "Share of the images whose class is right."),
        "balanced_accuracy": (
            partial(macro, compute=recall),
            "Mean of the recalls of the classes, so that rare ones count as much as frequent ones; "
            "by chance it is 1 / number of classes.",
        ),
        "macro_precision": (
            partial(macro, compute=precision),
            "Mean of the precisions of the classes.",
        ),
        "macro_f1": (partial(macro, compute=f1), "Mean of the F1 of the classes."),
    }
    return [
        Metric(name, "share", definition, compute, images, "images")
        for name, (compute, definition) in told.items()
    ]


def _probabilities() -> list[Metric]:
    loss = "Mean over images of -ln of the probability that was given to the true class"
    error = (
        "Expected calibration error: images are put into 15 bins of equal width by the "
        "probability of the predicted class; the mean over images of |share of right ones - "
        "mean probability| in their bin"
    )
    when = {
        "": (True, "with the temperature that was fitted on validation"),
        "_uncalibrated": (False, "as the network gives it, without temperature"),
    }
    return [
        Metric(
            f"{name}{ending}",
            unit,
            f"{definition}, {words}; 0 is best.",
            partial(compute, calibrated=calibrated),
            images,
            "images",
        )
        for name, unit, compute, definition in (
            ("log_loss", "nats", log_loss, loss),
            ("ece", "share", expected_calibration_error, error),
        )
        for ending, (calibrated, words) in when.items()
    ]


def _classes(classes: int) -> list[Metric]:
    told = {
        "precision": (
            precision,
            "Of the images predicted as this class, the share that is of it: TP / (TP + FP); 0 "
            "where it was never predicted.",
        ),
        "recall": (
            recall,
            "Of the images of this class, the share that was recognised: TP / (TP + FN).",
        ),
        "f1": (f1, "Harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN)."),
    }
    return [
        Metric(
            name,
            "share",
            definition,
            partial(compute, index=index),
            partial(support, index=index),
            "images of the class",
            index,
        )
        for index in range(classes)
        for name, (compute, definition) in told.items()
    ]
