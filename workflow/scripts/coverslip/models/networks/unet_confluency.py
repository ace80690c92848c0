"""The U-Net of the confluency study: five levels, 16 to 256 filters, dropout at each.

1,940,817 parameters with one input channel and one output, as published. Two 3x3 convolutions a
level with dropout between them, 2x2 transposed convolutions upwards, He initialization; after
Ronneberger, Fischer and Brox, MICCAI 2015. The size of the network is fixed: `filters`, `depth`,
`dropout` and `normalization` do not apply.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras import layers

if TYPE_CHECKING:
    from coverslip.config.sections import Network

FILTERS = (16, 32, 64, 128, 256)

DROPOUT = (0.1, 0.1, 0.2, 0.2, 0.3)


def size_divisor(network: Network) -> int:
    """Heights and widths must be multiples of this number of pixels."""
    return 2 ** (len(FILTERS) - 1)


def build(network: Network, shape: tuple[int | None, int | None, int]) -> keras.Model:
    """From float32 (N, height, width, channels) to float32 logits (N, height, width, outputs)."""
    inputs = keras.Input(shape)
    x = inputs
    skips = []
    for filters, dropout in zip(FILTERS[:-1], DROPOUT[:-1], strict=True):
        x = _level(x, filters, dropout)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = _level(x, FILTERS[-1], DROPOUT[-1])
    for filters, dropout in zip(FILTERS[-2::-1], DROPOUT[-2::-1], strict=True):
        x = layers.Conv2DTranspose(filters, 2, strides=2, padding="same")(x)
        x = layers.Concatenate()([x, skips.pop()])
        x = _level(x, filters, dropout)
    outputs = layers.Conv2D(network.channels, 1, dtype="float32", name="logits")(x)
    return keras.Model(inputs, outputs, name="unet_confluency")


def _level(x, filters: int, dropout: float):
    x = _convolution(x, filters)
    x = layers.Dropout(dropout)(x)
    return _convolution(x, filters)


def _convolution(x, filters: int):
    return layers.Conv2D(
        filters, 3, padding="same", activation="relu", kernel_initializer="he_normal"
    )(x)
