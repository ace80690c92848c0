"""Gradients of class scores, by TensorFlow's own tape.

Keras has no gradient function for all its backends, so each backend would have its own here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from coverslip.errors import CoverslipError

Gradient = Callable[[np.ndarray, int], np.ndarray]
"""From pictures, float32 NxHxWxC, and a class to the gradient of its score, NxHxWxC."""


def of_input(network: keras.Model) -> Gradient:
    """Return the function that gives the gradient of a class' score by the pixels.

    Args:
        network: from NxHxWxC to NxK scores, such as logits.

    Raises:
        CoverslipError: keras has another backend than TensorFlow.
    """
    tf = _tensorflow()

    @tf.function(reduce_retracing=True)
    def compute(images: Any, chosen: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(images)
            scores = network(images, training=False)
            total = tf.reduce_sum(scores * chosen)
        return tape.gradient(total, images)

    def gradient(images: np.ndarray, target: int) -> np.ndarray:
        chosen = _one_hot(network, target)
        return compute(tf.constant(images, tf.float32), tf.constant(chosen)).numpy()

    return gradient


def of_features(
    network: keras.Model, layer: keras.Layer
) -> Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]:
    """Return the function that gives a layer's output and the gradient of a class' score by it.

    Both are float32 Nxhxwxk. Arguments and errors as of `of_input`.
    """
    tf = _tensorflow()
    both = keras.Model(network.inputs, [layer.output, network.outputs[0]])

    @tf.function(reduce_retracing=True)
    def compute(images: Any, chosen: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            # Watched, for the layer may come before all trainable weights.
            tape.watch(images)
            features, scores = both(images, training=False)
            total = tf.reduce_sum(scores * chosen)
        return features, tape.gradient(total, features)

    def gradient(images: np.ndarray, target: int) -> tuple[np.ndarray, np.ndarray]:
        chosen = _one_hot(network, target)
        features, by_feature = compute(tf.constant(images, tf.float32), tf.constant(chosen))
        return features.numpy(), by_feature.numpy()

    return gradient


def _one_hot(network: keras.Model, target: int) -> np.ndarray:
    return np.eye(network.output_shape[-1], dtype=np.float32)[target : target + 1]


def _tensorflow():
    if keras.backend.backend() != "tensorflow":
        raise CoverslipError(
            f"gradients need keras with TensorFlow, not {keras.backend.backend()}: set "
            "KERAS_BACKEND=tensorflow, or leave out methods other than occlusion"
        )
    import tensorflow as tf

    return tf
