"""What a network learns, made from label maps after augmentation."""

from __future__ import annotations

import cv2
import numpy as np

BACKGROUND, INTERIOR, BORDER = 0, 1, 2
"""Classes of the head `instances`."""
BORDER_WIDTH = 2
"""Thickness of the border inside each object, in pixels, where the object is thick enough."""
CORE = 0.5
"""Pixels at least this deep, as a share of the deepest pixel of their object, are interior however
near its outline they lie: so that an object of a few pixels has an interior, too."""


def encode(labels: np.ndarray, head: str) -> np.ndarray:
    """Targets of a batch of label maps.

    Args:
        labels: uint16 (N, height, width), 0 is background; for `class` (N, 1, 1), the class.
        head: `mask`, `instances` or `class`, see `config.Network`.

    Returns:
        For `mask` uint8 (N, height, width), 1 is foreground. For `instances` uint8
        (N, height, width, 2): the class (0 background, 1 interior, 2 border) and the depth, 0..255.
        For `class` int32 (N,), the class of the picture.
    """
    if head == "class":
        return labels[:, 0, 0].astype(np.int32)
    if head == "mask":
        return (labels > 0).astype(np.uint8)
    return np.stack([instances(label) for label in labels])


def instances(label: np.ndarray) -> np.ndarray:
    """Class and depth of each pixel of one label map.

    The depth of a pixel is its Euclidean distance to the outline of its object, as a share of the
    largest such distance in the object, so that small and large objects are alike. Edges of the
    patch are no outlines. Three classes as in Caicedo et al., Evaluation of deep learning
    strategies for nucleus segmentation in fluorescence images, Cytometry A 2019.

    Args:
        label: uint16 (height, width), instances numbered from 1 on without gaps or with few.

    Returns:
        uint8 (height, width, 2): class and depth (255 is the deepest pixel of an object).
    """
    found = np.zeros((*label.shape, 2), np.uint8)
    inside = label > 0
    if not inside.any():
        return found
    distance = depth(label)
    deepest = np.ones(int(label.max()) + 1, np.float32)
    np.maximum.at(deepest, label[inside], distance[inside])
    share = np.where(inside, distance / deepest[label], 0.0)
    border = (distance <= BORDER_WIDTH) & (share < CORE)
    found[..., 0] = np.where(inside, np.where(border, BORDER, INTERIOR), BACKGROUND)
    found[..., 1] = np.where(inside, np.rint(255 * share), 0)
    return found


def depth(label: np.ndarray) -> np.ndarray:
    """Distance of each pixel of an object to the nearest pixel outside it, float32, in pixels.

    Pixels of the outline have 1, background 0. Between touching objects the outline pixels of the
    neighbour count as outline too, which is a pixel off at most.
    """
    outline = np.zeros(label.shape, bool)
    down = label[1:] != label[:-1]
    right = label[:, 1:] != label[:, :-1]
    outline[1:] |= down
    outline[:-1] |= down
    outline[:, 1:] |= right
    outline[:, :-1] |= right
    inside = label > 0
    free = (inside & ~outline).astype(np.uint8)
    if free.all():
        return np.full(label.shape, float(max(label.shape)), np.float32)  # one object is all
    return np.where(inside, cv2.distanceTransform(free, cv2.DIST_L2, 5) + 1.0, 0.0).astype("f4")
