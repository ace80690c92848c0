"""The field of view of an image: the part of its area that counts.

`field_of_view` works on an image in memory, `Field` and `FilledRows` on rows of a large one.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage
from scipy.ndimage import maximum_filter1d

from coverslip.imaging.intensity import to_grey
from coverslip.imaging.rows import Rows, histogram, percentile, spans

RIM = 24
"""Width of the rim of a field in pixels; the compression of a JPEG blurs up to 16."""

RIM_LEVEL = 0.25
"""Least brightness of the rim of a field that is cut off sharply, as a share of that inside."""

LEAST_AREA = 0.25
"""Least area of a field, as a fraction of the image."""

LEAST_LIT = 0.97
"""Least fraction of a field that is not 0: black is around it, not within."""


def field_of_view(image: np.ndarray, ignore_black_border: bool = True) -> np.ndarray:
    """Pixels that count as area, bool HxW.

    Microscopes and stitching programs lay exact black around a field that is a rectangle (also a
    turned one) or a circle. So the field is the convex hull of all pixels
    that are not 0, if it is large (`LEAST_AREA`), lit nearly everywhere (`LEAST_LIT`) and cut off
    sharply: the median brightness of its rim is above 0 and at least `RIM_LEVEL` of that inside.
    Else (cells on a background that was clipped to 0, a black image) all counts. Of an edge that
    is not upright the outermost pixel is left out: part of it is black.

    Args:
        image: uint8 or uint16, HxWxC.
        ignore_black_border: false: all pixels count.
    """
    whole = np.ones(image.shape[:2], bool)
    corners = image[:: image.shape[0] - 1 or 1, :: image.shape[1] - 1 or 1]
    if not ignore_black_border or corners.all():
        return whole
    lit = np.asarray(image.any(axis=2))
    rows = np.flatnonzero(lit.any(axis=1))
    if rows.size == 0:
        return whole
    first = lit[rows].argmax(axis=1)
    last = lit.shape[1] - 1 - lit[rows, ::-1].argmax(axis=1)
    ends = np.concatenate([np.stack([first, rows], 1), np.stack([last, rows], 1)])
    hull: np.ndarray = np.zeros(lit.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(ends.astype(np.int32)), 1)
    if not is_frame(int(hull.sum()), int(lit.sum()), lit.size):
        return whole
    if hull[rows[0] : rows[-1] + 1, first.min() : last.max() + 1].min() == 0:
        # A slanted edge is drawn by pixels that are part black.
        hull = cv2.erode(hull, np.ones((3, 3), np.uint8))
    width = 2 * max(1, min(RIM, min(lit.shape) // 8)) + 1
    inside = cv2.erode(hull, np.ones((width, width), np.uint8)).astype(bool)
    field = hull.astype(bool)
    rim = field & ~inside
    if not rim.any() or not inside.any():
        return whole
    grey = to_grey(image)
    edge, middle = np.median(grey[rim]), np.median(grey[inside])
    return field if edge > 0 and edge >= RIM_LEVEL * middle else whole


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


# --- The field of view of an image that is read row by row, and the image continued beyond it

REACH = 256
"""Pixels around a chunk of `Continued` that are looked at: no network sees so far into what is
outside a field."""

CHUNK = 1024
"""Columns of such a chunk."""


class Field:
    """What of an image counts as area, by `measure_field.field_of_view`, one interval a row.

    A convex hull has one interval in each row, so a field takes two numbers a row, whatever its
    width. Where the hull is slanted its outline may be half a pixel off the one drawn there.

    Attributes:
        everything: whether all pixels count.
        left, right: first and last column of each row that count, int64; none does where the first
            is beyond the last.
    """

    def __init__(self, source: Rows, ignore_black_border: bool = True) -> None:
        """Look at an image.

        Args:
            source: uint8 or uint16, HxWxC.
            ignore_black_border: false: all pixels count.
        """
        height, width, _ = source.shape
        self.shape = (height, width)
        self.left = np.zeros(height, np.int64)
        self.right = np.full(height, width - 1, np.int64)
        if ignore_black_border and not _lit_corners(source):
            self._hull(source)
        self.everything = bool((self.left == 0).all() and (self.right == width - 1).all())

    @property
    def area(self) -> int:
        """Pixels that count."""
        return int(np.maximum(self.right - self.left + 1, 0).sum())

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Return which pixels of these rows count, bool (stop - start) x W."""
        return self.at(np.arange(start, stop), np.arange(self.shape[1]))

    def at(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Return which pixels of these rows and columns count, bool."""
        return _inside(self.left[rows], self.right[rows], columns)

    def _hull(self, source: Rows) -> None:
        height, width = self.shape
        first, last, lit = _ends(source)
        rows = np.flatnonzero(first <= last)
        if rows.size == 0:
            return
        ends = [np.stack([side[rows], rows], axis=1) for side in (first, last)]
        hull = cv2.convexHull(np.concatenate(ends).astype(np.int32))[:, 0]
        left, right = _intervals(hull, (height, width))
        area = int(np.maximum(right - left + 1, 0).sum())
        if not is_frame(area, lit, height * width):
            return
        if left[rows[0] : rows[-1] + 1].max() > left.min() or (
            right[rows[0] : rows[-1] + 1].min() < right.max()
        ):
            # A slanted edge is drawn by pixels that are part black.
            left, right = _eroded(left, right, 1, width)
        inner = _eroded(left, right, max(1, min(RIM, min(self.shape) // 8)), width)
        edge, middle = _medians(source, (left, right), inner)
        if edge > 0 and edge >= RIM_LEVEL * middle:
            self.left, self.right = left, right


def _lit_corners(source: Rows) -> bool:
    lines = (source.rows(row, row + 1) for row in (0, source.shape[0] - 1))
    return all(line[:, [0, -1]].all() for line in lines)


def _ends(source: Rows) -> tuple[np.ndarray, np.ndarray, int]:
    """First and last column of each row that is not 0, and the number of pixels that are not.

    First is beyond last where there is none.
    """
    height, width = source.shape[:2]
    first, last = np.full(height, width, np.int64), np.full(height, -1, np.int64)
    count = 0
    for start, stop in spans(source.shape):
        lit = np.asarray(source.rows(start, stop).any(axis=2))
        count += int(lit.sum())
        some = lit.any(axis=1)
        first[start:stop][some] = lit[some].argmax(axis=1)
        last[start:stop][some] = width - 1 - lit[some, ::-1].argmax(axis=1)
    return first, last, count


def _intervals(hull: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """First and last column of a convex polygon (Nx2, x and y) in each row."""
    height, width = shape
    left, right = np.full(height, width, np.int64), np.full(height, -1, np.int64)
    for (x0, y0), (x1, y1) in zip(hull, np.roll(hull, -1, axis=0), strict=True):
        rows = np.arange(min(y0, y1), max(y0, y1) + 1)
        if y0 == y1:
            left[y0] = min(left[y0], x0, x1)
            right[y0] = max(right[y0], x0, x1)
            continue
        columns = np.rint(x0 + (rows - y0) * ((x1 - x0) / (y1 - y0))).astype(np.int64)
        left[rows] = np.minimum(left[rows], columns)
        right[rows] = np.maximum(right[rows], columns)
    return left, right


def _eroded(
    left: np.ndarray, right: np.ndarray, by: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the intervals of pixels whose square of `2 by + 1` pixels is within the intervals.

    What is beyond the border of the image counts as within.
    """
    far = 2 * width
    empty = right < left
    # An interval that ends at the border goes on beyond it.
    left = np.where(empty, far, np.where(left == 0, -far, left))
    right = np.where(empty, -far, np.where(right == width - 1, far, right))
    # Rows beyond the image take no part: they are as their nearest one within.
    left = maximum_filter1d(left, 2 * by + 1, mode="nearest") + by
    right = -maximum_filter1d(-right, 2 * by + 1, mode="nearest") - by
    return np.maximum(left, 0), np.minimum(right, width - 1)


def _inside(left: np.ndarray, right: np.ndarray, columns: np.ndarray) -> np.ndarray:
    return (columns >= left[:, np.newaxis]) & (columns <= right[:, np.newaxis])


def _medians(
    source: Rows, outer: tuple[np.ndarray, np.ndarray], inner: tuple[np.ndarray, np.ndarray]
) -> tuple[float, float]:
    """Median brightness of the rim, and of what is inside it; NaN where there are no pixels."""
    counts = np.zeros((2, np.iinfo(source.dtype).max + 1), np.int64)
    columns = np.arange(source.shape[1])
    for start, stop in spans(source.shape):
        grey = to_grey(source.rows(start, stop))
        field, inside = (
            _inside(left[start:stop], right[start:stop], columns) for left, right in (outer, inner)
        )
        counts[0] += histogram(grey[field & ~inside])
        counts[1] += histogram(grey[field & inside])
    edge, middle = (percentile(one, 50) if one.any() else float("nan") for one in counts)
    return edge, middle


class FilledRows:
    """`Rows` of an image continued beyond its field, see `measure_field.continued`.

    It is done chunk by chunk: pixels more than half of `REACH` beyond the field, which change
    nothing inside it, may differ from what the whole image would give.
    """

    def __init__(self, source: Rows, field: Field) -> None:
        self.source = source
        self.field = field
        self.shape = source.shape
        self.dtype = source.dtype

    def rows(self, start: int, stop: int) -> np.ndarray:
        """See `Rows`."""
        inside = self.field.rows(start, stop)
        if inside.all() or self.field.area == 0:
            return self.source.rows(start, stop)
        top, bottom = max(0, start - REACH), min(self.shape[0], stop + REACH)
        image = self.source.rows(top, bottom)
        field = self.field.rows(top, bottom)
        found = image[start - top : stop - top].copy()
        for column in range(0, self.shape[1], CHUNK):
            core = slice(column, min(column + CHUNK, self.shape[1]))
            if not inside[:, core].all():
                wide = slice(max(0, core.start - REACH), core.stop + REACH)
                whole = fill_outside_fov(image[:, wide], field[:, wide])
                place = slice(core.start - wide.start, core.stop - wide.start)
                found[:, core] = whole[start - top : stop - top, place]
        return found
