"""Bring the objects of an image to the size that a network knows best.

A network separates objects best at the scale that most of its training images have. Where those of
an image are larger or smaller, it is resized, predicted, and the answer resized back, as Cellpose
does (Stringer et al., Cellpose: a generalist algorithm for cellular segmentation, Nature Methods
18, 2021). Their diameter is estimated in a first pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from coverslip.imaging.labels import typical_area

BOUNDS = (0.5, 2.0)
"""Smallest and largest factor that an image is resized by."""

TOLERANCE = 1.2
"""Factors between 1 / `TOLERANCE` and `TOLERANCE` are 1: they would change less than they cost."""

SMALLEST_PX = 16
"""Objects of fewer pixels do not count."""

CROP = 512
"""Side in pixels of the middle of an image that the first pass looks at."""


def typical_diameter(labels: np.ndarray) -> float | None:
    """Return the diameter of a typical object: of the circle with its area, in pixels.

    For the typical area see `imaging.labels.typical_area`.

    Args:
        labels: label image, integers HxW, 0 is background.

    Returns:
        None where there is no object of at least `SMALLEST_PX` pixels.

    Examples:
        >>> labels = np.zeros((40, 40), int)
        >>> labels[:20, :20] = 1
        >>> round(typical_diameter(labels), 1)
        22.6
    """
    areas = np.bincount(labels.ravel())[1:]
    area = typical_area(areas[areas >= SMALLEST_PX])
    return None if area is None else 2 * math.sqrt(area / math.pi)


def scale_factor(diameter: float | None, wanted: float) -> float:
    """Return what an image is resized by, so that its objects have the wanted diameter.

    Args:
        diameter: of the objects in pixels, as `typical_diameter` returns it.
        wanted: that of the training images, in pixels.

    Returns:
        Within `BOUNDS`; 1 without a diameter, or where it is nearly the wanted one.
    """
    if diameter is None:
        return 1.0
    factor = wanted / diameter
    if 1 / TOLERANCE <= factor <= TOLERANCE:
        return 1.0
    return min(max(factor, BOUNDS[0]), BOUNDS[1])


def middle(shape: Sequence[int], side: int = CROP) -> tuple[slice, slice]:
    """Return the rows and columns in the middle of an image, at most `side` of each.

    Args:
        shape: height and width of the image, and what follows.
        side: pixels.
    """
    starts = [max(0, (length - side) // 2) for length in shape[:2]]
    rows, columns = (
        slice(start, min(start + side, length))
        for start, length in zip(starts, shape[:2], strict=True)
    )
    return rows, columns
