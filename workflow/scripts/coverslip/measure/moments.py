"""Sums over the pixels of objects that come band by band: all that their table is made of.

Areas, sums of coordinates and their products, sums of grey values and bounding boxes of parts of an
object add up to those of the object. The sums are of integers, hence exact in float64 (below 2^53)
whatever the bands.
"""

from __future__ import annotations

import numpy as np

SUMS = ("area", "y", "x", "yy", "xx", "yx", "grey")

SIDES = ("top", "left", "bottom", "right")


class Moments:
    """Sums of the objects of an image, by provisional numbers."""

    def __init__(self) -> None:
        self._bands: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []

    def add(self, start: int, label: np.ndarray, field: np.ndarray, grey: np.ndarray) -> None:
        """Add some rows.

        Args:
            start: the first of them.
            label: int32 hxW, provisional numbers above 0; all others are no objects.
            field: bool hxW, what counts of the objects.
            grey: uint8 or uint16, hxW.
        """
        y, x = np.nonzero(label > 0)
        if y.size == 0:
            return
        ids = label[y, x]
        first = int(ids.min())
        ids = ids - first
        whole = np.bincount(ids)
        inside = field[y, x]
        ids, y, x = ids[inside], y[inside], x[inside]
        values = grey[y, x].astype(np.float64)
        y = y + start
        sums = np.zeros((len(SUMS), len(whole)))
        weights = (None, y, x, y * y, x * x, y * x, values)
        for at, weight in enumerate(weights):
            sums[at] = np.bincount(ids, weight, minlength=len(whole))
        far = np.iinfo(np.int64).max
        sides = np.array([far, far, 0, 0])[:, np.newaxis] + np.zeros(len(whole), np.int64)
        for at, (operation, values) in enumerate(
            ((np.minimum, y), (np.minimum, x), (np.maximum, y + 1), (np.maximum, x + 1))
        ):
            operation.at(sides[at], ids, values)
        there = np.flatnonzero(whole)
        self._bands.append((there + first, whole[there], sums[:, there], sides[:, there]))

    def merged(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """Sums of the objects: numbers, areas, and the sums and sides of what counts of them.

        Args:
            numbers: from provisional to final numbers, see `objects_rows.Regions.numbers`.

        Returns:
            final numbers, ascending; their areas inside and outside of the field; `SUMS` and
            `SIDES` by name, all zero where nothing of an object counts.
        """
        if not self._bands:
            nothing = np.zeros(0, np.int64)
            return nothing, nothing, dict.fromkeys((*SUMS, *SIDES), nothing)
        parts = [np.concatenate(same, axis=-1) for same in zip(*self._bands, strict=True)]
        found, place = np.unique(numbers[parts[0]], return_inverse=True)
        whole = np.bincount(place, parts[1]).astype(np.int64)
        totals = {name: np.bincount(place, row) for name, row in zip(SUMS, parts[2], strict=True)}
        for at, name in enumerate(SIDES):
            operation = np.minimum if at < 2 else np.maximum
            side = np.full(len(found), np.iinfo(np.int64).max if at < 2 else 0)
            operation.at(side, place, parts[3][at])
            totals[name] = side
        return found, whole, totals


def properties(sums: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What `regionprops_table` tells of objects, from their sums.

    Args:
        sums: `SUMS` and `SIDES` of the objects, with an area above 0 each.
    """
    area = sums["area"]
    top, left = (sums[side].astype(np.float64) for side in ("top", "left"))
    # From the corner of the box, so that squares of coordinates take no digits from the moments.
    y, x = sums["y"] - area * top, sums["x"] - area * left
    yy = sums["yy"] - 2 * top * sums["y"] + area * top * top
    xx = sums["xx"] - 2 * left * sums["x"] + area * left * left
    yx = sums["yx"] - top * sums["x"] - left * sums["y"] + area * top * left
    down, across = yy / area - (y / area) ** 2, xx / area - (x / area) ** 2
    mixed = yx / area - (y / area) * (x / area)
    root = np.sqrt(np.maximum((down - across) ** 2 / 4 + mixed**2, 0))
    large = np.maximum((down + across) / 2 + root, 0)
    small = np.maximum((down + across) / 2 - root, 0)
    share = np.divide(small, large, out=np.ones_like(large), where=large > 0)
    return {
        "area": area.astype(np.int64),
        "centroid-0": sums["y"] / area,
        "centroid-1": sums["x"] / area,
        **{f"bbox-{at}": sums[side] for at, side in enumerate(SIDES)},
        "eccentricity": np.sqrt(1 - share),
        "intensity_mean": sums["grey"] / area,
    }
