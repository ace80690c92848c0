"""An image with the contours of its objects, in colours safe for colour-blind readers."""

from __future__ import annotations

import cv2
import numpy as np

from coverslip.imaging.intensity import stretch, to_grey
from coverslip.imaging.palette import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    YELLOW,
    paint,
)

SMALLEST = 512
"""Smaller images are enlarged by a whole number to about this size, so that a line stays thin."""

DARK = 0.35
"""Opacity of the colour outside the field of view."""


def plain_image(image: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Return an image as an overlay shows it, without its objects.

    It is stretched from its 1st to its 99.8th percentile and shown in grey, so that no colour of it
    is mistaken for a line; outside the field of view it is blue-grey.

    Args:
        image: uint8 or uint16, HxWxC.
        field: bool HxW, the field of view.

    Returns:
        uint8 hxwx3, RGB: enlarged by a whole number where it is small.
    """
    grey = to_grey(stretch(image))
    size = _enlarged(grey.shape)
    if size is not None:
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_CUBIC)
        field = cv2.resize(field.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    shown = np.repeat(grey[:, :, np.newaxis], 3, axis=2)
    shown[~field] = np.rint(DARK * paint(SKY) + (1 - DARK) * 0.35 * 255).astype(np.uint8)
    return shown


def draw_objects(plain: np.ndarray, label: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Draw objects in orange between black lines, foreground too small to count in blue.

    Args:
        plain: what `plain_image` returned.
        label: int32 HxW, the objects.
        mask: bool HxW, the foreground.

    Returns:
        uint8 hxwx3, RGB.
    """
    size = _enlarged(label.shape)
    if size is not None:
        label = cv2.resize(label.astype(np.float32), size, interpolation=cv2.INTER_NEAREST)
        label = cv2.medianBlur(label, 5).astype(np.int32)  # contours without steps
        mask = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    shown = plain.copy()
    small = mask & (label == 0)
    shown[edge_pixels(small)] = paint(SKY)
    line = edge_pixels(label)
    line = cv2.dilate(line.astype(np.uint8), np.ones((2, 2), np.uint8)).astype(bool) & (label > 0)
    edge = cv2.dilate(line.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    shown[edge & ~line] = 0
    shown[line] = paint(ORANGE)
    return shown


CLUSTERS = np.stack(
    [paint(c) for c in (BLACK, BLUE, SKY, GREEN, YELLOW, ORANGE, VERMILLION, PURPLE)]
)
"""Colours of clusters from the darkest on, again from the first one where there are more."""


def draw_clusters(label: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Draw the clusters of an image in false colours.

    Args:
        label: uint8 HxW, the clusters.
        field: bool HxW, the field of view; grey outside.

    Returns:
        uint8 hxwx3, RGB: enlarged as the overlay is.
    """
    shown = CLUSTERS[label % len(CLUSTERS)]
    shown[~field] = 128
    size = _enlarged(label.shape)
    return shown if size is None else cv2.resize(shown, size, interpolation=cv2.INTER_NEAREST)


def _enlarged(shape: tuple[int, ...]) -> tuple[int, int] | None:
    """Return width and height that a small image is shown at; None for others."""
    times = max(1, SMALLEST // max(shape[:2]))
    return (times * shape[1], times * shape[0]) if times > 1 else None


def edge_pixels(label: np.ndarray) -> np.ndarray:
    """Return the pixels of objects that have a neighbour of another number, bool HxW.

    Neighbours are those by sides, as of `skimage.segmentation.find_boundaries` (`inner`), which is
    several times slower.

    Args:
        label: int or bool HxW, 0 is background.
    """
    edge = np.zeros(label.shape, bool)
    for first, second in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        different = label[first] != label[second]
        edge[first] |= different
        edge[second] |= different
    return edge & (label > 0)


def encoded(image: np.ndarray, ending: str = ".png") -> bytes:
    """Return an image (uint8 HxWx3, RGB) as the bytes of a file."""
    _, data = cv2.imencode(ending, np.ascontiguousarray(image[:, :, ::-1]))
    return data.tobytes()
