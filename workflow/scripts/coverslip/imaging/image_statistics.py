"""Statistics of an image that separate kinds of images, and the distance to those of training.

The image is stretched first, so brightness and gain of the camera do not count; what counts is how
dark and bright pixels are distributed, and how much detail there is at each scale: sharpness,
magnification, staining.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
from scipy.spatial import cKDTree

from coverslip.imaging.intensity import stretch, to_grey

SCALES = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Standard deviations of Gaussian filters, in pixels; detail is what two neighbours differ by."""

NEIGHBORS = 3
"""The distance is the mean to so many nearest training images."""

KEPT = 128
"""Training images whose statistics a model keeps."""

USUAL = 0.99
"""Fraction of the training images that are within the limit."""

FEWEST = 8
"""Fewer training images have no distribution."""


def image_statistics(image: np.ndarray, field: np.ndarray | None = None) -> np.ndarray:
    """Return statistics of an image, float64 (8,).

    Mean, standard deviation, skewness (compressed by arctan) and, as logarithms, the standard
    deviation of the details finer than 1 px, and of 1 to 2, 2 to 4, 4 to 8 and 8 to 16 px, of the
    grey values stretched to 0..1.

    Args:
        image: uint8 or uint16, HxW or HxWxC.
        field: bool HxW, the field of view; pixels outside do not count.
    """
    pixels = image if image.ndim == 3 else image[:, :, np.newaxis]
    grey = to_grey(stretch(pixels)).astype(np.float32)
    grey /= 255.0
    part = field is not None and field.any() and not field.all()
    mask = np.asarray(field, np.uint8) if part else None

    def mean_and_std(values: np.ndarray) -> tuple[float, float]:
        mean, std = cv2.meanStdDev(values, mask=mask)
        return float(mean[0, 0]), float(std[0, 0])

    mean, std = mean_and_std(grey)
    scaled = (grey - np.float32(mean)) / np.float32(max(std, 1e-6))
    skewness, _ = mean_and_std(scaled * scaled * scaled)
    levels = [grey, *(cv2.GaussianBlur(grey, (0, 0), scale) for scale in SCALES)]
    details = [np.log10(mean_and_std(fine - coarse)[1] + 1e-4) for fine, coarse in pairwise(levels)]
    return np.array([mean, std, np.arctan(skewness), *details])


def summarize_training(images: Iterable[np.ndarray]) -> dict[str, Any] | None:
    """Return the section `training_statistics` of `model.json`; none of too few images.

    Args:
        images: as of `image_statistics`, the training images at the size that the model sees.

    Returns:
        `images` (statistics of at most `KEPT` images, each a text of numbers), `spread` of each
        statistic, and `limit`: the distance that `USUAL` of the images have at most to their
        nearest others.
    """
    rows = np.array([image_statistics(image) for image in images])
    if len(rows) < FEWEST:
        return None
    rows = rows[np.unique(np.linspace(0, len(rows) - 1, KEPT).round().astype(int))]
    spread = np.maximum(rows.std(axis=0), 1e-3)
    near = cKDTree(rows / spread).query(rows / spread, k=NEIGHBORS + 1)[0][:, 1:]
    return {
        "images": [" ".join(f"{value:.3f}" for value in row) for row in rows],
        "spread": spread.round(4).tolist(),
        "limit": round(max(float(np.quantile(near.mean(axis=1), USUAL)), 1e-3), 4),
    }


def unlike_training(statistics: np.ndarray, training: Mapping[str, Any] | None) -> float | None:
    """Return how unlike the training images an image is: above 1, it differs from all of them.

    The value is the distance to the nearest training images, in units of the distance that 99 % of
    the training images have to each other.

    Args:
        statistics: see `image_statistics`.
        training: see `summarize_training`; none where the model has no statistics.
    """
    if not training:
        return None
    spread = np.array(training["spread"], float)
    rows = np.array([row.split() for row in training["images"]], float) / spread
    near = cKDTree(rows).query(statistics / spread, k=min(NEIGHBORS, len(rows)))[0]
    return float(np.mean(near) / training["limit"])
