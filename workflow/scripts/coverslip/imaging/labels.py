"""Label maps from masks: int32 HxW, 0 is background, each object has a number of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from coverslip.errors import CoverslipError


class LabelImage(NamedTuple):
    """A label map and what happened on the way."""

    label: np.ndarray
    """int32 HxW; the objects are numbered 1, 2, ... without gaps."""
    objects: int
    """Number of objects."""
    overlap_pixels: int
    """Pixels that two or more masks claim."""
    empty_masks: int
    """Masks without a single pixel."""
    kind: str
    """What an object is: `mask` (one mask each), `label` (one value each) or `component`
    (a connected region: touching objects are one)."""


def from_masks(masks: Iterable[np.ndarray], shape: tuple[int, int]) -> LabelImage:
    """Merge one mask an object.

    Objects are numbered in the order of the masks. Where masks overlap, the smaller one has the
    pixel (of equally large ones the first), so that no object disappears beneath a larger one and
    the order of the files does not matter.

    Args:
        masks: bool HxW each; one is held at a time.
        shape: H, W.
    """
    label = np.zeros(shape[0] * shape[1], np.int32)
    shared = np.zeros(label.size, bool)
    areas = [0]
    empty = 0
    for mask in masks:
        where = np.flatnonzero(mask)
        if where.size == 0:
            empty += 1
            continue
        before = label[where]
        shared[where[before > 0]] = True
        areas.append(where.size)
        wins = (before == 0) | (np.asarray(areas)[before] > where.size)
        label[where[wins]] = len(areas) - 1
    # A mask that equals an earlier one has no pixel left: the numbers close up.
    there = np.bincount(label, minlength=len(areas)) > 0
    there[0] = False
    numbers = np.cumsum(there, dtype=np.int32)
    label, objects = numbers[label].reshape(shape), int(numbers[-1])
    return LabelImage(label, objects, int(shared.sum()), empty, "mask")


def from_image(values: np.ndarray, threshold: int, name: str, lossy: bool = False) -> LabelImage:
    """Label map of one mask image with all objects.

    - `threshold` above 0: values above it are foreground, objects are its connected components.
    - `threshold` 0 and one value besides 0: the same.
    - `threshold` 0 and several values besides 0: a label map, each value is an object.

    Components touch by sides or corners (8-neighbourhood). Edges drawn softly look like a label map
    of hundreds of thin objects; a JPEG is never one. Both are refused with threshold 0.

    Args:
        values: integers HxW.
        threshold: the largest value that is background.
        name: the mask's name in messages.
        lossy: whether the file was compressed with loss.

    Raises:
        CoverslipError: soft edges without a threshold, or negative values.
    """
    if values.min() < 0:
        raise CoverslipError(f"{name}: mask with negative values: save it with values from 0 up")
    if threshold == 0:
        found, counts = np.unique(values[values > 0], return_counts=True)
        if len(found) > 1:
            if lossy or soft_edges(found, counts):
                raise CoverslipError(
                    f"{name}: mask with soft edges ({len(found)} values besides 0): "
                    "set `mask_threshold: 127`"
                )
            label, objects = renumber(values)
            return LabelImage(label, objects, 0, 0, "label")
    label, objects = ndimage.label(values > threshold, np.ones((3, 3), bool))
    return LabelImage(
        label.astype(np.int32, copy=False), objects, 0, int(objects == 0), "component"
    )


def soft_edges(found: np.ndarray, counts: np.ndarray) -> bool:
    """Return whether values look like white with grey edges: most pixels are white."""
    white = found[-1] in (255, 65535)
    return bool(white and counts[-1] > counts[:-1].sum())


def renumber(label: np.ndarray) -> tuple[np.ndarray, int]:
    """Number the values besides 0 by 1, 2, ... in ascending order; return also how many."""
    found, inverse = np.unique(label, return_inverse=True)
    first = 1 if found[0] != 0 else 0
    numbered = inverse.reshape(label.shape).astype(np.int32) + first
    return numbered, len(found) - 1 + first


def components(mask: np.ndarray) -> np.ndarray:
    """Connected regions (8 neighbours) of a mask, bool HxW, as an int32 label map."""
    return ndimage.label(mask, np.ones((3, 3), bool))[0].astype(np.int32)


def drop_small(label: np.ndarray, min_area_px: int) -> np.ndarray:
    """Leave out small objects and close up the numbers of the others, in their order.

    Args:
        label: int HxW, 0 is background.
        min_area_px: objects of fewer pixels become background.

    Returns:
        int32 HxW; the objects are numbered 1, 2, ... without gaps.
    """
    keep = np.bincount(label.ravel(), minlength=1) >= max(1, min_area_px)
    keep[0] = False
    numbers = np.cumsum(keep) * keep
    return numbers[label].astype(np.int32)


def typical_area(areas: np.ndarray) -> float | None:
    """Return the area of a typical object: the median, each object weighted by its area.

    It is that of the object that contains the middle pixel of all objects, when they are sorted by
    area: a nucleus also where most objects are dirt.

    Args:
        areas: of all objects of an image in pixels, integers (N,).

    Returns:
        None where there are no objects.
    """
    if not len(areas):
        return None
    ordered = np.sort(areas)
    pixels = np.cumsum(ordered)
    return float(ordered[np.searchsorted(pixels, pixels[-1] / 2)])
