"""The network of the cell line study: six convolutions and 4.7 million weights after them.

Two 3x3 convolutions and a max-pooling at 32, 64 and 128 filters, a dense layer of 256 with an L2
penalty of 1e-3 and dropout of 0.5: 5,007,593 parameters with grey images of 100x100 pixels and
nine classes, as published. The size is fixed: of the section, only `num_classes` applies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import keras
from keras import layers

from coverslip.models.networks import fixed_size

if TYPE_CHECKING:
    from coverslip.config.sections import Network

FILTERS = (32, 64, 128)

DENSE = 256

DROPOUT = 0.5

PENALTY = 1e-3


def size_divisor(network: Network) -> int:
    """Heights and widths must be multiples of this number of pixels."""
    return 1


def build(network: Network, shape: tuple[int | None, int | None, int]) -> keras.Model:
    """From float32 (N, height, width, channels) to float32 logits (N, outputs).

    Raises CoverslipError without a fixed size of 8x8 pixels or more.
    """
    inputs = keras.Input(fixed_size("livecell_cnn", shape, 2 ** len(FILTERS)))
    x = inputs
    for filters in FILTERS:
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    penalty = keras.regularizers.L2(PENALTY)
    x = layers.Dense(DENSE, activation="relu", kernel_regularizer=penalty, name="dense")(x)
    x = layers.Dropout(DROPOUT)(x)
    outputs = layers.Dense(network.num_classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, outputs, name="livecell_cnn")
