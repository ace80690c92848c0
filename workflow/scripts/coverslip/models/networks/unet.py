"""A configurable U-Net.

Ronneberger, Fischer and Brox, U-Net: convolutional networks for biomedical image segmentation,
MICCAI 2015; with padded convolutions, optional normalization, and a 1x1 convolution with
nearest-neighbour upsampling instead of a transposed convolution (no checkerboard: Odena, Dumoulin
and Olah, Deconvolution and checkerboard artifacts, Distill 2016).
"""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING

import keras
from keras import layers

if TYPE_CHECKING:
    from coverslip.configuration.config import Network


def multiple(network: Network) -> int:
    """Heights and widths must be multiples of this number of pixels."""
    return network.stem * 2**network.depth


def build(network: Network, shape: tuple[int | None, int | None, int]) -> keras.Model:
    """U-Net of `network.depth` poolings with `filters`, 2 `filters`, 4 `filters`... a level.

    Takes float32 (N, height, width, channels), gives float32 logits (N, height, width, outputs).
    """
    inputs = keras.Input(shape)
    norm = network.normalization
    x = inputs
    if network.stem == 2:
        x = _convolution(x, network.filters, 5, norm, strides=2)
    skips = []
    for level in range(network.depth):
        x = convolutions(x, level_filters(network, level), norm)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = convolutions(x, level_filters(network, network.depth), norm)
    if network.dropout:
        x = layers.Dropout(network.dropout)(x)
    for level in reversed(range(network.depth)):
        x = up(x, skips[level], level_filters(network, level), norm)
        x = convolutions(x, level_filters(network, level), norm)
    if network.stem == 2:
        x = full_resolution(x, inputs, network)
    # Logits stay float32 under a mixed policy: their exponentials overflow in float16.
    outputs = layers.Conv2D(network.channels, 1, dtype="float32", name="logits")(x)
    return keras.Model(inputs, outputs, name="unet")


def level_filters(network: Network, level: int) -> int:
    """Filters of a level: doubled at each, up to `maximum_filters`."""
    filters = network.filters * 2**level
    return min(filters, network.maximum_filters or filters)


def full_resolution(x, inputs, network: Network):
    """From half the resolution to the whole, with outlines from a thin branch on the inputs."""
    fine = max(1, network.filters // 2)
    outline = _convolution(inputs, max(1, network.filters // 4), 3, network.normalization)
    return _convolution(up(x, outline, fine, network.normalization), fine, 3, network.normalization)


def up(x, skip, filters: int, normalization: str):
    """Twice the resolution, with `filters` channels, beside those of `skip`."""
    # Fewer channels first, then upsampling: the other way round costs four times as much.
    x = _convolution(x, filters, 1, normalization)
    x = layers.UpSampling2D(interpolation="nearest")(x)
    return layers.Concatenate()([skip, x])


def convolutions(x, filters: int, normalization: str):
    """Two 3x3 convolutions, each normalized and with relu."""
    return _convolution(_convolution(x, filters, 3, normalization), filters, 3, normalization)


def _convolution(x, filters: int, size: int, normalization: str, strides: int = 1):
    x = layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding="same",
        use_bias=normalization == "none",
        kernel_initializer="he_normal",
    )(x)
    if normalization == "batch":
        # The default momentum of 0.99 leaves validation at chance for the first ten epochs where
        # an epoch has some 30 steps, and early stopping then keeps those.
        x = layers.BatchNormalization(momentum=0.9)(x)
    elif normalization == "group":
        x = layers.GroupNormalization(groups=gcd(8, filters))(x)
    return layers.Activation("relu")(x)
