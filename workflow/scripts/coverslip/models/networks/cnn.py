"""A plain network for classes that looks at images of any size.

Two 3x3 convolutions with normalization a level, max-pooling between levels, then the mean of each
feature over the whole image (global average pooling: Lin, Chen and Yan, Network in network, ICLR
2014) instead of millions of weights that are bound to places: the class of a cell does not
depend on its position.
"""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING

import keras
from keras import layers

if TYPE_CHECKING:
    from coverslip.config.sections import Network

MOMENTUM = 0.9
"""Of batch normalization; the default of 0.99 lags behind where an epoch has some 30 steps."""


def size_divisor(network: Network) -> int:
    """Heights and widths must be multiples of this number of pixels."""
    return 2**network.depth


def build(network: Network, shape: tuple[int | None, int | None, int]) -> keras.Model:
    """`network.depth` poolings with `filters`, 2 `filters`, 4 `filters`... a level.

    From float32 (N, height, width, channels) to float32 logits (N, outputs).
    """
    inputs = keras.Input(shape)
    x = inputs
    for level in range(network.depth + 1):
        filters = network.filters * 2**level
        filters = min(filters, network.max_filters or filters)
        if level:
            x = layers.MaxPooling2D()(x)
        x = _convolution(x, filters, network.normalization)
        x = _convolution(x, filters, network.normalization)
    x = layers.GlobalAveragePooling2D()(x)
    if network.dropout:
        x = layers.Dropout(network.dropout)(x)
    outputs = layers.Dense(network.num_classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, outputs, name="cnn")


def _convolution(x, filters: int, normalization: str):
    x = layers.Conv2D(
        filters,
        3,
        padding="same",
        use_bias=normalization == "none",
        kernel_initializer="he_normal",
    )(x)
    if normalization == "batch":
        x = layers.BatchNormalization(momentum=MOMENTUM)(x)
    elif normalization == "group":
        x = layers.GroupNormalization(groups=gcd(8, filters))(x)
    return layers.Activation("relu")(x)
