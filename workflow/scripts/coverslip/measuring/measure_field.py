"""The field of view of a picture: what of its area counts."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from coverslip.evaluation.baselines import to_grey

RIM = 24
"""Width of the rim of a field in pixels; the compression of a JPEG blurs up to 16."""
RIM_LEVEL = 0.25
"""Least brightness of the rim of a field that is cut off sharply, as a share of that inside."""


def field_of_view(image: np.ndarray, padding: str) -> np.ndarray:
    """Pixels that count as area, bool HxW.

    Microscopes and stitching programs lay exact black around a field that is a rectangle (also a
    turned one) or a circle. So with `padding` `black` the field is the convex hull of all pixels
    that are not 0, if it is cut off sharply: the median brightness of its rim is above 0 and at
    least `RIM_LEVEL` of that inside. Else (cells on a background that was clipped to 0) all counts.
    Of an edge that is not upright the outermost pixel is left out: part of it is black. In a
    picture that is black everywhere nothing counts.

    Args:
        image: uint8 or uint16, HxWxC.
        padding: `black`, or `none`: all pixels count.
    """
    whole = np.ones(image.shape[:2], bool)
    if padding == "none" or image[:: image.shape[0] - 1 or 1, :: image.shape[1] - 1 or 1].all():
        return whole
    lit = np.asarray(image.any(axis=2))
    rows = np.flatnonzero(lit.any(axis=1))
    if rows.size == 0:
        return ~whole
    first = lit[rows].argmax(axis=1)
    last = lit.shape[1] - 1 - lit[rows, ::-1].argmax(axis=1)
    ends = np.concatenate([np.stack([first, rows], 1), np.stack([last, rows], 1)])
    hull: np.ndarray = np.zeros(lit.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(ends.astype(np.int32)), 1)
    if hull[rows[0] : rows[-1] + 1, first.min() : last.max() + 1].min() == 0:
        # A slanted edge is drawn by pixels that are part black.
        hull = cv2.erode(hull, np.ones((3, 3), np.uint8))
    width = 2 * max(1, min(RIM, min(lit.shape) // 8)) + 1
    inside = cv2.erode(hull, np.ones((width, width), np.uint8)).astype(bool)
    field = hull.astype(bool)
    rim = field & ~inside
    if not rim.any() or not inside.any():
        return field if not rim.any() else whole
    grey = to_grey(image)
    edge, middle = np.median(grey[rim]), np.median(grey[inside])
    return field if edge > 0 and edge >= RIM_LEVEL * middle else whole


def continued(image: np.ndarray, field: np.ndarray) -> np.ndarray:
    """The picture continued beyond its field by reflection at its edge.

    A network takes the step from the field to black surroundings for the edge of a cell.

    Args:
        image: HxWxC.
        field: bool HxW, see `field_of_view`.
    """
    if field.all() or not field.any():
        return image
    _, nearest = ndimage.distance_transform_edt(~field, return_indices=True)
    here = np.indices(field.shape, dtype=nearest.dtype)
    mirrored = 2 * nearest - here
    limits = np.array(field.shape).reshape(2, 1, 1) - 1
    mirrored = np.clip(mirrored, 0, limits)
    lands = field[mirrored[0], mirrored[1]]
    y, x = np.where(lands, mirrored, nearest)
    return image[y, x]
