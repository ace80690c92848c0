"""A U-Net on an EfficientNet-Lite0 encoder.

Tan and Le, EfficientNet: rethinking model scaling for convolutional neural networks, ICML 2019, in
the form that its authors published for small devices (EfficientNet-Lite0: relu6, no squeeze and
excitation). The decoder is that of `unet`, with a thin branch at full resolution that draws the
outlines. Layers of the encoder have the names of timm's `tf_efficientnet_lite0` with `_` for `.`,
so that its weights go in by name.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import keras
from keras import layers

from coverslip.models.networks import torch_weights, unet

if TYPE_CHECKING:
    from coverslip.config.sections import Network

STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Of each stage: blocks, size of the depthwise kernels, stride of the first, expansion, filters."""

SKIPS = (0, 1, 2, 4)
"""Stages after which the resolution is halved: 1/2, 1/4, 1/8 and 1/16 of the image's."""

STEM = 32

ENCODER = ("conv_stem", "bn1", "blocks_")
"""How the names of the encoder's layers begin."""

MOMENTUM, EPSILON = 0.9, 1e-3
"""Of batch normalization. The default momentum lags far behind at 30 steps an epoch."""


def size_divisor(network: Network) -> int:
    """Heights and widths must be multiples of this number of pixels."""
    return 32


def build(network: Network, shape: tuple[int | None, int | None, int]) -> keras.Model:
    """Takes float32 (N, height, width, channels), gives float32 logits (N, height, width, outputs).

    The encoder's weights are random; `load_pretrained` replaces them. Pretrained weights were made
    for intensities of 0..1 (`input_scaling: unit`), which the network itself brings to -1..1.
    """
    inputs = keras.Input(shape)
    *skips, lowest = _encoder(inputs)
    x = unet.full_resolution(unet.decode(lowest, skips, network), inputs, network)
    outputs = layers.Conv2D(network.channels, 1, dtype="float32", name="logits")(x)
    model = keras.Model(inputs, outputs, name="efficientnet_lite0_unet")
    for layer in model.layers:
        if layer.name.startswith(ENCODER):
            layer.trainable = not network.freeze_encoder
    return model


def load_pretrained(model: keras.Model, path: Path) -> None:
    """Copy the encoder's weights from a `.safetensors` or `.npz` file with timm's names.

    For grey images the kernels of red, green and blue of the first layer are added up, so that
    grey gives what it gives as three equal channels.

    Raises OSError, KeyError or ValueError if the file cannot be read or does not fit.
    """
    tensors = torch_weights.read(path)
    for layer in model.layers:
        if layer.weights and layer.name.startswith(ENCODER):
            block = layer.name.startswith("blocks_")
            module = layer.name.replace("_", ".", 3) if block else layer.name
            torch_weights.fill(layer, module, tensors)


def _encoder(inputs) -> list:
    """Outputs of the stages in `SKIPS`, and of the last."""
    x = layers.Rescaling(2.0, offset=-1.0)(inputs)
    x = _normalize(_convolution(x, STEM, 3, 2, "conv_stem"), "bn1")
    kept = []
    for stage, (blocks, size, stride, expansion, filters) in enumerate(STAGES):
        for block in range(blocks):
            name = f"blocks_{stage}_{block}"
            x = _block(x, size, stride if block == 0 else 1, expansion, filters, name)
        if stage in SKIPS:
            kept.append(x)
    return [*kept, x]


def _block(x, size: int, stride: int, expansion: int, filters: int, name: str):
    """Inverted residual: 1x1 up (unless the expansion is 1), depthwise, 1x1 down without relu."""
    entered, wide = x, expansion * x.shape[-1]
    names = iter([f"{name}_bn1", f"{name}_bn2", f"{name}_bn3"])
    if expansion != 1:
        x = _normalize(_convolution(x, wide, 1, 1, f"{name}_conv_pw"), next(names))
    x = layers.DepthwiseConv2D(
        size,
        strides=stride,
        padding="same",
        use_bias=False,
        depthwise_initializer="he_normal",
        name=f"{name}_conv_dw",
    )(x)
    x = _normalize(x, next(names))
    last = f"{name}_conv_pwl" if expansion != 1 else f"{name}_conv_pw"
    x = _normalize(_convolution(x, filters, 1, 1, last), next(names), relu=False)
    if stride == 1 and entered.shape[-1] == filters:
        x = layers.Add(name=f"{name}_add")([entered, x])
    return x


def _convolution(x, filters: int, size: int, stride: int, name: str):
    return layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
    )(x)


def _normalize(x, name: str, relu: bool = True):
    x = layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON, name=name)(x)
    return layers.ReLU(max_value=6.0)(x) if relu else x
