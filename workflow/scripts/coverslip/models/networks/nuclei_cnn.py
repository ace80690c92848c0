"""The network of the nuclei types study: four convolutions and 20 million weights after them.

3x3 convolutions of 16 and 32 filters, max-pooling, of 64 and 128, max-pooling, then dense layers of
256 and 32 (`dense_1`, `dense_2`), each with batch normalization and ReLU, and dropout of 0.5 after
each dense layer: 20,587,108 trainable parameters with RGB images of 100x100 pixels and four
classes, as published. Weights and biases start as PyTorch's default. Of the section, only these two
and `num_classes` apply.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras import layers

from coverslip.models.networks import fixed_size
from coverslip.models.networks.torch_weights import default_initializers

if TYPE_CHECKING:
    from coverslip.config.sections import Network

FILTERS = ((16, 32), (64, 128))

DROPOUT = 0.5

MOMENTUM, EPSILON = 0.9, 1e-5
"""Of batch normalization, as in PyTorch (where the momentum is counted the other way round)."""


def size_divisor(network: Network) -> int:
    """Heights and widths must be multiples of this number of pixels."""
    return 1


def build(network: Network, shape: tuple[int | None, int | None, int]) -> keras.Model:
    """From float32 (N, height, width, channels) to float32 logits (N, outputs).

    Raises CoverslipError without a fixed size of 4x4 pixels or more.
    """
    inputs = keras.Input(fixed_size("nuclei_cnn", shape, 2 ** len(FILTERS)))
    x = inputs
    for level in FILTERS:
        for filters in level:
            start = default_initializers(9 * x.shape[-1])
            x = _normalize(layers.Conv2D(filters, 3, padding="same", **start)(x))
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    for units in (network.dense_1, network.dense_2):
        x = _normalize(layers.Dense(units, **default_initializers(x.shape[-1]))(x))
        x = layers.Dropout(DROPOUT)(x)
    start = default_initializers(x.shape[-1])
    outputs = layers.Dense(network.num_classes, dtype="float32", name="logits", **start)(x)
    return keras.Model(inputs, outputs, name="nuclei_cnn")


def _normalize(x):
    x = layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON)(x)
    return layers.Activation("relu")(x)
