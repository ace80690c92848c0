"""How an image is cut into tiles, and what each tile weighs.

A tile has the size of the patches that a network was trained on, or is larger, for networks that
take that (`grain_of`): less is predicted twice, and fewer pixels are near the border of a tile,
where predictions are worst (Reina et al., Systematic evaluation of image tiling adverse effects on
deep learning semantic segmentation, Frontiers in Neuroscience 2020).
Needs no Keras.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

SIGMAS = 8
"""Side of a tile in standard deviations of its Gaussian window, as in nnU-Net."""

FLOOR = 1e-3
"""Smallest weight of the Gaussian window along one axis; its largest is 1."""

LARGEST = 9 * 2**16
"""Pixels of the largest tile, as of 768x768: it takes about the memory of a batch of patches."""

GRAINS = (32, 64, 128, 256)
"""What sides of larger tiles may be multiples of. Below 32 little padding is saved."""

LOCAL = frozenset(
    {
        "Activation",
        "Add",
        "AveragePooling2D",
        "BatchNormalization",
        "Concatenate",
        "Conv2D",
        "Conv2DTranspose",
        "DepthwiseConv2D",
        "Dropout",
        "InputLayer",
        "MaxPooling2D",
        "ReLU",
        "SeparableConv2D",
        "SpatialDropout2D",
        "UpSampling2D",
    }
)
"""Layers whose answer at a pixel depends on what is near it, and not on the size of the tile."""


@dataclass(frozen=True)
class Tiling:
    """Positions of the tiles of one image.

    Attributes:
        size: height and width of the image in pixels.
        padded: those of the image as it is continued at its lower and right border.
        tile: those of a tile.
        patch: those of the patches of the training, which overlap and windows are measured by.
        shared: how much of a tile its neighbour covers too, in pixels.
        margin: how much of it is thrown away where a neighbour knows better, in pixels.
    """

    size: tuple[int, int]
    padded: tuple[int, int]
    tile: tuple[int, int]
    patch: tuple[int, int]
    shared: tuple[int, int]
    margin: tuple[int, int]

    @property
    def wide(self) -> bool:
        """Whether tiles are larger than patches."""
        return self.tile != self.patch

    def starts(self, axis: int) -> list[int]:
        """First rows (axis 0) or columns (1) of the tiles."""
        step = self.tile[axis] - self.shared[axis]
        return steps(self.padded[axis], self.tile[axis], step)

    @property
    def corners(self) -> list[tuple[int, int]]:
        """Upper left corners of the tiles, row by row."""
        return [(y, x) for y in self.starts(0) for x in self.starts(1)]

    def weights(self, corner: tuple[int, int]) -> np.ndarray:
        """Weights of the tile at a corner, float32 hxwx1."""
        rows, columns = (
            gaussian(length, cut if start > 0 else 0, cut if start + length < end else 0, patch)
            for start, length, cut, end, patch in zip(
                corner, self.tile, self.margin, self.padded, self.patch, strict=True
            )
        )
        return (rows[:, np.newaxis] * columns)[:, :, np.newaxis]


def tiling(
    size: tuple[int, int], patch: tuple[int, int], overlap: float, grain: int | None = None
) -> Tiling:
    """Cut an image.

    Args:
        size: height and width of the image in pixels.
        patch: those of the patches of the training.
        overlap: share of a patch that neighbouring tiles both cover, 0..1, 1 excluded; without
            any, tiles are patches side by side.
        grain: tiles may be larger than patches, with sides of multiples of this; see `grain_of`.

    Returns:
        The tiling with the fewest pixels to predict, by a tile of at most `LARGEST` pixels.
    """
    margin = (round(patch[0] * overlap / 4), round(patch[1] * overlap / 4))
    shared = (patch[0] - step_of(patch[0], overlap), patch[1] - step_of(patch[1], overlap))
    padded = (max(size[0], patch[0]), max(size[1], patch[1]))
    plain = Tiling(size, padded, patch, patch, shared, margin)
    if grain is None or overlap == 0 or padded == patch:
        return plain
    shared = (round_up(shared[0], grain), round_up(shared[1], grain))
    if shared[0] >= patch[0] or shared[1] >= patch[1]:
        return plain
    padded = (round_up(padded[0], grain), round_up(padded[1], grain))
    pixels = max(LARGEST, patch[0] * patch[1])
    cost, _, tile = min(
        (down * height * across * width, down * across, (height, width))
        for down, height in _sides(padded[0], patch[0], shared[0], grain)
        for across, width in _sides(padded[1], patch[1], shared[1], grain)
        if height * width <= pixels
    )
    if cost >= len(plain.corners) * patch[0] * patch[1]:
        return plain
    return Tiling(size, padded, tile, patch, shared, margin)


def _sides(length: int, patch: int, shared: int, grain: int) -> list[tuple[int, int]]:
    """Numbers of tiles along an axis, and their sides: from one tile down to those of a patch."""
    found = []
    number, side = 1, length
    while side > patch:
        found.append((len(steps(length, side, side - shared)), side))
        number += 1
        side = round_up(-(-(length + (number - 1) * shared) // number), grain)
    return [*found, (len(steps(length, patch, patch - shared)), patch)]


def round_up(length: int, grain: int) -> int:
    """Return the next multiple."""
    return -(-length // grain) * grain


def step_of(window: int, overlap: float) -> int:
    """Distance between windows that overlap by a share of their length."""
    return max(1, round(window * (1 - overlap)))


def steps(length: int, window: int, step: int) -> list[int]:
    """First positions of windows along an axis, the last shifted inward to end with it."""
    last = max(0, length - window)
    return [*range(0, last, step), last]


@lru_cache(maxsize=64)
def gaussian(length: int, before: int, after: int, patch: int) -> np.ndarray:
    """Weights along one axis of a tile: a Gaussian with a floor, zero in the margins.

    Of a tile that is larger than a patch, the two ends are those of a patch and the middle is 1, so
    that neighbours are blended alike whatever the size of a tile.

    Args:
        length: length of the tile in pixels.
        before, after: pixels at the two ends that get no weight.
        patch: length of a patch; its eighth is the standard deviation.

    Returns:
        float32 of this length, 0..1; not to be changed.
    """
    distance = np.abs(np.arange(length) - (length - 1) / 2)
    distance = np.maximum(distance - (length - patch) / 2, 0)
    weight = np.maximum(np.exp(-0.5 * (distance * SIGMAS / patch) ** 2), FLOOR)
    weight[:before] = 0
    weight[length - after :] = 0
    weight = weight.astype(np.float32)
    weight.setflags(write=False)
    return weight


def size_divisor_of(network: Any, patch: tuple[int, int]) -> int | None:
    """Multiples of how many pixels the sides of larger tiles may be; None: no larger tiles.

    Only a network of `LOCAL` layers takes them whose pixels see no further than a patch is wide: in
    the middle of patches it has learnt from all that it sees in a larger tile. Others know pixels
    with the border of a patch in sight only, and larger tiles make them worse (mean IoU 0.66 in
    place of 0.69 of a U-Net of 4 poolings and patches of 128x128; 0.827 in place of 0.833 of one of
    6 halvings and patches of 256x256). Normalization over a tile (of groups, layers, instances) and
    global pooling would give another prediction for a pixel in a larger one.

    Args:
        network: `keras.Model` from HxWxC to HxWxK.
        patch: height and width of the patches that it was trained on.
    """
    if any(side is not None for side in network.input_shape[1:3]):
        return None
    seen = receptive_field(network)
    if seen is None or seen[0] > min(patch):
        return None
    fit = (g for g in GRAINS if g % seen[1] == 0 and all(n % g == 0 and n >= 2 * g for n in patch))
    return next(fit, None)


def receptive_field(network: Any) -> tuple[int, int] | None:
    """Return the receptive field in pixels, and how often sides are divided at most.

    By the layers from the input on: a kernel of k pixels at a step of j adds (k - 1) j (Araujo,
    Norris and Sim, Computing receptive fields of convolutional neural networks, Distill 2019).

    Args:
        network: `keras.Model` from HxWxC to HxWxK.

    Returns:
        Both; None where a layer is not one of `LOCAL`, or does not keep to multiples.
    """
    found: dict[int, tuple[int, int]] = {}
    for layer in network.layers:
        if type(layer).__name__ not in LOCAL:
            return None
        try:
            given = layer.input if isinstance(layer.input, list) else [layer.input]
            output = layer.output
        except (AttributeError, ValueError):  # used twice
            return None
        before = [found[id(tensor)] for tensor in given] or [(1, 1)]  # none: the input
        if len({step for _, step in before}) > 1:
            return None
        after = _beyond(layer, max(before))
        if after is None:
            return None
        found[id(output)] = after
    largest = max(step for _, step in found.values())
    field, step = found[id(network.output)]
    return (field, largest) if step == 1 else None


def _beyond(layer: Any, before: tuple[int, int]) -> tuple[int, int] | None:
    """Receptive field and step, in pixels of the input, after a layer; None: not local."""
    field, step = before
    kind = type(layer).__name__
    if kind in ("BatchNormalization", "Concatenate"):
        return before if layer.axis in (-1, 3) else None
    if kind == "Activation":
        return before
    if kind == "UpSampling2D":  # others fail in Keras where sizes vary
        stride = _only(layer.size)
        nearest = layer.interpolation == "nearest"
        return (field, step // stride) if nearest and stride and step % stride == 0 else None
    kernel, stride = _kernel_and_stride(layer)
    if stride is None:
        return None
    if kind == "Conv2DTranspose":
        back = step // stride
        return (field + (-(-kernel // stride) - 1) * step, back) if step % stride == 0 else None
    padded = getattr(layer, "padding", "same") == "same" or kernel == stride
    return (field + (kernel - 1) * step, step * stride) if padded else None


def _kernel_and_stride(layer: Any) -> tuple[int, int | None]:
    """Length of the kernel, with its gaps, and its stride, if it is the same along both axes."""
    size = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    if size is None:
        return 1, 1
    gaps = getattr(layer, "dilation_rate", (1, 1))
    kernel = max((k - 1) * gap + 1 for k, gap in zip(size, gaps, strict=True))
    return kernel, _only(layer.strides)


def _only(sides: tuple[int, int]) -> int | None:
    return sides[0] if sides[0] == sides[1] else None
