"""Losses on logits and the metrics watched during training.

Everything here takes y_true uint8 (N, height, width), class numbers with 0 for background, and
y_pred float32 logits (N, height, width, outputs): one output is the logit of foreground, more are
the logits of the classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
from keras import ops

if TYPE_CHECKING:
    from coverslip.config import Training

SMOOTHING = 1.0


def make(
    training: Training, outputs: int, class_weights: Sequence[float] | None = None
) -> keras.losses.Loss:
    """The loss that `training.loss` names: cross-entropy, soft Dice, or their sum.

    `class_weights` (one a class; two for one output) multiply the cross-entropy of each pixel by
    the weight of its true class; Dice, which balances the classes by itself, is left alone.
    """
    return SegmentationLoss(training.loss, outputs, class_weights)


class SegmentationLoss(keras.losses.Loss):
    """Sum of the terms named in `kind`, joined by `+`."""

    def __init__(self, kind: str, outputs: int, class_weights: Sequence[float] | None = None):
        super().__init__(name=kind.replace("+", "_and_"), dtype="float32")
        self.terms = kind.split("+")
        self.outputs = outputs
        self.class_weights = None if class_weights is None else list(class_weights)

    def call(self, y_true, y_pred):
        """Scalar loss of a batch."""
        total = 0.0
        if "crossentropy" in self.terms:
            total = total + crossentropy(y_true, y_pred, self.class_weights)
        if "dice" in self.terms:
            total = total + soft_dice(y_true, y_pred)
        return total


def crossentropy(y_true, y_pred, class_weights: Sequence[float] | None = None):
    """Mean over pixels of the (binary, with one output) cross-entropy, times the class weights."""
    if y_pred.shape[-1] == 1:
        truth = ops.cast(ops.not_equal(y_true, 0), "float32")
        loss = ops.binary_crossentropy(truth, y_pred[..., 0], from_logits=True)
    else:
        truth = ops.cast(y_true, "int32")
        loss = ops.sparse_categorical_crossentropy(truth, y_pred, from_logits=True)
    if class_weights is not None:
        weights = ops.convert_to_tensor(class_weights, dtype="float32")
        loss = loss * ops.take(weights, ops.cast(truth, "int32"))
    return ops.mean(loss)


def soft_dice(y_true, y_pred):
    """1 - soft Dice coefficient, 0..1, averaged over the foreground classes.

    D = 2 sum(p g) / (sum(p^2) + sum(g^2)), Milletari, Navab and Ahmadi, V-Net, 3DV 2016, with sums
    over all pixels of the batch, so that a patch without foreground has no say of its own, and 1
    added above and below, so that a batch without any is defined.
    """
    if y_pred.shape[-1] == 1:
        probability = ops.sigmoid(y_pred)
        truth = ops.cast(ops.not_equal(y_true, 0), "float32")[..., None]
    else:
        probability = ops.softmax(y_pred, axis=-1)[..., 1:]
        truth = ops.one_hot(ops.cast(y_true, "int32"), y_pred.shape[-1])[..., 1:]
    axes = (0, 1, 2)
    shared = ops.sum(probability * truth, axis=axes)
    size = ops.sum(ops.square(probability), axis=axes) + ops.sum(ops.square(truth), axis=axes)
    return 1.0 - ops.mean((2.0 * shared + SMOOTHING) / (size + SMOOTHING))


def foreground(y_pred):
    """Boolean (N, height, width): logit above 0, or a winning class that is not background."""
    if y_pred.shape[-1] == 1:
        return y_pred[..., 0] > 0
    return ops.argmax(y_pred, axis=-1) > 0


class PixelAccuracy(keras.metrics.Metric):
    """Share of the pixels of an epoch whose class is right."""

    def __init__(self, name: str = "accuracy"):
        super().__init__(name=name, dtype="float32")
        self.right = self.add_weight(name="right", initializer="zeros")
        self.pixels = self.add_weight(name="pixels", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add a batch."""
        if y_pred.shape[-1] == 1:
            predicted = ops.cast(foreground(y_pred), "int32")
            truth = ops.cast(ops.not_equal(y_true, 0), "int32")
        else:
            predicted = ops.cast(ops.argmax(y_pred, axis=-1), "int32")
            truth = ops.cast(y_true, "int32")
        self.right.assign_add(_count(ops.equal(predicted, truth)))
        self.pixels.assign_add(_count(ops.ones_like(truth)))

    def result(self):
        """0..1."""
        return self.right / ops.maximum(self.pixels, 1.0)


class ForegroundIoU(keras.metrics.Metric):
    """Intersection over union of the foreground, from the counts of a whole epoch."""

    def __init__(self, name: str = "iou"):
        super().__init__(name=name, dtype="float32")
        self.intersection = self.add_weight(name="intersection", initializer="zeros")
        self.union = self.add_weight(name="union", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add a batch."""
        predicted = foreground(y_pred)
        truth = ops.not_equal(y_true, 0)
        self.intersection.assign_add(_count(ops.logical_and(predicted, truth)))
        self.union.assign_add(_count(ops.logical_or(predicted, truth)))

    def result(self):
        """0..1; 0 where neither truth nor prediction has foreground."""
        return self.intersection / ops.maximum(self.union, 1.0)


def _count(mask):
    return ops.sum(ops.cast(mask, "float32"))
