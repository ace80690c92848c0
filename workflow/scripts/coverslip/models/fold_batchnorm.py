"""A network made for speed: it answers nearly the same in a fraction of the time.

Batch normalization whose statistics are fixed is a scale and a shift of each channel, so that the
convolution before it can do both (Jacob et al., Quantization and training of neural networks for
efficient integer-arithmetic-only inference, CVPR 2018, section 3.2). What is left computes in half
precision where the device is fast at that.
"""

from __future__ import annotations

import keras
import numpy as np

FOLDABLE = (keras.layers.Conv2D, keras.layers.Conv2DTranspose, keras.layers.DepthwiseConv2D)
"""Layers that can take up the scale and shift of a normalization that follows them."""


class Identity(keras.layers.Layer):
    """Replaces a normalization that is folded."""

    def call(self, inputs, mask=None):
        """Return the input unchanged; a mask is accepted, as by the normalization."""
        return inputs


def fold_batchnorm(network: keras.Model, policy: str) -> keras.Model:
    """Return the network with normalizations folded into convolutions, in the dtype of a policy.

    Args:
        network: functional, float32, trained, giving logits.
        policy: dtype policy of all layers but the last, which stays as it is.

    Returns:
        A network whose logits differ by rounding: of float32 without half precision in the policy.
    """
    folded = _foldable(network)
    taken = {id(norm): norm for norm in folded.values()}
    last = next(layer for layer in network.layers if layer.output is network.output)

    def made(layer: keras.layers.Layer) -> keras.layers.Layer:
        if id(layer) in taken:
            return Identity(name=layer.name, dtype=policy)
        config = layer.get_config()
        if id(layer) in folded:
            config["use_bias"] = True
        if layer is not last and not isinstance(layer, keras.layers.InputLayer):
            config["dtype"] = policy
        return type(layer).from_config(config)

    copy = keras.models.clone_model(network, clone_function=made)
    for layer in network.layers:
        if layer.weights and id(layer) not in taken:
            norm = folded.get(id(layer))
            values = layer.get_weights() if norm is None else _with(layer, norm)
            copy.get_layer(layer.name).set_weights(values)
    return copy


def _foldable(network: keras.Model) -> dict[int, keras.layers.BatchNormalization]:
    """From the id of each convolution that is normalized, and nothing else, to what does it."""
    users: dict[int, list[keras.layers.Layer]] = {}
    for layer in network.layers:
        for given in layer.input if isinstance(layer.input, list) else [layer.input]:
            users.setdefault(id(given), []).append(layer)
    found = {}
    for layer in network.layers:
        after = users.get(id(layer.output), [])
        if len(after) != 1 or not isinstance(after[0], keras.layers.BatchNormalization):
            continue
        plain = type(layer) in FOLDABLE and layer.activation is keras.activations.linear
        if plain and after[0].axis in (-1, 3):
            found[id(layer)] = after[0]
    return found


def _with(layer: keras.layers.Layer, norm: keras.layers.BatchNormalization) -> list[np.ndarray]:
    """Kernel and bias of a convolution with the normalization after it."""
    kernel, *bias = layer.get_weights()
    mean, variance = _numbers(norm.moving_mean), _numbers(norm.moving_variance)
    scale = 1 / np.sqrt(variance + np.float32(norm.epsilon))
    if norm.scale:
        scale = scale * _numbers(norm.gamma)
    shift = (bias[0] - mean if bias else -mean) * scale
    if norm.center:
        shift = shift + _numbers(norm.beta)
    if isinstance(layer, keras.layers.Conv2DTranspose):  # height, width, outputs, inputs
        kernel = kernel * scale[:, np.newaxis]
    elif isinstance(layer, keras.layers.DepthwiseConv2D):  # height, width, inputs, multiples
        kernel = kernel * scale.reshape(kernel.shape[2:])
    else:
        kernel = kernel * scale
    return [kernel, shift]


def _numbers(variable: keras.Variable) -> np.ndarray:
    return keras.ops.convert_to_numpy(variable)
