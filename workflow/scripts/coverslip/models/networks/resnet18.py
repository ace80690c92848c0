"""ResNet18, as in torchvision: He et al., Deep residual learning for image recognition, CVPR 2016.

11,178,564 parameters with RGB images and four classes. On the same weights it gives what
torchvision's gives: paddings are symmetric, batch normalization has its epsilon. Layers have the
names of its modules with `_` for `.`, so that its weights go in by name.

With `stem_kernel: 3`, as in study 3, the first convolution is 3x3 with stride 1 and starts from
random weights whatever `weights` is: 11,170,884 parameters.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import keras
from keras import layers

from coverslip.models.networks import torch_weights

if TYPE_CHECKING:
    from coverslip.config.sections import Network

FILTERS = (64, 128, 256, 512)

MOMENTUM, EPSILON = 0.9, 1e-5
"""Of batch normalization, as in torch (where the momentum is counted the other way round)."""

STEM, LAST = "conv1", "fc"

NEW_STEM = "conv1_new"
"""Name of the 3x3 stem, which has no pretrained weights."""


def size_divisor(network: Network) -> int:
    """Heights and widths must be multiples of this number of pixels."""
    return 1


def build(network: Network, shape: tuple[int | None, int | None, int]) -> keras.Model:
    """From float32 (N, height, width, channels) to float32 logits (N, outputs).

    Pretrained weights were made for RGB images that `scaling: imagenet` normalised.
    """
    inputs = keras.Input(shape)
    if network.stem_kernel == 7:
        x = _convolution(inputs, 64, 7, 2, STEM)
    else:
        start = torch_weights.default_initializers(9 * shape[2])["kernel_initializer"]
        x = layers.ZeroPadding2D(1)(inputs)
        x = layers.Conv2D(64, 3, use_bias=False, kernel_initializer=start, name=NEW_STEM)(x)
    x = layers.Activation("relu")(_normalization(x, "bn1"))
    # After relu nothing is below 0: padding with 0 is what torch does with minus infinity.
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))
    for level, filters in enumerate(FILTERS, start=1):
        x = _block(x, filters, 1 if level == 1 else 2, f"layer{level}_0")
        x = _block(x, filters, 1, f"layer{level}_1")
    x = layers.GlobalAveragePooling2D()(x)
    start = torch_weights.default_initializers(x.shape[-1])
    outputs = layers.Dense(network.num_classes, dtype="float32", name=LAST, **start)(x)
    return keras.Model(inputs, outputs, name="resnet18")


def load_pretrained(model: keras.Model, path: Path) -> None:
    """Copy weights with torchvision's names from a `.safetensors` or `.npz` file.

    For grey images the first layer's kernels of red, green and blue are added up, so that grey
    gives what it gives as three equal channels. The last layer's are taken where they have as many
    classes; else it stays as it is.

    Raises OSError, KeyError or ValueError if the file cannot be read or does not fit.
    """
    tensors = torch_weights.read(path)
    for layer in model.layers:
        if not layer.weights or layer.name == NEW_STEM:
            continue
        if layer.name == LAST and len(tensors[f"{LAST}.bias"]) != layer.units:
            continue
        module = layer.name.replace("downsample_", "downsample.")
        if module.startswith("layer"):
            module = module.replace("_", ".", 2)
        torch_weights.fill(layer, module, tensors)


def _block(x, filters: int, strides: int, name: str):
    """Two 3x3 convolutions with a shortcut, which is a 1x1 convolution where the size changes."""
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
