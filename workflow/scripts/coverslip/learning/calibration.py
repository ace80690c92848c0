"""What is settled after training, with the weights fixed: statistics, threshold, rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from coverslip.learning import temperature, thresholds
from coverslip.learning.batches import Batches
from coverslip.models import channels, instances

STATISTICS_BATCHES = 128
"""Batches that precise statistics of batch normalization are taken from, at most."""


def settle_statistics(network: keras.Model, batches: Batches) -> None:
    """Take the statistics of batch normalization anew: their plain mean over many batches.

    The running ones follow the last few batches of the training, which is a lottery where pictures
    are as unlike as stains and stages. Wu and Johnson, Rethinking "Batch" in BatchNorm, 2021,
    section 3.

    Args:
        network: float32, for pictures of any size; its moving averages are replaced.
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


def fit(final: keras.Model, batches: Batches, goal: thresholds.Goal | None) -> dict[str, Any]:
    """What `model.json` says about making masks and objects of probabilities.

    Args:
        final: the trained network, giving logits.
        batches: the validation patches in their order.
        goal: what the threshold is tuned for; none: it is 0.5.

    Returns:
        `threshold`, and `instances` for the head `instances`; `temperature` for the head `class`,
        which has no threshold.
    """
    if batches.head == "class":
        return {"threshold": None, "temperature": _temperature(final, batches)}
    threshold = thresholds.DEFAULT
    network = channels.probabilities(final, batches.head)
    if goal and (batches.head == "instances" or final.output_shape[-1] <= 2):
        threshold = thresholds.tune(_foregrounds(network, batches), goal)
    found: dict[str, Any] = {"threshold": threshold}
    if batches.head == "instances":
        found["instances"] = instances.tune(_pictures(network, batches), threshold).facts()
    return found


def _temperature(final: keras.Model, batches: Batches) -> float:
    """The temperature of the probabilities of classes."""
    found = [(final.predict_on_batch(batches[i][0]), batches[i][1]) for i in range(len(batches))]
    logits, truth = zip(*found, strict=True)
    return temperature.fit(np.concatenate(logits), np.concatenate(truth))


def _foregrounds(
    network: keras.Model, batches: Batches
) -> Iterator[tuple[list[str], np.ndarray, np.ndarray]]:
    """Ids, masks and probabilities of foreground of each batch."""
    names = batches.patches.index["id"].to_numpy()
    for i in range(len(batches)):
        images, targets = batches[i]
        masks = targets if batches.head == "mask" else targets[..., 0]
        ids = names[batches.rows[batches.places(i)]]
        yield list(ids), masks, channels.foreground(network.predict_on_batch(images))


def _pictures(network: keras.Model, batches: Batches) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Label map and probabilities of each patch."""
    for i in range(len(batches)):
        labels = batches.patches.labels(batches.rows[batches.places(i)])
        yield from zip(labels, network.predict_on_batch(batches[i][0]), strict=True)
