"""Separate objects in the output of a network: seeds, watershed, small objects and holes.

The rules have four numbers, tuned on validation images and kept in the model folder.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import ndimage
from skimage.segmentation import watershed

from coverslip.imaging.labels import drop_small, typical_area
from coverslip.models.heads import BACKGROUND, BORDER, INTERIOR

EIGHT = np.ones((3, 3), bool)
"""Neighbours of a pixel that belong to the same seed."""

SEEDS = (0.3, 0.4, 0.5, 0.6, 0.7)

AREAS = (0, 20)

SHARES = (0.0, 0.05, 0.1, 0.15, 0.2)

STEPS = (-0.1, 0.0, 0.1)
"""What `tune` tries: depth of seeds, smallest area, smallest share of the typical area, and steps
from the mask's threshold."""


@dataclass(frozen=True)
class WatershedParams:
    """How objects are made of probabilities."""

    threshold: float
    """Probability of foreground from which on a pixel belongs to an object, 0..1."""
    seed: float
    """Depth from which on a pixel belongs to the seed of an object, 0..1."""
    min_area_px: int
    """Smaller objects are left out, in pixels."""
    minimum_share: float = 0.0
    """Objects smaller than this share of the image's typical area are left out, 0..1: what is
    dirt among large nuclei is a nucleus among small ones."""

    def smallest(self, areas: np.ndarray) -> int:
        """Return how many pixels an object of an image must have at least.

        For the typical area see `imaging.labels.typical_area`.

        Args:
            areas: of all objects of the image in pixels, integers (N,).
        """
        typical = typical_area(areas) or 0.0
        return max(self.min_area_px, math.ceil(self.minimum_share * typical))

    def facts(self) -> dict[str, Any]:
        """Return the rules as JSON, for `model.json`."""
        return asdict(self)


def segment(probabilities: np.ndarray, rules: WatershedParams) -> np.ndarray:
    """Objects of an image, as an int32 label map HxW, 0 is background, numbered without gaps.

    Seeds are connected regions of deep pixels; from them a watershed on the depth (Vincent and
    Soille, IEEE PAMI 13, 1991, as in scikit-image) fills the foreground, whose holes are closed
    before. A region of foreground without a seed is an object of its own.

    Args:
        probabilities: float32 HxWx4, 0..1, as `Model.predict` gives them for the head `instance`:
            background, interior, border, depth.
        rules: thresholds and smallest area.
    """
    labels = grow(probabilities, rules.threshold, rules.seed)
    return drop_small(labels, rules.smallest(np.bincount(labels.ravel())[1:]))


def average_scales(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Join the predictions of an image at several scales, float32 HxWx4.

    What is foreground is their mean. Separating objects needs all detail, so the first scale
    alone gives the probability that a pixel of the foreground is border, and its depth.

    Args:
        parts: probabilities of each scale at the image's own size, as `segment` takes them.
    """
    first = parts[0]
    background = np.mean([part[..., BACKGROUND] for part in parts], axis=0)
    border = first[..., BORDER] / np.maximum(1.0 - first[..., BACKGROUND], 1e-6)
    joined = first.copy()
    joined[..., BACKGROUND] = background
    joined[..., BORDER] = (1.0 - background) * np.minimum(border, 1.0)
    joined[..., INTERIOR] = 1.0 - background - joined[..., BORDER]
    return joined


def normalized_distance(probabilities: np.ndarray) -> np.ndarray:
    """Return the depth of pixels in their object, float32 HxW, lower where a border is likely."""
    return probabilities[..., -1] * (1.0 - probabilities[..., BORDER])


def grow(probabilities: np.ndarray, threshold: float, seed: float) -> np.ndarray:
    """Return the objects of an image before small ones are left out; see `segment`."""
    mask = ndimage.binary_fill_holes(1.0 - probabilities[..., BACKGROUND] >= threshold)
    depth = normalized_distance(probabilities)
    seeds, _ = ndimage.label(mask & (depth >= seed), EIGHT)
    labels = watershed(-depth, seeds, mask=mask).astype(np.int32)
    rest, _ = ndimage.label(mask & (labels == 0), EIGHT)
    return np.where(rest > 0, rest + int(labels.max()), labels).astype(np.int32)
