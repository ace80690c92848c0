"""The U-Net on a MobileNetV2 encoder of studies 2 and 4.

The network of TensorFlow's image segmentation tutorial: Sandler et al., MobileNetV2: inverted
residuals and linear bottlenecks, CVPR 2018, cut at `block_16_project`, with skips at the expanded
blocks 1, 3, 6 and 13, and a decoder of transposed convolutions. 6,502,786 parameters with three
input channels and two outputs, 4,658,882 of them trainable with the encoder frozen.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import keras
from keras import layers

if TYPE_CHECKING:
    from coverslip.config.sections import Network

SKIPS = (
    "block_1_expand_relu",
    "block_3_expand_relu",
    "block_6_expand_relu",
    "block_13_expand_relu",
)

BOTTOM = "block_16_project"

DECODER = (512, 256, 128, 64)

ENCODER_MOMENTUM = 0.9
"""Of batch normalization in an encoder that starts from random weights."""


def size_divisor(network: Network) -> int:
    """Heights and widths must be multiples of this number of pixels."""
    return 32


def build(network: Network, shape: tuple[int | None, int | None, int]) -> keras.Model:
    """Takes float32 (N, height, width, channels), gives float32 logits (N, height, width, outputs).

    The encoder's weights are random; `load_pretrained` replaces them. Pretrained weights were made
    for inputs of -1..1.
    """
    inputs = keras.Input(shape)
    encoder = keras.applications.MobileNetV2(input_tensor=inputs, include_top=False, weights=None)
    for layer in encoder.layers:
        layer.trainable = not network.freeze_encoder
        if network.weights == "none" and isinstance(layer, layers.BatchNormalization):
            # The running statistics of the default (0.999) lag so far behind at 30 steps an
            # epoch that validation stays at chance; pretrained ones are right from the start.
            layer.momentum = ENCODER_MOMENTUM
    x = encoder.get_layer(BOTTOM).output
    for filters, skip in zip(DECODER, reversed(SKIPS), strict=True):
        x = _upsample(x, filters)
        x = layers.Concatenate()([x, encoder.get_layer(skip).output])
    outputs = layers.Conv2DTranspose(
        network.channels, 3, strides=2, padding="same", dtype="float32", name="logits"
    )(x)
    return keras.Model(inputs, outputs, name="mobilenetv2_unet")


def load_pretrained(model: keras.Model, path: Path) -> None:
    """Copy the encoder's weights from a file of `keras.applications` (MobileNetV2, no top).

    Raises OSError or ValueError if the file cannot be read or does not fit.
    """
    channels = model.input_shape[-1]
    source = keras.applications.MobileNetV2(
        input_shape=(None, None, channels), include_top=False, weights=None
    )
    source.load_weights(str(path))
    weights = {layer.name: layer.get_weights() for layer in source.layers if layer.weights}
    for layer in model.layers:
        if layer.name in weights:
            layer.set_weights(weights[layer.name])


def _upsample(x, filters: int):
    x = layers.Conv2DTranspose(
        filters,
        3,
        strides=2,
        padding="same",
        use_bias=False,
        kernel_initializer=keras.initializers.RandomNormal(0.0, 0.02),
    )(x)
    x = layers.BatchNormalization()(x)
    return layers.Activation("relu")(x)
