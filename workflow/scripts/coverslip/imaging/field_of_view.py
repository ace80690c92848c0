"""The field of view of an image: the part of its area that counts."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from coverslip.imaging.intensity import to_grey
from coverslip.imaging.rows import Rows, Whole, histogram, percentile, spans

RIM = 24
"""Width of the rim of a field in pixels; the compression of a JPEG blurs up to 16."""

RIM_LEVEL = 0.25
"""Least brightness of the rim of a field that is cut off sharply, as a share of that inside."""

LEAST_AREA = 0.25
"""Least area of a field, as a fraction of the image."""

LEAST_LIT = 0.97
"""Least fraction of a field that is not 0: black is around it, not within."""


MARGIN = 256
"""Pixels around a window whose mirror images are looked for: no network sees so far into what is
outside the field."""


def field_of_view(image: np.ndarray, ignore_black_border: bool = True) -> np.ndarray:
    """Return which pixels of an image count as area, bool HxW; see `FieldOfView`."""
    return FieldOfView(Whole(image), ignore_black_border).window()


class FieldOfView:
    """The pixels of an image that count as area.

    Microscopes and stitching programs lay exact black around a field that is a rectangle (also a
    turned one) or a circle. So the field is the convex hull of all pixels
    that are not 0, if it is large (`LEAST_AREA`), lit nearly everywhere (`LEAST_LIT`) and cut off
    sharply: the median brightness of its rim is above 0 and at least `RIM_LEVEL` of that inside.
    Else (cells on a background that was clipped to 0, a black image) all counts. Of an edge that
    is not upright the outermost pixel is left out: part of it is black.

    Args:
        source: uint8 or uint16, HxWxC.
        ignore_black_border: false: all pixels count.

    Attributes:
        area: pixels that count.
    """

    def __init__(self, source: Rows, ignore_black_border: bool = True) -> None:
        self.shape = (source.shape[0], source.shape[1])
        self.area = self.shape[0] * self.shape[1]
        self._hull: np.ndarray | None = None
        self._eroded = 0
        if not ignore_black_border or _has_lit_corners(source):
            return
        ends, lit = _ends(source)
        if not len(ends):
            return
        self._hull = cv2.convexHull(ends)
        area = self._count()
        if not is_frame(area, lit, self.area):
            self._hull = None
            return
        left, top, width, height = cv2.boundingRect(self._hull)
        if area < width * height:
            self._eroded = 1  # a slanted edge is drawn by pixels that are part black
        edge, middle = self._medians(source)
        if not (edge > 0 and edge >= RIM_LEVEL * middle):
            self._hull = None
        else:
            self.area = self._count()

    @property
    def everything(self) -> bool:
        """Whether all pixels count."""
        return self.area == self.shape[0] * self.shape[1]

    def window(self, rows: slice = slice(None), columns: slice = slice(None)) -> np.ndarray:
        """Return which pixels of a window count, bool."""
        return self._window(rows, columns, self._eroded)

    def _window(self, rows: slice, columns: slice, eroded: int) -> np.ndarray:
        """Return the hull without `eroded` pixels at its edge."""
        (top, bottom, _), (left, right, _) = (
            each.indices(length) for each, length in zip((rows, columns), self.shape, strict=True)
        )
        if self._hull is None:
            return np.ones((bottom - top, right - left), bool)
        first = max(0, top - eroded), max(0, left - eroded)
        last = min(self.shape[0], bottom + eroded), min(self.shape[1], right + eroded)
        drawn: np.ndarray = np.zeros((last[0] - first[0], last[1] - first[1]), np.uint8)
        cv2.fillConvexPoly(drawn, self._hull - np.array(first[::-1], np.int32), 1)
        if eroded:
            drawn = cv2.erode(drawn, np.ones((2 * eroded + 1, 2 * eroded + 1), np.uint8))
        inner = np.s_[top - first[0] : bottom - first[0], left - first[1] : right - first[1]]
        return drawn[inner].astype(bool)

    def _count(self) -> int:
        return sum(int(self.window(slice(*span)).sum()) for span in spans(self.shape))

    def _medians(self, source: Rows) -> tuple[float, float]:
        """Return the median brightness of the rim, and of what is inside it; NaN without pixels."""
        width = max(1, min(RIM, min(self.shape) // 8))
        counts = np.zeros((2, np.iinfo(source.dtype).max + 1), np.int64)
        for span in spans(self.shape):
            rows = slice(*span)
            grey = to_grey(source.rows(*span))
            field = self.window(rows)
            inside = self._window(rows, slice(None), self._eroded + width)
            counts[0] += histogram(grey[field & ~inside])
            counts[1] += histogram(grey[field & inside])
        edge, middle = (percentile(one, 50) if one.any() else float("nan") for one in counts)
        return edge, middle


def _has_lit_corners(source: Rows) -> bool:
    lines = (source.rows(row, row + 1) for row in (0, source.shape[0] - 1))
    return all(bool(line[:, [0, -1]].all()) for line in lines)


def _ends(source: Rows) -> tuple[np.ndarray, int]:
    """Return the first and last pixel of each row that is not 0, Nx2 (x, y), and their number."""
    found, count = [np.zeros((0, 2), np.int64)], 0
    for start, stop in spans(source.shape):
        lit = np.asarray(source.rows(start, stop).any(axis=2))
        count += int(lit.sum())
        rows = np.flatnonzero(lit.any(axis=1))
        first = lit[rows].argmax(axis=1)
        last = lit.shape[1] - 1 - lit[rows, ::-1].argmax(axis=1)
        found += [np.stack([side, rows + start], 1) for side in (first, last)]
    return np.concatenate(found).astype(np.int32), count


def is_frame(area: int, lit: int, pixels: int) -> bool:
    """Return whether a convex hull can be a field of view: its pixels, those not 0, and all."""
    return area >= LEAST_AREA * pixels and lit >= LEAST_LIT * area


def fill_outside_fov(image: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Return the image continued beyond its field by reflection at its edge.

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


class FilledRows:
    """`Rows` of an image continued beyond its field, see `fill_outside_fov`."""

    def __init__(self, source: Rows, field: FieldOfView) -> None:
        self.source = source
        self.field = field
        self.shape = source.shape
        self.dtype = source.dtype

    def rows(self, start: int, stop: int) -> np.ndarray:
        """See `Rows`."""
        return self.window(slice(start, stop), slice(0, self.shape[1]))

    def window(self, rows: slice, columns: slice) -> np.ndarray:
        """Return the pixels of a window, hxwxC."""
        if self.field.everything or self.field.window(rows, columns).all():
            return self.source.rows(rows.start, rows.stop)[:, columns]
        top, left = max(0, rows.start - MARGIN), max(0, columns.start - MARGIN)
        wide = slice(left, columns.stop + MARGIN)
        pixels = self.source.rows(top, min(self.shape[0], rows.stop + MARGIN))[:, wide]
        field = self.field.window(slice(top, rows.stop + MARGIN), wide)
        filled = fill_outside_fov(pixels, field)
        return filled[
            rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]
