"""Polygons of objects along the edges of their pixels, so that they cover exactly their pixels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

Ring = np.ndarray
"""int Nx2, x and y of the corners of a closed line without its last point, in pixels from the
upper left corner of the image; pixel (row, column) is the square from (column, row) to
(column + 1, row + 1)."""

Polygon = list[Ring]
"""The outer ring, and the rings of holes."""

STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))
"""Directions right, down, left, up, as y and x."""


def label_polygons(label: np.ndarray, origin: tuple[int, int] = (0, 0)) -> dict[int, list[Polygon]]:
    """Return the polygons of each object, by its number.

    An object has one polygon for each of its 4-connected pieces; polygons of a piece that only
    touches another by a corner are separate, so that all of them are valid.

    Args:
        label: int32 HxW, 0 is background.
        origin: row and column of the first pixel, where `label` is a part of an image.

    Examples:
        >>> label = np.zeros((4, 4), np.int32)
        >>> label[1:3, 1:4] = 7
        >>> [[ring.tolist() for ring in polygon] for polygon in label_polygons(label)[7]]
        [[[[1, 1], [4, 1], [4, 3], [1, 3]]]]
    """
    shift = np.array(origin[::-1])
    rings: dict[int, list[tuple[Ring, np.ndarray]]] = {}
    for number, ring, pixel in _rings(label):
        rings.setdefault(number, []).append((ring, pixel))
    return {
        number: [[ring + shift for ring in polygon] for polygon in _by_piece(rings[number], label)]
        for number in sorted(rings)
    }


def ring_area(ring: Ring) -> float:
    """Return the area inside a ring: above 0 for an outer ring, below 0 for that of a hole."""
    x, y = ring.T.astype(np.float64)
    return float(x @ (np.roll(y, -1) - np.roll(y, 1))) / 2


def _by_piece(rings: list[tuple[Ring, np.ndarray]], label: np.ndarray) -> list[Polygon]:
    """Return the polygons of an object: each outer ring with its holes, by falling area.

    Args:
        rings: of the object, each with a pixel (x, y) of its piece.
        label: int32 HxW.
    """
    if len(rings) > 1:
        rings = sorted(rings, key=lambda pair: -ring_area(pair[0]))
    if len(rings) == 1 or ring_area(rings[1][0]) < 0:
        return [[ring for ring, _ in rings]]
    corners = np.concatenate([ring for ring, _ in rings])
    (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
    x, y = rings[0][1]
    pieces, count = ndimage.label(label[top:bottom, left:right] == label[y, x])
    found: list[Polygon] = [[] for _ in range(count)]
    for ring, (x, y) in rings:
        found[pieces[y - top, x - left] - 1].append(ring)
    return found


def _rings(label: np.ndarray) -> Iterator[tuple[int, Ring, np.ndarray]]:
    """Yield the number of an object, one of its rings, and a pixel (x, y) beside that.

    Edges of pixels are followed with the object on the right hand (image coordinates); where
    four edges meet, the line turns to stay at its pixel.
    """
    place, direction, owner, after = _edges(label)
    before = np.empty_like(after)
    before[after] = np.arange(len(after))
    corner = direction != direction[before]
    y, x = np.divmod(place, label.shape[1] + 1)
    points = np.stack([x, y], axis=1)
    following = after.tolist()
    done = np.zeros(len(after), bool)
    for start in np.flatnonzero(corner & (direction == 0)).tolist():
        if done[start]:
            continue
        edges, at = [start], following[start]
        while at != start:
            edges.append(at)
            at = following[at]
        done[edges] = True
        turns = np.array(edges)[corner[edges]]
        for ring in _split(points[turns], place[turns]):
            yield int(owner[start]), ring, points[start]


def _edges(label: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the edges between objects and what is not of them.

    Returns:
        Of each edge the place of its start (row by row, of `width + 1` corners a row), its
        direction (see `STEPS`), the number of its object, and the index of the edge after it.
    """
    wide = label.shape[1] + 1
    padded = np.pad(label, 1)
    places, directions, owners = [], [], []
    beyond: np.ndarray
    # The edges above, right of, below and left of a pixel, clockwise, from their starts.
    for direction, (beyond, (down, right)) in enumerate(
        (
            (padded[:-2, 1:-1], (0, 0)),
            (padded[1:-1, 2:], (0, 1)),
            (padded[2:, 1:-1], (1, 1)),
            (padded[1:-1, :-2], (1, 0)),
        )
    ):
        rows, columns = np.nonzero((label != beyond) & (label > 0))
        places.append((rows + down) * wide + columns + right)
        directions.append(np.full(len(rows), direction))
        owners.append(label[rows, columns])
    place, owner = np.concatenate(places), np.concatenate(owners)
    ways = np.concatenate(directions)
    keys = 4 * place + ways
    order = np.argsort(keys)
    end = place + np.array([y * wide + x for y, x in STEPS])[ways]
    after: np.ndarray = np.full(len(keys), -1)
    for turn in (1, 0, 3):  # clockwise first: around the pixel that the line follows
        wanted = 4 * end + (ways + turn) % 4
        found = order[np.minimum(np.searchsorted(keys, wanted, sorter=order), len(keys) - 1)]
        fits = (after < 0) & (keys[found] == wanted) & (owner[found] == owner)
        after[fits] = found[fits]
    return place, ways, owner, after


def _split(points: np.ndarray, places: np.ndarray) -> list[Ring]:
    """Cut a closed line where it meets itself, so that each part is a simple ring."""
    if len(np.unique(places)) == len(places):
        return [points]
    rings: list[Ring] = []
    path: list[int] = []
    at: dict[int, int] = {}
    for index, place in enumerate(places.tolist()):
        if place in at:
            first = at[place]
            rings.append(points[path[first:]])
            for gone in path[first:]:
                del at[places[gone]]
            path = path[:first]
        at[place] = len(path)
        path.append(index)
    return [*rings, points[path]]
