"""Quality of an image: focus, saturation, signal to background, and likeness to the training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from coverslip.imaging.image_statistics import image_statistics, unlike_training
from coverslip.imaging.intensity import stretch, to_grey
from coverslip.imaging.rows import histogram, percentile

QC = (
    "focus",
    "saturated_fraction",
    "background_intensity",
    "signal_to_background",
    "unlike_training",
)
"""Columns of `images.csv` on the quality of images."""

BIT_DEPTHS = (8, 10, 12, 14, 16)
"""A camera saturates at the largest value of one of these."""

DIGITS = 5
"""Significant digits."""

SMOOTHING = 1.0
"""Standard deviation of the Gaussian filter before the Laplacian, in pixels: noise is no focus."""


def image_quality(
    image: np.ndarray,
    label: np.ndarray,
    field: np.ndarray,
    training: Mapping[str, Any] | None = None,
) -> dict[str, float | None]:
    """Return the columns `QC` of an image.

    Args:
        image: uint8 or uint16, HxWxC.
        label: int32 HxW, the objects.
        field: bool HxW, the field of view; pixels outside do not count.
        training: `training_statistics` of `model.json`, see `imaging.image_statistics`; none where
            the model has none.
    """
    grey = to_grey(image)
    background = background_level(grey, label, field)
    inside = (label > 0) & field
    signal = float(grey[inside].mean()) if inside.any() else None
    likeness = unlike_training(image_statistics(image, field), training) if training else None
    values = {
        "focus": focus(image, field),
        "saturated_fraction": saturated_fraction(image, field),
        "background_intensity": None if np.isnan(background) else background,
        "signal_to_background": signal / background if signal and background > 0 else None,
        "unlike_training": likeness,
    }
    return {key: value and float(f"{value:.{DIGITS}g}") for key, value in values.items()}


def focus(image: np.ndarray, field: np.ndarray) -> float | None:
    """Return the focus of an image: the larger, the sharper; none of an empty field.

    The variance of the Laplacian (Pech-Pacheco et al., Diatom autofocusing in brightfield
    microscopy, ICPR 2000) of the smoothed grey image, stretched to 0..1, times 1000. Compare
    images of the same kind only: it depends on the content as well.

    Args:
        image: uint8 or uint16, HxWxC.
        field: bool HxW, the field of view.
    """
    if not field.any():
        return None
    grey = to_grey(stretch(image)).astype(np.float32) / 255
    smooth = cv2.GaussianBlur(grey, (0, 0), SMOOTHING)
    return 1000 * float(cv2.Laplacian(smooth, cv2.CV_32F)[field].var())


def saturated_fraction(image: np.ndarray, field: np.ndarray) -> float | None:
    """Return the fraction of pixels of the field that are saturated in any channel, 0..1.

    A pixel is saturated where it has the largest value of the camera: that of the image, if it is
    the largest of 8, 10, 12, 14 or 16 bits.

    Args:
        image: uint8 or uint16, HxWxC.
        field: bool HxW, the field of view.
    """
    if not field.any():
        return None
    values = image if field.all() else image[field]
    largest = int(values.max())
    if largest not in {2**bits - 1 for bits in BIT_DEPTHS}:
        return 0.0
    return float((values == largest).any(axis=-1).mean())


def background_level(
    values: np.ndarray, label: np.ndarray, field: np.ndarray | None = None
) -> float:
    """Return the background of a channel, HxW: the median of the pixels of no object.

    Pixels outside of the field of view do not count; nan where objects cover all of it.
    """
    chosen = values[(label == 0) if field is None else (label == 0) & field]
    return percentile(histogram(chosen), 50) if chosen.size else np.nan
