"""Settings that are tuned after training: batch statistics, threshold, watershed, temperature."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any, Literal

import keras
import numpy as np

from coverslip.imaging.labels import drop_small
from coverslip.metrics.matching import match, overlap
from coverslip.models import confidence, heads
from coverslip.models.scale import typical_diameter
from coverslip.models.watershed import (
    AREAS,
    SEEDS,
    SHARES,
    STEPS,
    WatershedParams,
    grow,
    segment,
)
from coverslip.training.dataset import Batches


def tune_watershed(
    images: Iterable[tuple[np.ndarray, np.ndarray]], threshold: float
) -> WatershedParams:
    """Return the watershed parameters with the best mean AP (0.50 to 0.95) over images.

    All of (threshold + `STEPS`) x `SEEDS` x `AREAS` x `SHARES` are tried. Of equally good ones the
    first in that order is taken.

    Args:
        images: true label image (integers HxW) and probabilities (float32 HxWx4) of each.
        threshold: that of the mask, 0..1.
    """
    thresholds = [min(0.95, max(0.05, round(threshold + step, 2))) for step in STEPS]
    candidates = [WatershedParams(*values) for values in product(thresholds, SEEDS, AREAS, SHARES)]
    scores = np.zeros(len(candidates))
    for truth, probabilities in images:
        grown: dict[tuple[float, float], tuple[np.ndarray, np.ndarray]] = {}
        scored: dict[tuple[float, float, int], float] = {}
        for place, params in enumerate(candidates):
            key = (params.threshold, params.seed)
            if key not in grown:
                labels = grow(probabilities, *key)
                grown[key] = labels, np.bincount(labels.ravel())[1:]
            labels, areas = grown[key]
            smallest = params.smallest(areas)
            kept = (*key, int((areas >= smallest).sum()))
            if kept not in scored:
                scored[kept] = match(truth, drop_small(labels, smallest)).accuracy.mean()
            scores[place] += scored[kept]
    return candidates[int(np.argmax(scores))]


# --- The threshold on the foreground's probability, tuned on the validation images

Goal = Literal["iou", "iou_pooled", "confluency"]
"""What a threshold is tuned for."""

GRID = tuple(round(0.05 * step, 2) for step in range(1, 20))

DEFAULT = 0.5

MIN_IOU_FRACTION = 0.9
"""Fraction of the best mean IoU that a threshold tuned for confluency must have."""


def tune_threshold(
    batches: Iterable[tuple[list[str], np.ndarray, np.ndarray]], goal: Goal = "iou"
) -> float:
    """Return the threshold on the probability of foreground that is best for `goal`.

    Of `iou` it is the mean IoU over images, of `iou_pooled` that of all pixels together. Of
    `confluency` it is the root mean square error of confluency, among the thresholds whose mean IoU
    is nearly the best: the best IoU covers too much where contours are uncertain, since a missing
    pixel costs more than a spurious one, and the smallest error of confluency alone may balance an
    image that is covered too much with one that is hardly covered.

    Args:
        batches: ids of images, masks uint8 (N, height, width) and probabilities of foreground
            float32 (N, height, width); an image's patches may come in any order and number. A
            pixel is foreground where its probability is at least the threshold.
        goal: what is tuned. Images without foreground have no IoU; their confluency counts.

    Returns:
        One of `GRID`, of equally good ones the nearest to 0.5; 0.5 if no image counts.
    """
    totals: dict[str, np.ndarray] = {}
    for ids, masks, probabilities in batches:
        for name, mask, probability in zip(ids, masks, probabilities, strict=True):
            counts = _counts(mask, probability)
            totals[name] = totals[name] + counts if name in totals else counts
    counted = [totals[name] for name in sorted(totals)]
    ious = [_iou(counts) for counts in counted if counts[0].sum() > 0]
    score = np.mean(ious, axis=0) if ious else np.zeros(len(GRID))
    if goal == "iou_pooled" and ious:
        score = _iou(np.sum(counted, axis=0))
    if goal == "confluency" and counted:
        squares = np.mean([_error(counts) ** 2 for counts in counted], axis=0)
        score = np.where(score >= MIN_IOU_FRACTION * score.max(), -squares, -np.inf)
    best = np.flatnonzero(score >= score.max() - 1e-9)
    return min((GRID[i] for i in best), key=lambda threshold: (abs(threshold - DEFAULT), threshold))


def _counts(mask: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Count pixels by number of thresholds reached: int64 (2, len(GRID) + 1), foreground first."""
    reached = np.searchsorted(np.array(GRID, dtype=np.float32), probability.ravel(), side="right")
    truth = mask.ravel() != 0
    size = len(GRID) + 1
    return np.stack([np.bincount(reached[t], minlength=size) for t in (truth, ~truth)])


def _above(counts: np.ndarray) -> np.ndarray:
    return counts[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]


def _iou(counts: np.ndarray) -> np.ndarray:
    above = _above(counts)
    return above[0] / (counts[0].sum() + above[1])


def _error(counts: np.ndarray) -> np.ndarray:
    """Return the fraction of the image that is covered too much or, below 0, too little."""
    return (_above(counts).sum(axis=0) - counts[0].sum()) / counts.sum()


# --- Statistics of batch normalization, and all settings of a trained network

MAX_STATISTICS_BATCHES = 128
"""Batches that precise statistics of batch normalization are computed from, at most."""


def recalibrate_batchnorm(network: keras.Model, batches: Batches) -> None:
    """Replace the statistics of batch normalization by their plain mean over many batches.

    The running ones depend on the last few batches of the training, which vary a lot if images
    differ as much as stains and stages do. Wu and Johnson, Rethinking "Batch" in BatchNorm, 2021,
    section 3.

    Args:
        network: float32, for images of any size; its moving averages are replaced.
        batches: training batches, with their augmentation.
    """
    layers = [x for x in network.layers if isinstance(x, keras.layers.BatchNormalization)]
    if not layers:
        return
    momenta = [layer.momentum for layer in layers]
    try:
        for number in range(min(len(batches), MAX_STATISTICS_BATCHES * batches.parts)):
            for layer in layers:
                # With number / (number + 1) the moving average is the mean of all batches so far.
                layer.momentum = number / (number + 1)
            network(batches[number][0], training=True)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


def calibrate(final: keras.Model, batches: Batches, goal: Goal | None) -> dict[str, Any]:
    """Return what `model.json` has about making masks and objects from probabilities.

    Args:
        final: the trained network, which returns logits.
        batches: the validation patches in their order.
        goal: what the threshold is tuned for; None: it is 0.5.

    Returns:
        `threshold`; for the head `instance` also `instances` and `confidence`, see
        `coverslip.models.confidence`; `temperature` for the head `classification`, which has no
        threshold.
    """
    if batches.head == "classification":
        return {"threshold": None, "temperature": _temperature(final, batches)}
    threshold = DEFAULT
    network = heads.probabilities(final, batches.head)
    if goal and (batches.head == "instance" or final.output_shape[-1] <= 2):
        threshold = tune_threshold(_foregrounds(network, batches), goal)
    settings: dict[str, Any] = {"threshold": threshold}
    if batches.head == "instance":
        params = tune_watershed(_probabilities_and_truth(network, batches), threshold)
        settings["instances"] = params.facts()
        settings["confidence"] = fit_confidence(_probabilities_and_truth(network, batches), params)
    return settings


def object_diameter(labels: Iterable[np.ndarray], units: Iterable[str]) -> float | None:
    """Return the typical diameter of the objects in training patches, in pixels.

    Args:
        labels: label image of each patch, integers HxW. Objects that touch its rim do not count.
        units: the image of each patch, or its group, as training samples them: all count alike.

    Returns:
        The median over units of the median over their patches, see `typical_diameter`; None where
        no patch has a whole object.
    """
    diameters: dict[str, list[float]] = {}
    for label, unit in zip(labels, units, strict=True):
        whole = np.where(np.isin(label, _at_rim(label)), 0, label)
        if diameter := typical_diameter(whole):
            diameters.setdefault(unit, []).append(diameter)
    medians = [np.median(values) for values in diameters.values()]
    return round(float(np.median(medians)), 1) if medians else None


def fit_confidence(
    images: Iterable[tuple[np.ndarray, np.ndarray]], params: WatershedParams
) -> list[float] | None:
    """Return the coefficients of `object_confidence`, fitted on whole objects.

    Args:
        images: true label image (integers HxW) and probabilities (float32 HxWx4) of each. Objects
            that touch the rim of an image are left out.
        params: how objects are made of probabilities.
    """
    features, matched = [], []
    for truth, probabilities in images:
        labels = segment(probabilities, params)
        whole = np.setdiff1d(np.arange(1, labels.max(initial=0) + 1), _at_rim(labels))
        found = overlap(truth, labels)
        right = found.predicted_labels[found.predicted_index[found.iou >= 0.5]]
        foreground = 1.0 - probabilities[..., heads.BACKGROUND]
        features.append(confidence.object_features(foreground, labels)[whole - 1])
        matched.append(np.isin(whole, right))
    return confidence.fit(np.concatenate(features), np.concatenate(matched)) if features else None


def _at_rim(labels: np.ndarray) -> np.ndarray:
    return np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))


def _temperature(final: keras.Model, batches: Batches) -> float:
    """Return the temperature of the probabilities of classes."""
    parts = [(final.predict_on_batch(batches[i][0]), batches[i][1]) for i in range(len(batches))]
    logits, truth = zip(*parts, strict=True)
    return heads.fit_temperature(np.concatenate(logits), np.concatenate(truth))


def _foregrounds(
    network: keras.Model, batches: Batches
) -> Iterator[tuple[list[str], np.ndarray, np.ndarray]]:
    """Yield ids, masks and probabilities of foreground of each batch."""
    names = batches.patches.index["id"].to_numpy()
    for i in range(len(batches)):
        images, targets = batches[i]
        masks = targets if batches.head == "semantic" else targets[..., 0]
        ids = names[batches.rows[batches.places(i)]]
        yield list(ids), masks, heads.foreground(network.predict_on_batch(images))


def _probabilities_and_truth(
    network: keras.Model, batches: Batches
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield label image and probabilities of each patch."""
    for i in range(len(batches)):
        labels = batches.patches.labels(batches.rows[batches.places(i)])
        yield from zip(labels, network.predict_on_batch(batches[i][0]), strict=True)
