"""Features of objects: size, shape, intensity of every channel, neighbours, confidence.

Properties have the definitions of `skimage.measure.regionprops` and, but for rounding, its values.
They are computed for all objects at once; only convex hulls are calls per object.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import cv2
import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from coverslip.errors import CoverslipError
from coverslip.imaging.image_quality import background_level
from coverslip.imaging.intensity import to_grey

DIGITS = 4
"""Decimals of numbers in tables."""

BASIC = {
    "label": "int64",
    "area_px": "int64",
    "area_um2": "float64",
    "centroid_y_px": "float64",
    "centroid_x_px": "float64",
    "centroid_y_um": "float64",
    "centroid_x_um": "float64",
    "bbox_min_row": "int64",
    "bbox_min_col": "int64",
    "bbox_max_row": "int64",
    "bbox_max_col": "int64",
    "top_um": "float64",
    "left_um": "float64",
    "bottom_um": "float64",
    "right_um": "float64",
    "eccentricity": "float64",
    "mean_intensity": "float64",
    "touches_border": "bool",
}
"""Columns of `features: basic`, with their types."""

SHAPE = (
    "perimeter",
    "axis_major_length",
    "axis_minor_length",
    "feret_diameter_max",
    "nearest_neighbor",
)
"""Lengths of `features: standard`, in pixels (`_px`) and micrometres (`_um`)."""

INTENSITY = (
    "mean_intensity",
    "median_intensity",
    "std_intensity",
    "min_intensity",
    "max_intensity",
    "integrated_intensity",
    "background_corrected_intensity",
)
"""Numbers of each channel, as `<number>_<channel>`; without a channel, of the segmented image."""

STANDARD = {
    **{name: kind for name, kind in BASIC.items() if name != "touches_border"},
    **{f"{name}_{unit}": "float64" for name in SHAPE for unit in ("px", "um")},
    "solidity": "float64",
    **dict.fromkeys(INTENSITY, "float64"),
    "touches_border": "bool",
    "confidence": "float64",
}
"""Columns of `features: standard` of an image without named channels, with their types."""

OBJECTS = STANDARD


def column_type(name: str) -> str:
    """Return the dtype of a column of the table of objects; features are float64."""
    return OBJECTS.get(name, "str" if name == "class" else "float64")


def object_table(
    label: np.ndarray,
    image: np.ndarray,
    pixel_um: tuple[float, float] | None,
    *,
    channels: Mapping[str, np.ndarray] | None = None,
    features: str = "standard",
    confidence: np.ndarray | None = None,
    field: np.ndarray | None = None,
    background: Mapping[str, float] | None = None,
    origin: tuple[int, int] = (0, 0),
    shape: tuple[int, int] | None = None,
) -> pd.DataFrame:
    """Return one row per object, in the order of their numbers.

    Lengths are in pixels and micrometres, areas in pixels and square micrometres; micrometres are
    empty where the pixel size is unknown. Where a pixel is not square, lengths in pixels (and
    `eccentricity` and `solidity`) are those of the pixel grid, lengths in micrometres respect both
    sides, and `perimeter_um` is empty, as it is not defined (scikit-image raises an error).

    Args:
        label: int32 HxW, 0 is background.
        image: uint8 or uint16, HxWxC, the segmented image; its grey values have the columns
            without the name of a channel.
        pixel_um: height and width of a pixel in micrometres.
        channels: HxW each, by name.
        features: `basic`: the columns `BASIC`; `standard`: `STANDARD`, and `INTENSITY` for each
            channel; `all`: also CellProfiler's features, `cp_<feature>` and
            `cp_<feature>_<channel>`, by the package `cp_measure`.
        confidence: float (objects,), in the order of their numbers, see `models.confidence`;
            without it, nan.
        field: bool HxW, the field of view; without it, the whole image.
        background: background of each channel ("" is the segmented image), where it is known of a
            larger image; without it, see `background_level`.
        origin: row and column of the first pixel, where the arrays are a part of an image. An
            object has to be in them whole.
        shape: height and width of that image.

    Raises:
        CoverslipError: `features: all` without the package `cp_measure`.

    Examples:
        >>> label = np.zeros((8, 8), np.int32)
        >>> label[2:5, 2:6] = 1
        >>> table = object_table(label, np.full((8, 8, 1), 7, np.uint8), (0.5, 0.5))
        >>> int(table["area_px"][0]), float(table["area_um2"][0])
        (12, 3.0)
    """
    grey = to_grey(image)
    pixels = _Pixels(label)
    table = _geometry(pixels, pixel_um, origin, shape or label.shape)
    if features == "basic":
        table["mean_intensity"] = pixels.mean(pixels.values(grey))
        return _finish(table[list(BASIC)])
    table = pd.concat([table, _shape(pixels, pixel_um)], axis=1)
    for name, values in {"": grey, **(channels or {})}.items():
        level = (background or {}).get(name)
        level = background_level(values, label, field) if level is None else level
        table = pd.concat([table, _intensities(pixels, values, level, name)], axis=1)
    table["confidence"] = np.nan if confidence is None else confidence
    table = add_neighbors(table, pixel_um)
    more = [name for name in table if name not in STANDARD]
    table = table[[*STANDARD, *more]]
    if features == "all":
        more_features = cellprofiler_features(label, channels or {"": grey})
        return pd.concat([_finish(table), more_features], axis=1)
    return _finish(table)


class _Pixels:
    """The pixels of all objects, sorted by object.

    Args:
        label: int HxW.
    """

    def __init__(self, label: np.ndarray) -> None:
        flat = np.flatnonzero(label)
        owner = label.ravel()[flat]
        order = np.argsort(owner, kind="stable")
        self.label = label
        self.flat = flat[order]
        self.numbers, self.starts, self.area = np.unique(
            owner[order], return_index=True, return_counts=True
        )
        self.owner = np.repeat(np.arange(len(self.numbers)), self.area)
        self.y, self.x = np.divmod(self.flat, label.shape[1])

    def values(self, array: np.ndarray) -> np.ndarray:
        """Return the values of an HxW array at the pixels."""
        return array.ravel()[self.flat]

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Return the sum over each object, float64."""
        return np.bincount(self.owner, values, len(self.numbers))

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Return the mean over each object, float64."""
        return self.sum(values) / self.area

    def extremes(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the smallest and largest value in each object."""
        if not len(self.numbers):
            return values[:0], values[:0]
        return np.minimum.reduceat(values, self.starts), np.maximum.reduceat(values, self.starts)

    def median(self, values: np.ndarray) -> np.ndarray:
        """Return the median of each object."""
        ordered = values[np.lexsort((values, self.owner))].astype(np.float64)
        low, high = (self.starts + (self.area - 1) // 2, self.starts + self.area // 2)
        return (ordered[low] + ordered[high]) / 2

    @cached_property
    def axes_px(self) -> tuple[np.ndarray, np.ndarray]:
        """`axes` in pixels."""
        return self.axes((1.0, 1.0))

    def axes(self, spacing: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
        """Return the axes of the ellipses with the same second moments, the longer ones first."""
        y, x = self.y * spacing[0], self.x * spacing[1]
        dy, dx = y - self.mean(y)[self.owner], x - self.mean(x)[self.owner]
        yy, xx, xy = self.mean(dy * dy), self.mean(dx * dx), self.mean(dx * dy)
        middle, half = (yy + xx) / 2, np.sqrt(((yy - xx) / 2) ** 2 + xy**2)
        return 4 * np.sqrt(middle + half), 4 * np.sqrt(np.maximum(middle - half, 0))


def _finish(table: pd.DataFrame) -> pd.DataFrame:
    return table.astype({name: column_type(name) for name in table}).round(DIGITS)


def _geometry(
    pixels: _Pixels,
    pixel_um: tuple[float, float] | None,
    origin: tuple[int, int],
    shape: tuple[int, int],
) -> pd.DataFrame:
    (top, bottom), (left, right) = pixels.extremes(pixels.y), pixels.extremes(pixels.x)
    box = np.stack([top, left, bottom + 1, right + 1]) + np.array([*origin, *origin])[:, None]
    center = pixels.mean(pixels.y) + origin[0], pixels.mean(pixels.x) + origin[1]
    major, minor = pixels.axes_px
    ratio = np.divide(minor, major, out=np.ones_like(major), where=major > 0)
    columns = place_columns(pixels.area, center, box, pixel_um, shape)
    eccentricity = np.sqrt(np.maximum(1 - ratio**2, 0))
    return pd.DataFrame({"label": pixels.numbers, **columns, "eccentricity": eccentricity})


def place_columns(
    area: np.ndarray,
    center: tuple[np.ndarray, np.ndarray],
    box: np.ndarray,
    pixel_um: tuple[float, float] | None,
    shape: tuple[int, int],
) -> dict[str, np.ndarray]:
    """Return the columns on size and place of objects.

    Args:
        area: pixels of each object.
        center: row and column of the centroids.
        box: (4, objects): first row and column, and the first beyond.
        pixel_um: height and width of a pixel in micrometres.
        shape: height and width of the image.
    """
    height, width = pixel_um or (np.nan, np.nan)
    names = ("bbox_min_row", "bbox_min_col", "bbox_max_row", "bbox_max_col")
    top, left, bottom, right = box
    return {
        "area_px": area,
        "area_um2": area * (height * width),
        "centroid_y_px": center[0],
        "centroid_x_px": center[1],
        "centroid_y_um": center[0] * height,
        "centroid_x_um": center[1] * width,
        **dict(zip(names, box, strict=True)),
        "top_um": top * height,
        "left_um": left * width,
        "bottom_um": bottom * height,
        "right_um": right * width,
        "touches_border": (top == 0) | (left == 0) | (bottom == shape[0]) | (right == shape[1]),
    }


def _shape(pixels: _Pixels, pixel_um: tuple[float, float] | None) -> pd.DataFrame:
    spacing = pixel_um or (np.nan, np.nan)
    convex_area, feret, feret_um = _convex(pixels, spacing)
    perimeter = _perimeter(pixels)
    square = spacing[0] if spacing[0] == spacing[1] else np.nan
    columns = {"perimeter_px": perimeter, "perimeter_um": perimeter * square}
    for unit, axes in (("px", pixels.axes_px), ("um", pixels.axes(spacing))):
        columns[f"axis_major_length_{unit}"], columns[f"axis_minor_length_{unit}"] = axes
    columns |= {"feret_diameter_max_px": feret, "feret_diameter_max_um": feret_um}
    return pd.DataFrame({**columns, "solidity": pixels.area / convex_area})


def _perimeter(pixels: _Pixels) -> np.ndarray:
    """Return the perimeter of each object, as `skimage.measure.perimeter` with 4 neighbours.

    Benkrid and Crookes, Design and FPGA implementation of a perimeter estimator (Belfast).
    """
    label = np.pad(pixels.label, 1)
    middle = np.s_[1:-1, 1:-1]

    def shifted(array: np.ndarray, dy: int, dx: int) -> np.ndarray:
        return array[1 + dy : array.shape[0] - 1 + dy, 1 + dx : array.shape[1] - 1 + dx]

    sides = ((-1, 0), (1, 0), (0, -1), (0, 1))
    corners = ((-1, -1), (-1, 1), (1, -1), (1, 1))
    here = label[middle]
    inner = np.logical_and.reduce([shifted(label, *side) == here for side in sides])
    border = np.zeros_like(label)
    border[middle] = np.where(inner, 0, here)
    code = np.ones(here.shape, np.uint8)
    for weight, steps in ((2, sides), (10, corners)):
        for step in steps:
            code += weight * (shifted(border, *step) == here).astype(np.uint8)
    weights = np.zeros(50)
    weights[[5, 7, 15, 17, 25, 27]] = 1
    weights[[21, 33]] = np.sqrt(2)
    weights[[13, 23]] = (1 + np.sqrt(2)) / 2
    values = np.where(border[middle] > 0, weights[code], 0.0)
    return pixels.sum(pixels.values(values))


def _convex(
    pixels: _Pixels, spacing: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return area of the convex hull, and Feret diameter in pixels and micrometres.

    The hull is that of the middles of the sides of all pixels, and contains a pixel whose centre is
    in it, as `skimage.morphology.convex_hull_image`. Coordinates are doubled, so that all of them
    are integers and nothing is rounded.
    """
    count = len(pixels.numbers)
    if not count:
        return np.zeros(0), np.zeros(0), np.zeros(0)
    new_row = (np.diff(pixels.owner) != 0) | (np.diff(pixels.y) != 0)
    first = np.flatnonzero(np.concatenate([[True], new_row]))
    last = np.concatenate([first[1:], [len(pixels.y)]]) - 1
    hulls = _hulls(pixels.owner[first], pixels.y[first], pixels.x[first], pixels.x[last])
    # Where the sides of the hulls cross the rows of pixels.
    owner = np.repeat(np.arange(count), [len(hull) for hull in hulls])
    start = np.concatenate(hulls)
    end = np.concatenate([np.roll(hull, -1, axis=0) for hull in hulls])
    down = start[:, :1] <= end[:, :1]
    (y0, x0), (y1, x1) = (np.where(down, *pair).T for pair in ((start, end), (end, start)))
    begin, rows = -(-y0 // 2), y1 // 2 + (-y0 // 2) + 1
    rows[y0 == y1] = 0
    side = np.repeat(np.arange(len(rows)), rows)
    y = begin[side] + np.arange(len(side)) - (np.cumsum(rows) - rows)[side]
    height, run = (y1 - y0)[side], (x1 - x0)[side]
    crossing = x0[side] * height + (2 * y - y0[side]) * run
    top, bottom = pixels.extremes(pixels.y)
    heights = bottom - top + 1
    offset = np.cumsum(heights) - heights
    place = (offset - top)[owner[side]] + y
    left = np.full(heights.sum(), np.iinfo(np.int64).max)
    right = np.full(heights.sum(), -1)
    np.minimum.at(left, place, -(-crossing // (2 * height)))
    np.maximum.at(right, place, crossing // (2 * height))
    owner = np.repeat(np.arange(count), heights)
    y = np.arange(len(owner)) + (top - offset)[owner]
    corners = [hull / 2 for hull in _hulls(owner, y, left, right)]
    feret = np.array([_longest(each) for each in corners])
    same = spacing[0] == spacing[1]
    micrometres = feret * spacing[0] if same else [_longest(each * spacing) for each in corners]
    return np.add.reduceat(right - left + 1, offset), feret, np.asarray(micrometres)


def _hulls(
    owner: np.ndarray, y: np.ndarray, left: np.ndarray, right: np.ndarray
) -> list[np.ndarray]:
    """Return the corners of the convex hull of each object, int64 Nx2, in doubled coordinates.

    Of each row of pixels is given: the object, rising from 0, the row, first and last column.
    """
    y, left, right = 2 * y, 2 * left, 2 * right
    rows = (y, y - 1, y + 1, y, y - 1, y + 1)
    columns = (left - 1, left, left, right + 1, right, right)
    points = np.stack([np.stack(rows, axis=1), np.stack(columns, axis=1)], axis=2)
    ends = np.flatnonzero(np.diff(owner)) + 1
    return [
        cv2.convexHull(each.reshape(-1, 2))[:, 0].astype(np.int64)
        for each in np.split(points.astype(np.int32), ends)
    ]


def _longest(points: np.ndarray) -> float:
    """Return the largest distance between two points, Nx2; nan where one is not finite."""
    return float(np.sqrt(((points[:, np.newaxis] - points) ** 2).sum(axis=2).max()))


def _intensities(
    pixels: _Pixels, channel: np.ndarray, background: float, name: str
) -> pd.DataFrame:
    values = pixels.values(channel)
    mean = pixels.mean(values)
    low, high = pixels.extremes(values)
    found = {
        "mean_intensity": mean,
        "median_intensity": pixels.median(values),
        "std_intensity": np.sqrt(pixels.mean((values - mean[pixels.owner]) ** 2)),
        "min_intensity": low.astype(np.float64),
        "max_intensity": high.astype(np.float64),
        "integrated_intensity": pixels.sum(values),
        "background_corrected_intensity": mean - background,
    }
    ending = f"_{name}" if name else ""
    return pd.DataFrame({f"{key}{ending}": column for key, column in found.items()})


def add_neighbors(table: pd.DataFrame, pixel_um: tuple[float, float] | None) -> pd.DataFrame:
    """Return the table with `nearest_neighbor_px` and `nearest_neighbor_um`.

    That is the distance of each centroid to the nearest other one; nan without another, or without
    a pixel size. An image measured in parts needs the objects of all parts.
    """
    points = table[["centroid_y_px", "centroid_x_px"]].to_numpy(float)
    columns = {}
    for unit, scale in (("px", (1.0, 1.0)), ("um", pixel_um)):
        column = np.full(len(points), np.nan)
        if scale is not None and len(points) > 1:
            scaled = points * scale
            column = cKDTree(scaled).query(scaled, k=2)[0][:, 1]
        columns[f"nearest_neighbor_{unit}"] = np.round(column, DIGITS)
    return table.assign(**columns)


CELLPROFILER = ("sizeshape", "zernike", "feret")
"""Groups of CellProfiler's features that need no intensities."""


def cellprofiler_features(label: np.ndarray, channels: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Return CellProfiler's features of each object, in the order of their numbers.

    `cp_<feature>` of shapes, `cp_<feature>_<channel>` of intensities and textures, without suffix
    for the channel "". Intensities are scaled to 0..1 by the range of their dtype, as in
    CellProfiler (Stirling et al., BMC Bioinformatics 22, 2021).

    Raises:
        CoverslipError: the package `cp_measure` is not installed.
    """
    library, bulk = load_cp_measure()
    # Textures are 100 times faster by numba.
    library.set_accelerator("numba" if find_spec("numba") else None)
    numbers, dense = np.unique(label, return_inverse=True)
    dense = dense.reshape(label.shape).astype(np.int32)
    if numbers[0] != 0:
        dense += 1
    columns: dict[str, np.ndarray] = {}
    if not dense.any():
        return pd.DataFrame(columns)
    for group, measure in bulk.get_core_measurements().items():
        shapes = group in CELLPROFILER
        for name, values in list(channels.items())[: 1 if shapes else None]:
            with np.errstate(invalid="ignore", divide="ignore"):
                found = measure(dense, _unit_range(values))
            ending = f"_{name}" if name and not shapes else ""
            columns |= {f"cp_{key}{ending}": _significant(x) for key, x in found.items()}
    return pd.DataFrame(columns)


def load_cp_measure() -> tuple[Any, Any]:
    """Return the package `cp_measure` and its module `bulk`; raise an error where it is missing."""
    try:
        return import_module("cp_measure"), import_module("cp_measure.bulk")
    except ImportError as error:
        raise CoverslipError(
            "measure.features: all: needs the package cp_measure: "
            "pip install 'coverslip[features]', or set `features: standard`"
        ) from error


def _significant(values: np.ndarray) -> np.ndarray:
    """Return numbers with six significant digits, float64."""
    numbers = np.asarray(values, np.float64)
    size = np.abs(np.where(np.isfinite(numbers) & (numbers != 0), numbers, 1.0))
    scale = 10.0 ** (5 - np.floor(np.log10(size)))
    return np.round(numbers * scale) / scale


def _unit_range(values: np.ndarray) -> np.ndarray:
    if np.issubdtype(values.dtype, np.integer):
        return values / np.float64(np.iinfo(values.dtype).max)
    return values.astype(np.float64)


def summary(
    foreground_px: int,
    fov_area_px: int,
    objects: pd.DataFrame,
    pixel_um: tuple[float, float] | None,
) -> dict[str, float | int | None]:
    """Return the numbers of one image; none where they are not defined.

    Confluency is the fraction of the field of view that is foreground, in percent, small objects
    included; means and the median are over the objects counted.

    Args:
        foreground_px: pixels of foreground in the field of view.
        fov_area_px: pixels of the field of view.
        objects: see `object_table`.
        pixel_um: height and width of a pixel in micrometres.
    """
    square = float("nan") if pixel_um is None else pixel_um[0] * pixel_um[1]
    valid, count, areas = fov_area_px or float("nan"), len(objects), objects["area_px"]
    confidence = objects["confidence"] if "confidence" in objects else pd.Series(dtype=float)
    numbers = {
        "fov_area_px": fov_area_px,
        "valid_area_um2": fov_area_px * square,
        "foreground_px": foreground_px,
        "foreground_um2": foreground_px * square,
        "confluency_percent": 100 * foreground_px / valid,
        "n_objects": count,
        "objects_per_mm2": count / (valid * square) * 1e6,
        "mean_area_px": areas.mean(),
        "mean_area_um2": areas.mean() * square,
        "median_area_px": areas.median(),
        "median_area_um2": areas.median() * square,
        "mean_eccentricity": objects["eccentricity"].mean(),
        "mean_intensity": objects["mean_intensity"].mean(),
        "mean_confidence": confidence.mean(),
    }
    known = {key: value for key, value in numbers.items() if not np.isnan(value)}
    rounded = {k: v if isinstance(v, int) else round(float(v), DIGITS) for k, v in known.items()}
    return dict.fromkeys(numbers) | rounded
