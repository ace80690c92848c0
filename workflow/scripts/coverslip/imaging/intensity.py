"""Intensity of images: one grey conversion, one stretch for display."""

from __future__ import annotations

import cv2
import numpy as np

from coverslip.imaging.rows import histogram, percentile


def to_grey(image: np.ndarray) -> np.ndarray:
    """Luminance (ITU-R BT.601) of an image, HxW in its own dtype; alpha is left out.

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
        raise ValueError(f"an image has 1, 3 or 4 channels, not {image.shape[2]}")
    return cv2.cvtColor(np.ascontiguousarray(image[:, :, :3]), cv2.COLOR_RGB2GRAY)


# --- Image, truth and prediction with coloured errors, for images chosen by IoU and at random


def stretch(image: np.ndarray) -> np.ndarray:
    """Return the image as uint8, HxW or HxWx3, from its 1st to its 99.8th percentile.

    Args:
        image: HxWxC, 1, 3 or 4 channels, uint8 or uint16.
    """
    pixels = image[:, :, 0] if image.shape[2] == 1 else image[:, :, :3]
    counts = histogram(pixels)
    low, high = (percentile(counts, share) for share in (1, 99.8))
    values = (np.arange(len(counts)) - low) * (255 / max(high - low, 1))
    table = np.clip(values, 0, 255).astype(np.uint8)
    return cv2.LUT(pixels, table) if pixels.dtype == np.uint8 else table[pixels]
