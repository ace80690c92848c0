"""Occlusion maps: how much the score of a class falls where a part of the image is hidden.

Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014. A window is
moved over the image, the pixels under it are replaced by a baseline, and the fall of the score is
assigned to these pixels; where windows overlap, the mean fall is taken. Results equal those of
Captum's `Occlusion` (Kokhlikyan et al., arXiv:2009.07896), with fewer calls: windows are predicted
in batches. Needs no Keras.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np

Score = Callable[[np.ndarray], np.ndarray]
"""From images, float32 NxHxWxC as the network takes them, to scores of the classes, NxK."""


def occlusion(
    score: Score,
    image: np.ndarray,
    target: int,
    window: tuple[int, int],
    stride: tuple[int, int],
    baseline: float | np.ndarray = 0.0,
    batch: int = 64,
) -> np.ndarray:
    """Return the occlusion map of one image for one class.

    Args:
        score: returns the scores of images; logits or probabilities.
        image: float32 HxWxC, in the scale that the network takes.
        target: number of the class.
        window: height and width of the window in pixels.
        stride: rows and columns between windows; at the end they are cut off at the border.
        baseline: replaces hidden pixels: one value, one for each channel, or an image HxWxC.
        batch: windows that are predicted together.

    Returns:
        float64 HxW: the mean fall of the score; above 0 where the image supports the class. 0
        where strides are wider than the window and leave gaps.
    """
    hidden = np.broadcast_to(np.asarray(baseline, np.float32), image.shape)
    windows = list(places(image.shape[:2], window, stride))
    whole = float(score(image[np.newaxis])[0, target])
    total, times = np.zeros(image.shape[:2]), np.zeros(image.shape[:2])
    for start in range(0, len(windows), batch):
        some = windows[start : start + batch]
        images = np.repeat(image[np.newaxis], len(some), axis=0)
        for copy, place in zip(images, some, strict=True):
            copy[place] = hidden[place]
        falls = whole - score(images)[:, target].astype(np.float64)
        for fall, place in zip(falls, some, strict=True):
            total[place] += fall
            times[place] += 1
    return total / np.maximum(times, 1)


def places(
    size: tuple[int, int], window: tuple[int, int], stride: tuple[int, int]
) -> list[tuple[slice, slice]]:
    """Rows and columns of each window, row by row.

    Args:
        size: height and width of the image. window, stride: in pixels.

    Raises:
        ValueError: a window or stride below 1.
    """
    if min(*window, *stride) < 1:
        raise ValueError(f"window {window} and stride {stride} have to be at least 1 pixel")
    axes = []
    for length, side, step in zip(size, window, stride, strict=True):
        count = max(0, -(-(length - side) // step)) + 1
        axes.append([slice(i * step, min(i * step + side, length)) for i in range(count)])
    return list(product(*axes))
