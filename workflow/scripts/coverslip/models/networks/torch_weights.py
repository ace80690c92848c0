"""Weights with torch's names, order of axes and initial values, for keras layers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
from keras import layers


def read(path: Path) -> dict[str, np.ndarray]:
    """Tensors by name, of a `.safetensors` or `.npz` file.

    A `.pth` of torch is a pickle, which may run any code: it is not read. Raises OSError or
    ValueError if the file cannot be read.
    """
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"not a safetensors file: {error}") from error


def fill(layer: keras.Layer, module: str, tensors: Mapping[str, np.ndarray]) -> None:
    """Set a layer's weights from torch's `module`.

    Kernels for red, green and blue are added up for a layer that takes grey images: grey gives
    what it gives as three equal channels. Raises KeyError for what the file does not hold,
    ValueError for other shapes.
    """
    found = _values(layer, module, tensors)
    shapes = [tuple(value.shape) for value in found]
    expected = [tuple(weight.shape) for weight in layer.weights]
    if shapes != expected:
        raise ValueError(f"{layer.name}: shapes {shapes}, expected {expected}")
    layer.set_weights(found)


def _values(layer: keras.Layer, module: str, tensors: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Values of a layer's weights, in the order and form of keras."""
    if isinstance(layer, layers.BatchNormalization):
        return [tensors[f"{module}.{n}"] for n in ("weight", "bias", "running_mean", "running_var")]
    if isinstance(layer, layers.Dense):
        return [tensors[f"{module}.weight"].T, tensors[f"{module}.bias"]]
    kernel = tensors[f"{module}.weight"].transpose(2, 3, 1, 0)
    if isinstance(layer, layers.DepthwiseConv2D):
        return [kernel.transpose(0, 1, 3, 2)]
    if kernel.shape[2] == 3 and layer.weights[0].shape[2] == 1:
        kernel = kernel.sum(axis=2, keepdims=True)
    return [kernel]


def default_initializers(fan_in: int) -> dict[str, keras.Initializer]:
    """Return PyTorch's default initializers of a layer whose units have `fan_in` inputs each.

    Kernel and bias are uniform between -1 / sqrt(fan_in) and 1 / sqrt(fan_in).
    """
    limit = fan_in**-0.5
    return {
        "kernel_initializer": keras.initializers.RandomUniform(-limit, limit),
        "bias_initializer": keras.initializers.RandomUniform(-limit, limit),
    }
