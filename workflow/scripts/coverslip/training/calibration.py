"""What is settled after training, with the weights fixed: statistics, threshold, rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Any, Literal

import keras
import numpy as np

from coverslip.imaging.labels import drop_small
from coverslip.metrics.matching import match
from coverslip.models import heads
from coverslip.models.watershed import AREAS, SEEDS, SHARES, STEPS, WatershedParams, _areas, _grow
from coverslip.training.dataset import Batches


def tune_watershed(
    images: Iterable[tuple[np.ndarray, np.ndarray]], threshold: float
) -> WatershedParams:
    """The rules with the best mean AP (0.50 to 0.95) over images.

    All of (threshold + `STEPS`) x `SEEDS` x `AREAS` x `SHARES` are tried. Of equally good rules the
    first in that order is taken.

    Args:
        images: true label map (integers HxW) and probabilities (float32 HxWx4) of each.
        threshold: that of the mask, 0..1.
    """
    thresholds = [min(0.95, max(0.05, round(threshold + step, 2))) for step in STEPS]
    tried = [WatershedParams(*each) for each in product(thresholds, SEEDS, AREAS, SHARES)]
    scores = np.zeros(len(tried))
    for truth, probabilities in images:
        grown: dict[tuple[float, float], tuple[np.ndarray, np.ndarray]] = {}
        scored: dict[tuple[float, float, int], float] = {}
        for place, rules in enumerate(tried):
            way = (rules.threshold, rules.seed)
            if way not in grown:
                labels = _grow(probabilities, *way)
                grown[way] = labels, _areas(labels)
            labels, areas = grown[way]
            smallest = rules.smallest(areas)
            kept = (*way, int((areas >= smallest).sum()))
            if kept not in scored:
                scored[kept] = match(truth, drop_small(labels, smallest)).accuracy.mean()
            scores[place] += scored[kept]
    return tried[int(np.argmax(scores))]


# --- The threshold on the foreground's probability, tuned on the validation images

Goal = Literal["iou", "iou_pooled", "confluency"]
"""What a threshold is tuned for."""

GRID = tuple(round(0.05 * step, 2) for step in range(1, 20))

DEFAULT = 0.5

NEARLY = 0.9
"""Share of the best mean IoU that a threshold tuned for confluency must still have."""


def tune_threshold(
    batches: Iterable[tuple[list[str], np.ndarray, np.ndarray]], goal: Goal = "iou"
) -> float:
    """The threshold with the best IoU of the foreground: the mean over images, that of all pixels
    together, or, of those whose mean is nearly as good, the one with the smallest root mean square
    error of confluency.

    The best IoU is no fair answer to how much is covered: where outlines are doubtful it takes in
    too much, since a pixel too few costs more than one too many. The smallest error of confluency
    alone is none either: with few images it may balance one that is found too much with one
    that is hardly found at all.

    Args:
        batches: ids of images, masks uint8 (N, height, width) and probabilities of foreground
            float32 (N, height, width); an image's patches may come in any order and number. A
            pixel is foreground where its probability is at least the threshold.
        goal: what is to be best. Images without foreground have no IoU; their confluency counts.

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
        score = np.where(score >= NEARLY * score.max(), -squares, -np.inf)
    best = np.flatnonzero(score >= score.max() - 1e-9)
    return min((GRID[i] for i in best), key=lambda threshold: (abs(threshold - DEFAULT), threshold))


def _counts(mask: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Pixels by number of thresholds reached: int64 (2, len(GRID) + 1), foreground first."""
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
    """Share of the image that is found too much or, below 0, too little."""
    return (_above(counts).sum(axis=0) - counts[0].sum()) / counts.sum()


# --- What is settled after training, with the weights fixed: statistics, threshold, rules

STATISTICS_BATCHES = 128
"""Batches that precise statistics of batch normalization are taken from, at most."""


def recalibrate_batchnorm(network: keras.Model, batches: Batches) -> None:
    """Take the statistics of batch normalization again: their plain mean over many batches.

    The running ones follow the last few batches of the training, which is a lottery where images
    are as unlike as stains and stages. Wu and Johnson, Rethinking "Batch" in BatchNorm, 2021,
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
        for number in range(min(len(batches), STATISTICS_BATCHES * batches.parts)):
            for layer in layers:
                # With number / (number + 1) the moving average is the mean of all batches so far.
                layer.momentum = number / (number + 1)
            network(batches[number][0], training=True)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum


def calibrate(final: keras.Model, batches: Batches, goal: Goal | None) -> dict[str, Any]:
    """What `model.json` says about making masks and objects of probabilities.

    Args:
        final: the trained network, giving logits.
        batches: the validation patches in their order.
        goal: what the threshold is tuned for; none: it is 0.5.

    Returns:
        `threshold`, and `instances` for the head `instance`; `temperature` for the head
        `classification`, which has no threshold.
    """
    if batches.head == "classification":
        return {"threshold": None, "temperature": _temperature(final, batches)}
    threshold = DEFAULT
    network = heads.probabilities(final, batches.head)
    if goal and (batches.head == "instance" or final.output_shape[-1] <= 2):
        threshold = tune_threshold(_foregrounds(network, batches), goal)
    found: dict[str, Any] = {"threshold": threshold}
    if batches.head == "instance":
        found["instances"] = tune_watershed(
            _probabilities_and_truth(network, batches), threshold
        ).facts()
    return found


def _temperature(final: keras.Model, batches: Batches) -> float:
    """The temperature of the probabilities of classes."""
    found = [(final.predict_on_batch(batches[i][0]), batches[i][1]) for i in range(len(batches))]
    logits, truth = zip(*found, strict=True)
    return heads.fit_temperature(np.concatenate(logits), np.concatenate(truth))


def _foregrounds(
    network: keras.Model, batches: Batches
) -> Iterator[tuple[list[str], np.ndarray, np.ndarray]]:
    """Ids, masks and probabilities of foreground of each batch."""
    names = batches.patches.index["id"].to_numpy()
    for i in range(len(batches)):
        images, targets = batches[i]
        masks = targets if batches.head == "semantic" else targets[..., 0]
        ids = names[batches.rows[batches.places(i)]]
        yield list(ids), masks, heads.foreground(network.predict_on_batch(images))


def _probabilities_and_truth(
    network: keras.Model, batches: Batches
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Label map and probabilities of each patch."""
    for i in range(len(batches)):
        labels = batches.patches.labels(batches.rows[batches.places(i)])
        yield from zip(labels, network.predict_on_batch(batches[i][0]), strict=True)
