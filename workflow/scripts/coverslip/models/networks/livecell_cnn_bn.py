"""The later network of the cell line study: eight convolutions with batch normalization.

Two 3x3 convolutions, each with ReLU and then batch normalization, max-pooling and dropout of 0.25
at 32, 64, 128 and 256 filters; a dense layer of 512 with ReLU, an L2 penalty of 1e-3 and batch
normalization; dropout of 0.5: 9,571,305 parameters with grey images of 128x128 pixels and nine
classes, as published. The size is fixed: of the section, only `num_classes` applies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras import layers

from coverslip.models.networks import fixed_size

if TYPE_CHECKING:
    from coverslip.config.sections import Network

FILTERS = (32, 64, 128, 256)

DENSE = 512

DROPOUT_LEVEL, DROPOUT_DENSE = 0.25, 0.5

PENALTY = 1e-3


def size_divisor(network: Network) -> int:
    """Heights and widths must be multiples of this number of pixels."""
    return 1


def build(network: Network, shape: tuple[int | None, int | None, int]) -> keras.Model:
    """From float32 (N, height, width, channels) to float32 logits (N, outputs).

    Raises CoverslipError without a fixed size of 16x16 pixels or more.
    """
    inputs = keras.Input(fixed_size("livecell_cnn_bn", shape, 2 ** len(FILTERS)))
    x = inputs
    for filters in FILTERS:
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
            x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D()(x)
        x = layers.Dropout(DROPOUT_LEVEL)(x)
    x = layers.Flatten()(x)
    penalty = keras.regularizers.L2(PENALTY)
    x = layers.Dense(DENSE, activation="relu", kernel_regularizer=penalty, name="dense")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Dropout(DROPOUT_DENSE)(x)
    outputs = layers.Dense(network.num_classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, outputs, name="livecell_cnn_bn")
