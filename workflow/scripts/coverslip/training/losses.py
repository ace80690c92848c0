"""Losses on logits and the metrics watched during training.

The head `semantic` takes y_true uint8 (N, height, width), class numbers with 0 for background, and
y_pred float32 logits (N, height, width, outputs): one output is the logit of foreground, more are
the logits of the classes. The head `instance` takes the targets of `coverslip.models.heads` and
four logits: three classes, and the depth. The head `classification` takes y_true int32 (N,), the
class of each image, and y_pred float32 logits (N, classes).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
from keras import ops

if TYPE_CHECKING:
    from coverslip.config.sections import Training

SMOOTHING = 1.0

CLASSES = 3
"""Class channels of the head `instance`; the next one is the depth."""


def make(
    training: Training, head: str = "semantic", class_weights: Sequence[float] | None = None
) -> keras.losses.Loss:
    """Return the loss of `training.loss`: cross-entropy, soft Dice, or their sum.

    `class_weights` (one a class; two for one output) multiply the cross-entropy of each pixel by
    the weight of its true class; Dice, which balances the classes by itself, is left alone. For
    `instance` the cross-entropy of the depth is added, and Dice is that of all foreground.
    """
    kind = InstanceLoss if head == "instance" else MaskLoss
    return kind(training.loss, training.dice, class_weights)


def metrics(head: str = "semantic") -> list[keras.metrics.Metric]:
    """Return the metrics of an epoch: accuracy of pixels (or images) and IoU of the foreground."""
    accuracy = PixelAccuracy(head)
    return [accuracy] if head == "classification" else [accuracy, ForegroundIoU(head)]


def metric_names(head: str = "semantic") -> list[str]:
    """Return the names of the loss and the metrics."""
    return ["loss", *(metric.name for metric in metrics(head))]


class MaskLoss(keras.losses.Loss):
    """Sum of the terms named in `kind`, joined by `+`."""

    def __init__(self, kind: str, dice: str, class_weights: Sequence[float] | None = None):
        super().__init__(name=kind.replace("+", "_and_"), dtype="float32")
        self.terms = kind.split("+")
        self.patchwise = dice == "patch"
        self.class_weights = None if class_weights is None else list(class_weights)

    def call(self, y_true, y_pred):
        """Scalar loss of a batch."""
        total = 0.0
        if "crossentropy" in self.terms:
            total = total + crossentropy(y_true, y_pred, self.class_weights)
        if "dice" in self.terms:
            truth, probability = foregrounds(y_true, y_pred)
            total = total + soft_dice(truth, probability, self.patchwise)
        return total


class InstanceLoss(MaskLoss):
    """The sum of the terms for the classes, and the cross-entropy of the depth."""

    def call(self, y_true, y_pred):
        """Scalar loss of a batch."""
        classes, logits = y_true[..., 0], y_pred[..., :CLASSES]
        total = depth_crossentropy(y_true[..., 1], y_pred[..., CLASSES])
        if "crossentropy" in self.terms:
            total = total + crossentropy(classes, logits, self.class_weights)
        if "dice" in self.terms:
            truth = ops.cast(ops.not_equal(classes, 0), "float32")[..., None]
            probability = 1.0 - ops.softmax(logits, axis=-1)[..., :1]
            total = total + soft_dice(truth, probability, self.patchwise)
        return total


def depth_crossentropy(y_true, y_pred):
    """Return the mean binary cross-entropy of a logit and a depth of 0..255 scaled to 0..1."""
    depth = ops.cast(y_true, "float32") / 255.0
    return ops.mean(ops.binary_crossentropy(depth, y_pred, from_logits=True))


def crossentropy(y_true, y_pred, class_weights: Sequence[float] | None = None):
    """Return the mean cross-entropy over pixels or images, times the class weights.

    It is binary with one output.
    """
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


def foregrounds(y_true, y_pred):
    """Return truth and probability of the foreground classes, float32 (N, H, W, classes)."""
    if y_pred.shape[-1] == 1:
        probability = ops.sigmoid(y_pred)
        truth = ops.cast(ops.not_equal(y_true, 0), "float32")[..., None]
    else:
        probability = ops.softmax(y_pred, axis=-1)[..., 1:]
        truth = ops.one_hot(ops.cast(y_true, "int32"), y_pred.shape[-1])[..., 1:]
    return truth, probability


def soft_dice(truth, probability, patchwise: bool = False):
    """Return 1 - soft Dice coefficient, 0..1, averaged over the foreground classes.

    D = 2 sum(p g) / (sum(p^2) + sum(g^2)), Milletari, Navab and Ahmadi, V-Net, 3DV 2016. Sums are
    over all pixels of the batch, or, if `patchwise`, of each patch and then averaged. 1 is added
    to numerator and denominator, so that it is defined without any foreground.

    Args:
        truth, probability: float32 (N, height, width, classes), 0..1.
    """
    axes = (1, 2) if patchwise else (0, 1, 2)
    shared = ops.sum(probability * truth, axis=axes)
    size = ops.sum(ops.square(probability), axis=axes) + ops.sum(ops.square(truth), axis=axes)
    return 1.0 - ops.mean((2.0 * shared + SMOOTHING) / (size + SMOOTHING))


def classes_of(head: str, y_true, y_pred):
    """Return the part of truth and logits that belongs to classes."""
    if head != "instance":
        return y_true, y_pred
    return y_true[..., 0], y_pred[..., :CLASSES]


def foreground(y_pred):
    """Return the foreground, bool (N, height, width): logit above 0, or a class but background."""
    if y_pred.shape[-1] == 1:
        return y_pred[..., 0] > 0
    return ops.argmax(y_pred, axis=-1) > 0


class PixelAccuracy(keras.metrics.Metric):
    """Fraction of the pixels, or of the images, of an epoch whose class is correct."""

    def __init__(self, head: str = "semantic", name: str = "accuracy"):
        super().__init__(name=name, dtype="float32")
        self.head = head
        self.correct = self.add_weight(name="correct", initializer="zeros")
        self.pixels = self.add_weight(name="pixels", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add a batch without what has weight 0."""
        y_true, y_pred = classes_of(self.head, y_true, y_pred)
        if y_pred.shape[-1] == 1:
            predicted = ops.cast(foreground(y_pred), "int32")
            truth = ops.cast(ops.not_equal(y_true, 0), "int32")
        else:
            predicted = ops.cast(ops.argmax(y_pred, axis=-1), "int32")
            truth = ops.cast(y_true, "int32")
        self.correct.assign_add(_count(ops.equal(predicted, truth), sample_weight))
        self.pixels.assign_add(_count(ops.ones_like(truth), sample_weight))

    def result(self):
        """Return the accuracy, 0..1."""
        return self.correct / ops.maximum(self.pixels, 1.0)


class ForegroundIoU(keras.metrics.Metric):
    """Intersection over union of the foreground, from the counts of a whole epoch."""

    def __init__(self, head: str = "semantic", name: str = "iou"):
        super().__init__(name=name, dtype="float32")
        self.head = head
        self.intersection = self.add_weight(name="intersection", initializer="zeros")
        self.union = self.add_weight(name="union", initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Add a batch without what has weight 0."""
        y_true, y_pred = classes_of(self.head, y_true, y_pred)
        predicted = foreground(y_pred)
        truth = ops.not_equal(y_true, 0)
        self.intersection.assign_add(_count(ops.logical_and(predicted, truth), sample_weight))
        self.union.assign_add(_count(ops.logical_or(predicted, truth), sample_weight))

    def result(self):
        """Return the IoU, 0..1; 0 where neither truth nor prediction has foreground."""
        return self.intersection / ops.maximum(self.union, 1.0)


def _count(mask, weights):
    counted = ops.cast(mask, "float32")
    if weights is None:
        return ops.sum(counted)
    by_patch = ops.sum(ops.reshape(counted, (ops.shape(counted)[0], -1)), axis=1)
    return ops.sum(by_patch * ops.cast(ops.reshape(weights, (-1,)) > 0, "float32"))
