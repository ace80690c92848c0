"""ResNet18, as in torchvision: He et al., Deep residual learning for image recognition, CVPR 2016.

11,178,564 parameters with RGB pictures and four classes. On the same weights it gives what
torchvision's gives: paddings are symmetric, batch normalization has its epsilon. Layers have the
names of its modules with `_` for `.`, so that its weights go in by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
from keras import layers

if TYPE_CHECKING:
    from coverslip.configuration.config import Network

FILTERS = (64, 128, 256, 512)
MOMENTUM, EPSILON = 0.9, 1e-5
"""Of batch normalization, as in torch (where the momentum is counted the other way round)."""
LAST = "fc"


def multiple(network: Network) -> int:
    """Heights and widths must be multiples of this number of pixels."""
    return 1


def build(network: Network, shape: tuple[int | None, int | None, int]) -> keras.Model:
    """From float32 (N, height, width, channels) to float32 logits (N, outputs).

    Pretrained weights were made for RGB pictures of zero mean and unit deviation a channel, which
    `scaling: standard` gives.
    """
    inputs = keras.Input(shape)
    x = _convolution(inputs, 64, 7, 2, "conv1")
    x = layers.Activation("relu")(_normalization(x, "bn1"))
    # After relu nothing is below 0: padding with 0 is what torch does with minus infinity.
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))
    for level, filters in enumerate(FILTERS, start=1):
        x = _block(x, filters, 1 if level == 1 else 2, f"layer{level}_0")
        x = _block(x, filters, 1, f"layer{level}_1")
    x = layers.GlobalAveragePooling2D()(x)
    outputs = layers.Dense(network.outputs, dtype="float32", name=LAST)(x)
    return keras.Model(inputs, outputs, name="resnet18")


def load_pretrained(model: keras.Model, path: Path) -> None:
    """Copy weights with torchvision's names from a `.safetensors` or `.npz` file.

    The first layer's are adapted to the channels: for grey pictures the kernels of red, green and
    blue are added up, so that grey gives what it gives as three equal channels. The last layer's
    are taken where they have as many classes; else it stays as it is.

    Raises OSError, KeyError or ValueError if the file cannot be read or does not fit.
    """
    tensors = _read(path)
    for layer in model.layers:
        if not layer.weights:
            continue
        values = _values(layer, tensors, model.input_shape[-1])
        shapes = [tuple(value.shape) for value in values]
        if layer.name == LAST and shapes[1] != tuple(layer.weights[1].shape):
            continue
        expected = [tuple(weight.shape) for weight in layer.weights]
        if shapes != expected:
            raise ValueError(f"{layer.name}: shapes {shapes}, expected {expected}")
        layer.set_weights(values)


def _values(
    layer: keras.Layer, tensors: Mapping[str, np.ndarray], channels: int
) -> list[np.ndarray]:
    """Values of a layer's weights, in the order and form of keras."""
    module = layer.name.replace("downsample_", "downsample.")
    if module.startswith("layer"):
        module = module.replace("_", ".", 2)
    if isinstance(layer, layers.BatchNormalization):
        return [tensors[f"{module}.{n}"] for n in ("weight", "bias", "running_mean", "running_var")]
    if isinstance(layer, layers.Dense):
        return [tensors[f"{module}.weight"].T, tensors[f"{module}.bias"]]
    kernel = tensors[f"{module}.weight"].transpose(2, 3, 1, 0)
    if layer.name == "conv1" and kernel.shape[2] == 3 and channels == 1:
        kernel = kernel.sum(axis=2, keepdims=True)
    return [kernel]


def _read(path: Path) -> dict[str, np.ndarray]:
    """Tensors by name. A `.pth` of torch is a pickle, which may run any code: it is not read."""
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"not a safetensors file: {error}") from error


def _block(x, filters: int, strides: int, name: str):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the size changes."""
    shortcut = x
    if strides != 1 or x.shape[-1] != filters:
        shortcut = _convolution(x, filters, 1, strides, f"{name}_downsample_0")
        shortcut = _normalization(shortcut, f"{name}_downsample_1")
    x = _convolution(x, filters, 3, strides, f"{name}_conv1")
    x = layers.Activation("relu")(_normalization(x, f"{name}_bn1"))
    x = _convolution(x, filters, 3, 1, f"{name}_conv2")
    x = layers.Add()([_normalization(x, f"{name}_bn2"), shortcut])
    return layers.Activation("relu")(x)


def _convolution(x, filters: int, size: int, strides: int, name: str):
    if size > 1:
        x = layers.ZeroPadding2D(size // 2)(x)
    return layers.Conv2D(
        filters, size, strides=strides, use_bias=False, kernel_initializer="he_normal", name=name
    )(x)


def _normalization(x, name: str):
    return layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON, name=name)(x)
