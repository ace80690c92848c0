"""Outlines of objects: polygons, kept by image in a file, and drawn into label maps.

The annotations of a large dataset are hundreds of megabytes. They are read as a stream and put into
an SQLite file, from which each image then takes its own, so that memory does not grow with their
number.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from skimage.draw import polygon as inside

from coverslip.errors import CoverslipError
from coverslip.imaging.labels import LabelImage

FARTHEST = 1e6
"""Largest coordinate of an outline in pixels, by its amount."""

SEPARATOR = np.full((1, 2), np.nan, np.float32)
"""Separates the polygons of an object."""

Polygon = np.ndarray
"""float32 Nx2: x and y of its corners in pixels; the first pixel reaches from 0 to 1."""


def write(path: Path, objects: Iterable[tuple[int, list[Polygon]]]) -> None:
    """Keep the outlines of objects by image.

    Args:
        path: SQLite file to make.
        objects: number of the image and polygons of each object, in any order.

    Raises:
        OSError: no space left.
    """
    with contextlib.closing(sqlite3.connect(path)) as database:
        try:
            # The file is thrown away with the job: nothing has to be safe from a power cut.
            database.execute("PRAGMA journal_mode = OFF")
            database.execute("PRAGMA synchronous = OFF")
            database.execute("CREATE TABLE outline (image INTEGER, corners BLOB)")
            rows = ((image, _pack(polygons)) for image, polygons in objects)
            database.executemany("INSERT INTO outline VALUES (?, ?)", rows)
            database.execute("CREATE INDEX by_image ON outline (image)")
            database.commit()
        except sqlite3.OperationalError as error:
            if "full" in str(error):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
            raise


def read(path: Path, image: int) -> Iterator[list[Polygon]]:
    """Yield the polygons of each object of an image, in the order in which they were written."""
    query = "SELECT corners FROM outline WHERE image = ? ORDER BY rowid"
    address = f"{Path(path).absolute().as_uri()}?mode=ro"
    with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
        for (corners,) in database.execute(query, (image,)):
            yield _unpack(corners)


def _pack(polygons: list[Polygon]) -> bytes:
    parts = [part for polygon in polygons for part in (polygon, SEPARATOR)]
    return np.concatenate(parts[:-1]).astype("<f4").tobytes() if parts else b""


def _unpack(corners: bytes) -> list[Polygon]:
    points = np.frombuffer(corners, "<f4").reshape(-1, 2)
    gaps = np.flatnonzero(np.isnan(points[:, 0]))
    parts = np.split(points, gaps)
    return [part[1:] if at else part for at, part in enumerate(parts) if len(points)]


def draw(
    size: tuple[int, int], path: Path, image: int, stated: tuple[int, int], name: str
) -> LabelImage:
    """Label map of an image.

    Args:
        size: height and width of the image in pixels.
        path: file of `write`.
        image: its number there.
        stated: height and width that the annotations state.
        name: the image with its file, in messages.

    Raises:
        CoverslipError: the image has another size than the annotations state.
    """
    if tuple(size) != tuple(stated):
        raise CoverslipError(
            f"{name}: an image of {size[0]}x{size[1]} pixels, but its annotations are of "
            f"{stated[0]}x{stated[1]}: give the image that was annotated"
        )
    return label_map(read(path, image), size)


def label_map(
    objects: Iterable[list[Polygon]], size: tuple[int, int], even_odd: bool = False
) -> LabelImage:
    """Draw objects into a label map; a pixel belongs to an object if its middle is inside.

    Objects are numbered in their order. Where they overlap, the smaller one has the pixel (of
    equally large ones the first), as `label_maps.from_masks` does it: no object disappears beneath
    a larger one. An object of several polygons is their union; what is outside the image is
    left out.

    Args:
        objects: polygons of each object.
        size: height and width in pixels.
        even_odd: see `mask_of`.
    """
    windows = [mask_of(polygons, size, even_odd) for polygons in objects]
    areas = np.array([int(mask.sum()) for _, mask in windows], np.int64)
    label = np.zeros(size, np.int32)
    shared = np.zeros(size, bool)
    # The largest first, so that what is drawn over it is smaller.
    for number in np.lexsort((-np.arange(len(areas)), -areas)):
        window, mask = windows[number]
        shared[window] |= mask & (label[window] > 0)
        label[window][mask] = number + 1
    # An object beneath equal or smaller ones has no pixel left: the numbers close up.
    there = np.bincount(label.ravel(), minlength=len(areas) + 1) > 0
    there[0] = False
    numbers = np.cumsum(there, dtype=np.int32)
    empty = int(np.count_nonzero(areas == 0))
    return LabelImage(numbers[label], int(numbers[-1]), int(shared.sum()), empty, "mask")


def mask_of(
    polygons: list[Polygon], size: tuple[int, int], even_odd: bool = False
) -> tuple[tuple[slice, slice], np.ndarray]:
    """Return the pixels of an object: a window of the image and its mask there, bool.

    As in the COCO format, pixel i reaches from i to i + 1, so that its middle is at i + 0.5.

    Args:
        polygons: of the object.
        size: height and width of the image in pixels.
        even_odd: a polygon inside another one is a hole; else the object is their union.
    """
    corners = np.concatenate([np.empty((0, 2), np.float32), *polygons]).astype(np.float64)
    limits = np.array([size[1], size[0]])
    low, high = np.zeros(2, int), np.zeros(2, int)
    if len(corners):
        low = np.clip(np.floor(corners.min(axis=0)), 0, limits).astype(int)
        high = np.clip(np.ceil(corners.max(axis=0)), low, limits).astype(int)
    window = (slice(low[1], high[1]), slice(low[0], high[0]))
    mask = np.zeros((high - low)[::-1], bool)
    for polygon in polygons if mask.size else ():
        x, y = (polygon.astype(np.float64) - low - 0.5).T
        here = inside(y, x, mask.shape)
        mask[here] = ~mask[here] if even_odd else True
    return window, mask
