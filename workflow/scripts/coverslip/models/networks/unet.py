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
    from coverslip.config.sections import Network


def size_divisor(network: Network) -> int:
    """Heights and widths must be multiples of this number of pixels."""
    return network.stem_stride * 2**network.depth


def build(network: Network, shape: tuple[int | None, int | None, int]) -> keras.Model:
    """U-Net of `network.depth` poolings with `filters`, 2 `filters`, 4 `filters`... a level.

    Takes float32 (N, height, width, channels), gives float32 logits (N, height, width, outputs).
    """
    inputs = keras.Input(shape)
    norm = network.normalization
    x = inputs
    if network.stem_stride == 2:
        x = _convolution(x, network.filters, 5, norm, strides=2)
    skips = []
    for level in range(network.depth):
        x = _convolutions(x, _filters(network, level), norm)
        skips.append(x)
        x = layers.MaxPooling2D()(x)
    x = _convolutions(x, _filters(network, network.depth), norm)
    if network.dropout:
        x = layers.Dropout(network.dropout)(x)
    x = decode(x, skips, network)
    if network.stem_stride == 2:
        x = full_resolution(x, inputs, network)
    # Logits stay float32 under a mixed policy: their exponentials overflow in float16.
    outputs = layers.Conv2D(network.channels, 1, dtype="float32", name="logits")(x)
    return keras.Model(inputs, outputs, name="unet")


def decode(x, skips: list, network: Network):
    """From the lowest level up to the first of `skips`, which are those of each level above it."""
    for level in reversed(range(len(skips))):
        x = _up(x, skips[level], _filters(network, level), network.normalization)
        x = _convolutions(x, _filters(network, level), network.normalization)
    return x


def full_resolution(x, inputs, network: Network):
    """From half the resolution to the whole, with outlines from a thin branch on the inputs."""
    fine, norm = max(1, network.filters // 2), network.normalization
    outline = _convolution(inputs, max(1, network.filters // 4), 3, norm)
    return _convolution(_up(x, outline, fine, norm), fine, 3, norm)


def _filters(network: Network, level: int) -> int:
    filters = network.filters * 2**level
    return min(filters, network.max_filters or filters)


def _up(x, skip, filters: int, normalization: str):
    # Fewer channels first, then upsampling: the other way round costs four times as much.
    x = _convolution(x, filters, 1, normalization)
    x = layers.UpSampling2D(interpolation="nearest")(x)
    return layers.Concatenate()([skip, x])


def _convolutions(x, filters: int, normalization: str):
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
