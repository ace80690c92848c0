"""Polygons of objects along the edges of their pixels, so that they cover exactly their pixels."""

from __future__ import annotations

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
    found = {}
    for number, box in enumerate(ndimage.find_objects(label), start=1):
        if box is None:
            continue
        corner = np.array([box[1].start + origin[1], box[0].start + origin[0]])
        pieces, count = ndimage.label(label[box] == number)
        found[number] = [
            [ring + corner for ring in _rings(pieces == piece)] for piece in range(1, count + 1)
        ]
    return found


def ring_area(ring: Ring) -> float:
    """Return the area inside a ring: above 0 for an outer ring, below 0 for that of a hole."""
    x, y = ring.T.astype(np.float64)
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def _rings(mask: np.ndarray) -> Polygon:
    """Return the rings of a 4-connected mask, the outer one first.

    Edges of pixels are followed with the object on the right hand (image coordinates); where
    four edges meet, the line turns to stay at its pixel.
    """
    inside = np.pad(mask, 1)
    here = inside[1:-1, 1:-1]
    # Start of the edge above, right of, below and left of each pixel, clockwise.
    sides = (
        (~inside[:-2, 1:-1], (0, 0)),
        (~inside[1:-1, 2:], (0, 1)),
        (~inside[2:, 1:-1], (1, 1)),
        (~inside[1:-1, :-2], (1, 0)),
    )
    edges: dict[tuple[int, int], list[int]] = {}
    for direction, (free, (down, right)) in enumerate(sides):
        rows, columns = np.nonzero(here & free)
        for start in zip((rows + down).tolist(), (columns + right).tolist(), strict=True):
            edges.setdefault(start, []).append(direction)
    rings = []
    while edges:
        start = next(iter(edges))
        rings += _split(_follow(edges, start))
    return sorted(rings, key=ring_area, reverse=True)


def _follow(edges: dict[tuple[int, int], list[int]], start: tuple[int, int]) -> list:
    """Take a closed line out of the edges; return the places where it turns."""
    place, direction = start, edges[start][0]
    corners = []
    before = None
    while place in edges:
        choices = edges[place]
        # Clockwise first: around the pixel that the line follows.
        turn = next(
            (d for d in ((direction + 1) % 4, direction, (direction + 3) % 4) if d in choices),
            choices[0],
        )
        if before is None:
            turn = direction
        choices.remove(turn)
        if not choices:
            del edges[place]
        if turn != before:
            corners.append(place)
        before = direction = turn
        place = (place[0] + STEPS[turn][0], place[1] + STEPS[turn][1])
    return corners


def _split(corners: list) -> list[Ring]:
    """Cut a closed line where it meets itself, so that each part is a simple ring."""
    rings: list[list] = []
    path: list[tuple[int, int]] = []
    at: dict[tuple[int, int], int] = {}
    for corner in corners:
        if corner in at:
            first = at[corner]
            rings.append(path[first:])
            for gone in path[first:]:
                del at[gone]
            path = path[:first]
        at[corner] = len(path)
        path.append(corner)
    rings.append(path)
    return [np.array(ring)[:, ::-1] for ring in rings]
