"""Segment an image of any size: block by block, each with a halo, in bounded memory.

What depends on the whole image (field of view, percentiles, histograms of CLAHE, even light) comes
from a first pass over its rows. Each block is predicted and segmented with the pixels around it; of
its labels those of its own pixels are kept. An object across a seam is found on both sides: labels
that share most of their pixels in the inner half of the halo become one number (as in distributed
labelling, where pairs of labels across seams are merged by connected components). A small image is
one block.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from coverslip.errors import CoverslipError
from coverslip.imaging.field_of_view import FieldOfView, FilledRows
from coverslip.imaging.rows import Rows, Unfit, Whole
from coverslip.models import heads
from coverslip.models.kmeans import ForegroundWindows
from coverslip.models.model import Model
from coverslip.models.preprocessing import check_image

BLOCK = 2048
"""Height and width of a block in pixels, about."""

HALO = 128
"""Pixels around a block that are predicted with it: more than most nuclei and cells are wide."""

REACH = 1024
"""Pixels beyond its block to which an object may extend to be measured in one piece."""

SHOWN = 2048
"""Largest height or width of the thumbnail."""

RESIZED = 2**25
"""Most pixels of an image for a model that resizes images: they are in memory at once."""

SAME_OBJECT = 0.5
"""Two labels are one object if they share more of the pixels that the smaller has in the halo."""


class Block(NamedTuple):
    """A rectangle of an image; an image is cut into them without gaps."""

    rows: slice
    columns: slice

    def widened(self, by: int, shape: tuple[int, int]) -> Block:
        """Return the block with so many pixels around it, as far as the image goes."""
        sides = zip(self, shape, strict=True)
        return Block(*(slice(max(0, s.start - by), min(n, s.stop + by)) for s, n in sides))

    def inside(self, outer: Block) -> tuple[slice, slice]:
        """Return the place of the block in an array of a larger one."""
        rows, columns = (
            slice(side.start - first.start, side.stop - first.start)
            for side, first in zip(self, outer, strict=True)
        )
        return rows, columns


def block_grid(shape: tuple[int, int], multiple: int = 1) -> list[Block]:
    """Cut an image into blocks, row by row; one block where it is not much larger than that.

    Args:
        shape: height and width of the image in pixels.
        multiple: blocks begin at multiples of so many pixels.
    """

    def sides(length: int) -> list[slice]:
        count = 1 if length <= BLOCK + 2 * HALO else -(-length // BLOCK)
        step = -(-length // (count * multiple)) * multiple
        return [slice(at, min(at + step, length)) for at in range(0, length, step)]

    return [Block(rows, columns) for rows in sides(shape[0]) for columns in sides(shape[1])]


@dataclass
class Thumbnail:
    """An image and its objects, reduced by a whole number to at most `SHOWN` pixels a side."""

    image: np.ndarray
    """HxWxC, means of the pixels, in the type of the image."""
    label: np.ndarray
    """int32 HxW, the objects."""
    mask: np.ndarray
    """bool HxW, the foreground."""
    field: np.ndarray
    """bool HxW, the field of view."""


class Clusters(NamedTuple):
    """Clusters of an image by K-means without training."""

    label: np.ndarray
    """uint8 HxW of the thumbnail, from 0, the darkest."""
    number: int
    foreground: list[int]


@dataclass
class Window:
    """Whole objects of an image, with the pixels around them."""

    place: Block
    label: np.ndarray
    """int32 hxw; other objects are 0."""
    image: np.ndarray
    """hxwxC."""
    field: np.ndarray
    """bool hxw, the field of view."""
    probability: np.ndarray
    """float32 hxw, probability of foreground."""


@dataclass
class SegmentedImage:
    """The objects of an image, 1 to `count`."""

    source: Rows
    shape: tuple[int, int]
    grid: list[Block]
    fov: FieldOfView
    foreground_px: int
    thumbnail: Thumbnail
    clusters: Clusters | None
    boxes: np.ndarray
    """int64 (count, 4): first row and column, and the first beyond, of each object."""
    _labels: Any
    _probability: Any
    _numbers: np.ndarray = field(repr=False)

    @property
    def count(self) -> int:
        """Number of objects."""
        return len(self.boxes)

    def label(self, rows: slice, columns: slice = slice(None)) -> np.ndarray:
        """Return the objects in a window, int32."""
        return self._numbers[self._labels[rows, columns]]

    def pixels(self, block: Block) -> np.ndarray:
        """Return the pixels of a block, hxwxC."""
        return self.source.rows(block.rows.start, block.rows.stop)[:, block.columns]

    def windows(self) -> Iterator[Window]:
        """Yield windows with all objects, each in one of them; larger objects are left out.

        There is at least one window, even where there are no objects.
        """
        for block in self.grid:
            top, left = block.rows.start, block.columns.start
            _, _, bottom, right = self.boxes.T
            numbers = np.flatnonzero(self._begins_in(block) & self._is_small(block))
            if not len(numbers) and (self.count or block is not self.grid[0]):
                continue  # without any objects the first window still has the columns of a table
            end = (
                max(block.rows.stop, bottom[numbers].max(initial=0)),
                max(block.columns.stop, right[numbers].max(initial=0)),
            )
            yield self._window(Block(slice(top, end[0]), slice(left, end[1])), numbers + 1)

    def large_objects(self) -> np.ndarray:
        """Return the numbers of objects that are too large for `windows`."""
        found = np.zeros(self.count, bool)
        for block in self.grid:
            found |= self._begins_in(block) & ~self._is_small(block)
        return np.flatnonzero(found) + 1

    def _begins_in(self, block: Block) -> np.ndarray:
        """Whether the box of each object begins in a block, which is so for one block."""
        rows, columns = self.boxes[:, 0], self.boxes[:, 1]
        here = (block.rows.start <= rows) & (rows < block.rows.stop)
        return here & (block.columns.start <= columns) & (columns < block.columns.stop)

    def _is_small(self, block: Block) -> np.ndarray:
        small = self.boxes[:, 2] <= block.rows.stop + REACH
        return small & (self.boxes[:, 3] <= block.columns.stop + REACH)

    def _window(self, place: Block, numbers: np.ndarray) -> Window:
        kept = np.zeros(self.count + 1, np.int32)
        kept[numbers] = numbers
        return Window(
            place,
            kept[self.label(*place)],
            self.pixels(place),
            self.fov.window(*place),
            np.asarray(self._probability[place.rows, place.columns], np.float32),
        )


def segment_image(
    model: Model,
    source: Rows,
    scratch: Path,
    *,
    ignore_black_border: bool = True,
    min_area_px: int = 0,
    overlap: float = 0.25,
    tta: bool = False,
) -> SegmentedImage:
    """Predict an image, and separate its objects.

    Args:
        model: of a segmentation.
        source: the image, uint8 or uint16, HxWxC.
        scratch: a folder that labels of a large image are kept in; the caller deletes it.
        ignore_black_border: black surroundings of the field of view do not count.
        min_area_px: objects of fewer pixels in the field of view are left out.
        overlap: fraction of a patch that neighbouring tiles share.
        tta: average over flips and turns.

    Raises:
        CoverslipError: the image cannot be read to its end or is too large for the model, or the
            model gives what is no number.
    """
    shape = (source.shape[0], source.shape[1])
    fov = FieldOfView(source, ignore_black_border)
    filled = FilledRows(source, fov)
    predict = model.open_image(filled, overlap, tta)
    step = -(-max(shape) // SHOWN)
    size = model.preprocessing.resize
    if size and shape[0] * shape[1] > RESIZED:
        raise Unfit(
            f"an image of {shape[0]}x{shape[1]} pixels is too large for a model that brings images "
            f"to {size[0]}x{size[1]}: give a model that works at native size, or cut the image "
            "into smaller ones"
        )
    grid = [Block(slice(0, shape[0]), slice(0, shape[1]))] if size else block_grid(shape, step)
    labels = _Labels(shape, scratch, len(grid) > 1)
    probability = _array(shape, np.dtype(np.float16), scratch / "probability", len(grid) > 1)
    small = Thumbnail(
        *(np.zeros((*(-(-n // step) for n in shape), *more), dtype) for more, dtype in (
            ((source.shape[2],), source.dtype), ((), np.int32), ((), bool), ((), bool)
        ))
    )  # fmt: skip
    foreground_px = 0
    for block in grid:
        window = block.widened(HALO, shape)
        answer = predict(filled.window(*window), window.rows.start, window.columns.start)
        if not np.isfinite(answer).all():
            raise CoverslipError("the model answers with what is no number")
        core = block.inside(window)
        mask = model.mask(answer[core]) > 0
        counts = fov.window(*block)
        labels.add(block, window, model.objects_of_any_size(answer), counts)
        probability[block.rows, block.columns] = heads.foreground(answer[core])
        foreground_px += int(np.count_nonzero(mask & counts))
        place = tuple(slice(side.start // step, -(-side.stop // step)) for side in block)
        pixels = source.rows(block.rows.start, block.rows.stop)[:, block.columns]
        size = small.label[place].shape
        small.image[place] = _reduced(pixels, size)
        small.label[place] = labels.array[block.rows, block.columns][::step, ::step]
        small.mask[place] = (mask & counts)[::step, ::step]
        small.field[place] = counts[::step, ::step]
    numbers, boxes = labels.finish(model, min_area_px)
    small.label = numbers[small.label]
    clusters = None
    if isinstance(predict, ForegroundWindows) and predict.greys is not None:
        label = predict.clusters(small.image)
        clusters = Clusters(label, predict.greys.number, predict.greys.foreground.tolist())
    return SegmentedImage(
        *(source, shape, grid, fov, foreground_px, small, clusters, boxes),
        *(labels.array, probability, numbers),
    )


def label_image(
    model: Model, image: np.ndarray, min_area_px: int = 0, tta: bool = False
) -> np.ndarray:
    """Return the objects of an image in memory, int32 HxW, numbered from 1 without gaps.

    The image is uint8, uint16 or bool, HxW or HxWxC; other arguments: see `segment_image`.
    """
    source = Whole(check_image(image))
    with tempfile.TemporaryDirectory(prefix="coverslip-") as scratch:
        found = segment_image(model, source, Path(scratch), min_area_px=min_area_px, tta=tta)
        return found.label(slice(None))


def _reduced(pixels: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    if pixels.shape[:2] == size:
        return pixels
    reduced = cv2.resize(pixels, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    return reduced.reshape(*size, pixels.shape[2])


def _array(shape: tuple[int, int], dtype: np.dtype, path: Path, on_disk: bool) -> Any:
    if not on_disk:
        return np.zeros(shape, dtype)
    import zarr  # half a second, and only large images need it

    return zarr.create_array(path, shape=shape, dtype=dtype, chunks=(512, 512))


class _Labels:
    """Labels of blocks as they come, by provisional numbers, and what is known of each number."""

    def __init__(self, shape: tuple[int, int], scratch: Path, on_disk: bool) -> None:
        self.array = _array(shape, np.dtype(np.int32), scratch / "labels", on_disk)
        self.count = 0
        self._pairs = [np.zeros((0, 2), np.int64)]
        self._facts: list[tuple[np.ndarray, ...]] = []

    def add(self, block: Block, window: Block, label: np.ndarray, counts: np.ndarray) -> None:
        """Keep the labels (int32) of a window, a block with its halo; `counts` is its field."""
        found = int(label.max(initial=0))
        label = np.where(label > 0, label + self.count, 0).astype(np.int32)
        first = self.count + 1
        self.count += found
        core = label[block.inside(window)]
        # Near the edge of the window an object without its seed may have the label of another one.
        top, left_end = (
            max(first.start, side.start - HALO // 2)
            for first, side in zip(window, block, strict=True)
        )
        right_end = min(window.columns.stop, block.columns.stop + HALO // 2)
        above = Block(slice(top, block.rows.start), slice(left_end, right_end))
        left = Block(block.rows, slice(left_end, block.columns.start))
        for halo in (above, left):
            if halo.rows.start < halo.rows.stop and halo.columns.start < halo.columns.stop:
                known = self.array[halo.rows, halo.columns]
                self._pairs.append(_same_objects(known, label[halo.inside(window)]))
        kept = np.where(counts, core, 0)
        self.array[block.rows, block.columns] = kept
        whole = np.bincount(core.ravel(), minlength=self.count + 1)[first:]
        there = np.flatnonzero(whole)
        boxes = _boxes(kept, first, found) + np.array([block.rows.start, block.columns.start] * 2)
        inside = np.bincount(kept.ravel(), minlength=self.count + 1)[first:]
        self._facts.append((there + first, whole[there], inside[there], boxes[there]))

    def finish(self, model: Model, min_area_px: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the final number of each provisional one, int32, and the boxes of the objects."""
        pairs = np.concatenate(self._pairs)
        size = self.count + 1
        graph = coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (size, size))
        _, groups = connected_components(graph, directed=False)
        numbers, whole, inside, boxes = (
            np.concatenate(same) for same in zip(*self._facts, strict=True)
        )
        # In the order of their first provisional numbers, as they were found.
        names, place = np.unique(groups[numbers], return_inverse=True)
        firsts = np.full(len(names), size)
        np.minimum.at(firsts, place, numbers)
        areas, counted = (
            np.bincount(place, values, len(names)).astype(np.int64) for values in (whole, inside)
        )
        ends = np.zeros((len(names), 4), np.int64)
        ends[:, :2] = np.iinfo(np.int64).max
        valid = inside > 0
        np.minimum.at(ends[:, :2], place[valid], boxes[valid, :2])
        np.maximum.at(ends[:, 2:], place[valid], boxes[valid, 2:])
        keep = (areas >= model.smallest_object(areas)) & (counted >= max(1, min_area_px))
        order = np.flatnonzero(keep)[np.argsort(firsts[keep])]
        final = np.zeros(len(names), np.int32)
        final[order] = np.arange(1, len(order) + 1)
        table = np.zeros(size, np.int32)
        table[numbers] = final[place]
        return table, ends[order]


def _same_objects(known: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return the pairs of numbers of two labellings of the same pixels that are one object."""
    both = (known > 0) & (label > 0)
    if not both.any():
        return np.zeros((0, 2), np.int64)
    pairs, shared = np.unique(
        np.stack([known[both], label[both]], axis=1), axis=0, return_counts=True
    )
    areas = [np.bincount(each.ravel()) for each in (known, label)]
    smaller = np.minimum(areas[0][pairs[:, 0]], areas[1][pairs[:, 1]])
    return pairs[shared > SAME_OBJECT * smaller].astype(np.int64)


def _boxes(label: np.ndarray, first: int, count: int) -> np.ndarray:
    """Return first row and column, and the first beyond, of numbers from `first` on, (count, 4)."""
    boxes = np.zeros((count, 4), np.int64)
    relative = np.where(label > 0, label - (first - 1), 0)
    for number, found in enumerate(ndimage.find_objects(relative, count)):
        if found is not None:
            rows, columns = found
            boxes[number] = rows.start, columns.start, rows.stop, columns.stop
    return boxes
