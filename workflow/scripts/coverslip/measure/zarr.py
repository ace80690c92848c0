"""Own images in Zarr: OME-Zarr (versions 0.1 to 0.5), or a plain array.

OME-Zarr (Moore et al., Histochemistry and Cell Biology 160, 2023) keeps an image at several sizes,
of which the first is the largest; it tells the names of its axes, and the size of a pixel.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.errors import CoverslipError
from coverslip.measure.planes import NAMES, Plane
from coverslip.measure.raster import error_text, no_channel, which_channel, zarr_rows
from coverslip.measure.tiff import HOURS, MICROMETRES

OLD_AXES = "TCZYX"
"""Axes of OME-Zarr 0.1 and 0.2, which does not name them."""


def zarr_planes(path: Path, channel: int | None, whole: int) -> Iterator[Plane]:
    """Read a folder of Zarr plane by plane.

    Args:
        path: the folder.
        channel: which channel, from 0, where there are several.
        whole: planes of more pixels are not read but given as `Plane.rows`.

    Raises:
        CoverslipError: there is no image in it.
    """
    import zarr  # half a second, and few jobs need it

    found = zarr.open(path, mode="r")
    page = itertools.count(1)
    if isinstance(found, zarr.Array):
        yield from _planes(found, _plain_axes(found.shape), {}, "", channel, whole, page)
        return
    images = list(_images(found))
    if not images:
        raise CoverslipError("no image is in it: its groups have no attribute `multiscales`")
    for number, (group, scales) in enumerate(images, start=1):
        first = scales["datasets"][0]
        array = group[first["path"]]
        axes, units = _axes(scales, array.ndim)
        steps = _steps(scales, first, array.ndim)
        facts = {axis: (step, unit) for axis, step, unit in zip(axes, steps, units, strict=True)}
        prefix = f"s{number}" if len(images) > 1 else ""
        yield from _planes(array, axes, facts, prefix, channel, whole, page)


def _plain_axes(shape: tuple[int, ...]) -> str:
    if len(shape) == 2:
        return "YX"
    if len(shape) == 3:
        return "YXS" if shape[2] <= 4 else "PYX"
    raise CoverslipError(f"an array of shape {shape} without names of axes: save it as OME-Zarr")


def _images(group: Any) -> Iterator[tuple[Any, Mapping[str, Any]]]:
    """Groups that are images, at any depth (plates, files converted by bioformats2raw)."""
    facts = dict(group.attrs)
    scales = facts.get("ome", facts).get("multiscales")
    if scales:
        yield group, scales[0]
        return
    children = dict(group.groups())
    for name in sorted(children, key=lambda name: (len(name), name)):
        yield from _images(children[name])


def _axes(scales: Mapping[str, Any], count: int) -> tuple[str, list[str | None]]:
    """One letter an axis, and their units."""
    told = scales.get("axes") or [axis.lower() for axis in OLD_AXES]
    named = [axis if isinstance(axis, Mapping) else {"name": axis} for axis in told]
    axes = "".join(str(axis["name"])[:1].upper() for axis in named)
    if len(axes) != count or "Y" not in axes or "X" not in axes or len(set(axes)) < count:
        raise CoverslipError(f"its axes ({axes}) are not those of its array of {count} axes")
    return axes, [axis.get("unit") for axis in named]


def _steps(scales: Mapping[str, Any], first: Mapping[str, Any], count: int) -> np.ndarray:
    """Distance between neighbours along each axis, in its unit; nan where it is not told."""
    steps = np.full(count, np.nan)
    for part in (scales, first):
        for one in part.get("coordinateTransformations") or []:
            if one.get("type") == "scale":
                scale = np.asarray(one["scale"], float)
                steps = np.where(np.isnan(steps), scale, steps * scale)
    return steps


def _planes(
    array: Any,
    axes: str,
    steps: Mapping[str, tuple[float, str | None]],
    prefix: str,
    channel: int | None,
    whole: int,
    page: Iterator[int],
) -> Iterator[Plane]:
    lengths = dict(zip(axes, array.shape, strict=True))
    channels = lengths.get("C", 1)
    if channels > 1 and (channel is None or channel >= channels):
        wrong = which_channel(channels) if channel is None else no_channel(channel, channels)
        yield Plane(next(page), error=wrong, plane=prefix)
        return
    outer = [axis for axis in axes if axis not in "YXSC"]
    pixel = _pixel(steps)
    time = _factor(steps, "T", HOURS)
    for place in np.ndindex(*(lengths[axis] for axis in outer)):
        at = dict(zip(outer, place, strict=True))
        shown = [axis for axis in outer if lengths[axis] > 1]
        names = [f"{NAMES.get(axis, 'p')}{at[axis] + 1}" for axis in shown]
        facts: dict[str, Any] = {"plane": " ".join([prefix, *names]).strip(), "pixel_um": pixel}
        if "T" in shown:
            facts["time"] = at["T"] * (time or 1.0)
            facts["time_unit"] = "h" if time else "frame"
        chosen = at | ({"C": channel if channels > 1 else 0} if "C" in axes else {})
        yield _plane(array, axes, chosen, whole, next(page), facts)


def _plane(
    array: Any, axes: str, at: dict[str, int], whole: int, page: int, facts: Mapping[str, Any]
) -> Plane:
    try:
        rows = zarr_rows(array, axes, at)
        if rows.shape[0] * rows.shape[1] > whole:
            return Plane(page, rows=rows, **facts)
        return Plane(page, rows.rows(0, rows.shape[0]), **facts)
    except CoverslipError as error:
        return Plane(page, error=str(error), **facts)
    except MemoryError:
        raise
    except Exception as error:  # one damaged plane leaves the others readable
        return Plane(page, error=f"cannot be decoded ({error_text(error)})", **facts)


def _factor(
    steps: Mapping[str, tuple[float, str | None]], axis: str, units: Mapping[str, float]
) -> float | None:
    """Step along an axis in the unit of the table, if it is told."""
    step, unit = steps.get(axis, (np.nan, None))
    scale = units.get(unit or "")
    return None if scale is None or not step > 0 else float(step) * scale


def _pixel(steps: Mapping[str, tuple[float, str | None]]) -> tuple[float, float] | None:
    height, width = (_factor(steps, axis, MICROMETRES) for axis in "YX")
    return None if height is None or width is None else (height, width)
