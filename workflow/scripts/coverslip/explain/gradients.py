"""Attribution by gradients of class scores, with TensorFlow's own tape.

Keras has no gradient function for all its backends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import keras
import numpy as np

from coverslip.errors import CoverslipError

STEPS = 50
"""Points between the baseline and the image."""


def integrated_gradients(
    gradient: Gradient,
    image: np.ndarray,
    target: int,
    baseline: float | np.ndarray = 0.0,
    steps: int = STEPS,
    batch: int = 32,
) -> np.ndarray:
    """Return integrated gradients: the mean gradient from a baseline to the image, times the step.

    Sundararajan, Taly and Yan, "Axiomatic attribution for deep networks", ICML 2017; the integral
    by Gauss-Legendre quadrature. The values add up to the score of the image minus that of the
    baseline (completeness).

    Args:
        gradient: returns the gradient of images.
        image: float32 HxWxC, in the scale that the network takes.
        target: number of the class.
        baseline: one value, one for each channel, or an image HxWxC.
        steps: points on the line.
        batch: points that are computed together.

    Returns:
        float64 HxWxC.
    """
    difference = image - np.broadcast_to(np.asarray(baseline, np.float32), image.shape)
    points, weights = np.polynomial.legendre.leggauss(steps)
    shares = 0.5 * (1 + points)
    total = np.zeros(image.shape)
    for start in range(0, steps, batch):
        some = np.s_[start : start + batch]
        share = shares[some, None, None, None].astype(np.float32)
        slopes = gradient(image - (1 - share) * difference, target)
        total += np.tensordot(0.5 * weights[some], slopes.astype(np.float64), axes=1)
    return difference * total


def gradient_shap(
    gradient: Gradient,
    image: np.ndarray,
    target: int,
    baselines: Sequence[float | np.ndarray],
    samples: int,
    deviation: float,
    seed: int,
    batch: int = 32,
) -> np.ndarray:
    """Return the GradientSHAP map: mean gradient between noisy copies and baselines, times the way.

    Lundberg and Lee, "A unified approach to interpreting model predictions", NeurIPS 2017; as
    Captum's GradientShap: each sample has a noisy copy of the image, a baseline drawn from the
    given ones and a point drawn uniformly on the line between them.

    Args:
        gradient: gives the gradient of images.
        image: float32 HxWxC, in the scale that the network takes.
        target: number of the class.
        baselines: each one value, one a channel, or an image HxWxC.
        samples: number of points.
        deviation: standard deviation of the Gaussian noise, in the scale of the image.
        seed: of noise, baselines and points.
        batch: points that are computed together.

    Returns:
        float64 HxWxC.
    """
    rng = np.random.default_rng(seed)
    given = [np.broadcast_to(np.asarray(b, np.float32), image.shape) for b in baselines]
    total = np.zeros(image.shape)
    for start in range(0, samples, batch):
        count = min(batch, samples - start)
        noise = rng.standard_normal((count, *image.shape), dtype=np.float32)
        noisy = image + np.float32(deviation) * noise
        away = noisy - np.stack([given[at] for at in rng.integers(len(given), size=count)])
        points = rng.random((count, 1, 1, 1), dtype=np.float32)
        found = gradient(noisy - (1 - points) * away, target).astype(np.float64)
        total += (found * away).sum(axis=0)
    return total / samples


def smoothgrad(
    attribute: Callable[[np.ndarray], np.ndarray],
    image: np.ndarray,
    samples: int,
    deviation: float,
    seed: int,
    squared: bool = False,
) -> np.ndarray:
    """Return the mean of a map, or of its square, over noisy copies of an image.

    Smilkov et al., "SmoothGrad: removing noise by adding noise", arXiv:1706.03825, 2017.

    Args:
        attribute: returns the map of an image.
        image: float32 HxWxC.
        samples: noisy copies; 0: the image as it is.
        deviation: standard deviation of the Gaussian noise, in the scale of the image.
        seed: of the noise.
        squared: average the squares.

    Returns:
        float64, the map's shape.
    """
    if samples == 0:
        return attribute(image)
    rng = np.random.default_rng(seed)
    scale = np.float32(deviation)
    total: Any = 0.0
    for _ in range(samples):
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        found = attribute(image + scale * noise)
        total = total + (found**2 if squared else found)
    return total / samples


def grad_cam(
    gradient: Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]],
    image: np.ndarray,
    target: int,
) -> np.ndarray:
    """Return the features of a layer, weighted by the mean gradient of the score, where positive.

    Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based
    localization", ICCV 2017. It is as coarse as the layer and is enlarged by linear interpolation.

    Args:
        gradient: returns the layer's features and their gradient (`gradients.feature_gradient`).
        image: float32 HxWxC, in the scale that the network takes.
        target: number of the class.

    Returns:
        float64 HxW, 0 or above.
    """
    features, by_feature = (array[0].astype(np.float64) for array in gradient(image[None], target))
    weights = by_feature.mean(axis=(0, 1))
    coarse = np.maximum(features @ weights, 0)
    height, width = image.shape[:2]
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)


# --- Gradients of class scores, by TensorFlow's own tape

Gradient = Callable[[np.ndarray, int], np.ndarray]
"""From images, float32 NxHxWxC, and a class to the gradient of its score, NxHxWxC."""


def input_gradient(network: keras.Model) -> Gradient:
    """Return a function for the gradient of a class' score by the pixels.

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


def feature_gradient(
    network: keras.Model, layer: keras.Layer
) -> Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]:
    """Return a function for a layer's output and the gradient of a class' score by it.

    Both are float32 Nxhxwxk. Arguments and errors as of `input_gradient`.
    """
    tf = _tensorflow()
    both = keras.Model(network.inputs, [layer.output, network.outputs[0]])

    @tf.function(reduce_retracing=True)
    def compute(images: Any, chosen: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            # Watched, because the layer may come before all trainable weights.
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
