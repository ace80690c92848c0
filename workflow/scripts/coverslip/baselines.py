"""Trivial predictions that every result has to be seen beside.

Needs no training and no labels: `all_background` never finds anything, `otsu` is the threshold
that a student would try first.
"""

from __future__ import annotations

import cv2
import numpy as np
from skimage.filters import threshold_otsu


def all_background(shape: tuple[int, int]) -> np.ndarray:
    """Mask (bool, HxW) without a single foreground pixel."""
    return np.zeros(shape, dtype=bool)


def otsu(image: np.ndarray) -> np.ndarray:
    """Foreground by Otsu's threshold (IEEE Trans. SMC 9(1), 1979) on the grey picture.

    The side of the threshold with fewer pixels is the foreground, because nuclei cover the
    smaller part of nearly every picture, bright or dark; at a tie the brighter side is. A picture
    of one grey value is all background.

    Args:
        image: HxW or HxWxC (1, 3 or 4 channels), uint8 or uint16.

    Returns:
        bool HxW.
    """
    grey = to_grey(image)
    if grey.min() == grey.max():
        return all_background(grey.shape)
    bright = grey > threshold_otsu(grey)
    return ~bright if bright.mean() > 0.5 else bright


def to_grey(image: np.ndarray) -> np.ndarray:
    """Luminance (ITU-R BT.601) of a picture, HxW in its own dtype; alpha is left out.

    Args:
        image: HxW or HxWxC (1, 3 or 4 channels), uint8 or uint16.

    Raises:
        ValueError: another number of channels.
    """
    if image.ndim == 2:
        return image
    if image.shape[2] == 1:
        return image[:, :, 0]
    if image.shape[2] not in (3, 4):
        raise ValueError(f"a picture has 1, 3 or 4 channels, not {image.shape[2]}")
    return cv2.cvtColor(np.ascontiguousarray(image[:, :, :3]), cv2.COLOR_RGB2GRAY)
