"""Own images in Zarr: OME-Zarr (versions 0.1 to 0.5), or a plain array.

OME-Zarr (Moore et al., Histochemistry and Cell Biology 160, 2023) keeps an image at several sizes,
of which the first is the largest; its metadata name its axes and the size of a pixel.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.data.readers.planes import Plane, check_pixels, check_planes, check_size
from coverslip.data.readers.raster import WithoutAlpha, check_chunk, mapped, zarr_rows
from coverslip.data.readers.scenes import PIXELS, Channel, Scene, Selection, scene_planes
from coverslip.data.readers.tiff_metadata import HOURS, MICROMETRES
from coverslip.errors import CoverslipError
from coverslip.imaging.rows import Rows

ARRAYS = (".zarray", "zarr.json")

NODES = (*ARRAYS, ".zgroup")
"""Files that make a folder an array, or an array or group, of Zarr 2 or 3."""

NUMBER = re.compile(r"[<>|]?[biu][1248]|[<>|]?f[248]|bool|(u?int(8|16|32|64))|float(16|32|64)")
"""Types of pixels, as Zarr 2 and 3 call them."""

CODECS = {"bytes", "transpose", "sharding_indexed", "crc32c"}

CODECS |= {"blosc", "zlib", "gzip", "zstd", "lz4", "lzma", "bz2", "delta", "shuffle"}
"""Codecs that are read."""

OLD_AXES = "TCZYX"
"""Axes of OME-Zarr 0.1 and 0.2, which does not name them."""


def zarr_planes(path: Path, selection: Selection) -> Iterator[Plane]:
    """Read a folder of Zarr plane by plane.

    Args:
        path: the folder.
        selection: which channel and depths.

    Raises:
        CoverslipError: there is no image in it.
    """
    number = itertools.count(1)
    if _is_array(path):
        array = _open(path)
        axes = _plain_axes(array.shape)
        yield from scene_planes(_scene(array, axes, {}, "", [], selection), selection, number)
        return
    images = list(_images(path))
    if not images:
        raise CoverslipError("no image is in it: its groups have no attribute `multiscales`")
    for position, (group, name) in enumerate(images, start=1):
        facts = _attributes(group)
        facts = facts.get("ome", facts)
        scales = facts["multiscales"][0]
        first = scales["datasets"][0]
        array = _open(_below(group, first["path"]))
        axes, units = _axes(scales, array.ndim)
        steps = _steps(scales, first, array.ndim)
        named = {axis: (step, unit) for axis, step, unit in zip(axes, steps, units, strict=True)}
        name = name or (f"s{position}" if len(images) > 1 else "")
        scene = _scene(array, axes, named, name, _channels(facts), selection)
        yield from scene_planes(scene, selection, number)


def read_labels(path: Path) -> np.ndarray:
    """Return the label image in a folder of Zarr, HxW at full resolution, of the type in the file.

    It is an array, an image with one plane, or the first of the `labels` of an image (OME-NGFF).

    Raises:
        CoverslipError: no label image, or one of several planes.
    """
    if not _is_array(path):
        facts = _attributes(path / "labels")
        named = facts.get("ome", facts).get("labels") or []
        group = _below(_below(path, "labels"), str(named[0])) if named else path
        facts = _attributes(group)
        scales = facts.get("ome", facts).get("multiscales")
        if not scales:
            raise CoverslipError("no label image is in it: its groups have no `multiscales`")
        path = _below(group, scales[0]["datasets"][0]["path"])
    array = _open(path)
    if array.ndim < 2 or prod(array.shape[:-2]) != 1:
        raise CoverslipError(f"labels of shape {array.shape}: save one label image a file")
    height, width = array.shape[-2:]
    check_size(height, width)
    check_pixels(height, width, PIXELS)
    return np.asarray(array[(0,) * (array.ndim - 2)]).reshape(height, width)


def _scene(
    array: Any,
    axes: str,
    steps: Mapping[str, tuple[float, str | None]],
    name: str,
    channels: Sequence[Channel],
    selection: Selection,
) -> Scene:
    lengths = dict(zip(axes, array.shape, strict=True))
    samples = lengths.get("S", 1)
    outer = {axis: int(lengths[axis]) for axis in axes if axis not in "YXS" and lengths[axis] > 1}
    frames = int(lengths.get("T", 1))
    check_planes(frames)
    time = _factor(steps, "T", HOURS)

    def read(at: Mapping[str, int]) -> Rows:
        check_size(lengths["Y"], lengths["X"])
        if lengths["Y"] * lengths["X"] <= selection.whole:
            check_pixels(lengths["Y"], lengths["X"], selection.pixels)
        rows = zarr_rows(array, axes, {a: at.get(a, 0) for a in axes if a not in "YXS"})
        if samples in (2, 4):
            return WithoutAlpha(rows)
        if samples > 4:
            return mapped(rows, lambda part: part[:, :, :3], 3, rows.dtype)
        return rows

    return Scene(
        outer,
        read,
        name=name,
        channels=channels,
        pixel_um=_pixel(steps),
        times=[frame * time for frame in range(frames)] if time else (),
    )


def _channels(facts: Mapping[str, Any]) -> list[Channel]:
    """Names of channels, from the attribute `omero` of an image."""
    omero = facts.get("omero")
    listed = omero.get("channels") if isinstance(omero, Mapping) else None
    if not isinstance(listed, list):
        return []
    found = []
    for each in listed:
        each = each if isinstance(each, Mapping) else {}
        wave = each.get("emissionWave")
        waves = (float(wave),) if isinstance(wave, int | float) and wave > 0 else ()
        found.append(Channel(str(each.get("label") or ""), waves))
    return found


def _open(path: Path) -> Any:
    """The array of a folder, once its types and codecs are known to be harmless.

    Some codecs run code that is stored in the file (pickle), and objects are stored by them.
    """
    import zarr  # half a second, and few jobs need it

    for name in ARRAYS:
        if (path / name).is_file():
            check_array(_read(path / name))
    return zarr.open_array(path, mode="r")


def check_array(facts: Mapping[str, Any]) -> None:
    """Raise a CoverslipError where an array has other than integers, or unknown codecs.

    Args:
        facts: its `.zarray` (Zarr 2) or `zarr.json` (Zarr 3).
    """
    if facts.get("zarr_format") == 2:
        kind, chunk = facts.get("dtype"), facts.get("chunks")
        codecs = [facts.get("compressor"), *(facts.get("filters") or [])]
        names = [codec["id"] for codec in codecs if codec is not None]
    else:
        kind, chunk = facts.get("data_type"), facts["chunk_grid"]["configuration"]["chunk_shape"]
        codecs = list(facts["codecs"])
        names = []
        while codecs:
            codec = codecs.pop()
            names.append(codec["name"].removeprefix("numcodecs."))
            if names[-1] == "sharding_indexed":
                within = codec["configuration"]
                chunk = within["chunk_shape"]
                codecs += [*within["codecs"], *within["index_codecs"]]
    if not (isinstance(kind, str) and NUMBER.fullmatch(kind)):
        raise CoverslipError(f"pixels are of type {kind}: save it with integers or real numbers")
    if unknown := sorted(set(names) - CODECS):
        raise CoverslipError(
            f"compressed by {', '.join(unknown)}, which is not read: save it with "
            f"{', '.join(sorted(CODECS & {'blosc', 'gzip', 'zstd'}))} or without compression"
        )
    check_chunk(chunk or [])


def _read(path: Path) -> dict[str, Any]:
    """A file of metadata; empty where there is none."""
    if not path.is_file():
        return {}
    facts = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(facts, dict):
        raise CoverslipError(f"{path.name} is no JSON object")
    return facts


def _is_array(path: Path) -> bool:
    return (path / ".zarray").is_file() or _read(path / "zarr.json").get("node_type") == "array"


def _attributes(path: Path) -> dict[str, Any]:
    return _read(path / "zarr.json").get("attributes") or _read(path / ".zattrs")


def _below(group: Path, path: str) -> Path:
    """A node of a group by its path, which does not lead out of it."""
    if not set(path.split("/")).isdisjoint({"", ".", ".."}):
        raise CoverslipError(f"its group names the array `{path}`, which is not in it")
    return group / path


def _plain_axes(shape: tuple[int, ...]) -> str:
    if len(shape) == 2:
        return "YX"
    if len(shape) == 3:
        return "YXS" if shape[2] <= 4 else "PYX"
    raise CoverslipError(f"an array of shape {shape} without names of axes: save it as OME-Zarr")


def _images(group: Path, name: str = "") -> Iterator[tuple[Path, str]]:
    """Groups that are images, at any depth, and their names.

    In a plate of high-content screening the name is that of the well and the number of the field,
    `B3 f1`; other groups (files converted by bioformats2raw) have none.
    """
    facts = _attributes(group)
    facts = facts.get("ome", facts)
    if facts.get("multiscales"):
        yield group, name
        return
    if isinstance(plate := facts.get("plate"), Mapping):
        for well in plate.get("wells") or []:
            yield from _images(_below(group, well["path"]), well["path"].replace("/", ""))
        return
    if isinstance(well := facts.get("well"), Mapping):
        for field, image in enumerate(well.get("images") or [], start=1):
            yield from _images(_below(group, image["path"]), f"{name} f{field}".strip())
        return
    children = [each for each in group.iterdir() if any((each / node).is_file() for node in NODES)]
    for child in sorted(children, key=lambda each: (len(each.name), each.name)):
        if not _is_array(child):
            yield from _images(child, name)


def _axes(scales: Mapping[str, Any], count: int) -> tuple[str, list[str | None]]:
    """One letter an axis, and their units."""
    listed = scales.get("axes") or [axis.lower() for axis in OLD_AXES]
    named = [axis if isinstance(axis, Mapping) else {"name": axis} for axis in listed]
    axes = "".join(str(axis["name"])[:1].upper() for axis in named)
    if len(axes) != count or "Y" not in axes or "X" not in axes or len(set(axes)) < count:
        raise CoverslipError(f"its axes ({axes}) are not those of its array of {count} axes")
    return axes, [axis.get("unit") for axis in named]


def _steps(scales: Mapping[str, Any], first: Mapping[str, Any], count: int) -> np.ndarray:
    """Distance between neighbours along each axis, in its unit; nan where it is unknown."""
    steps = np.full(count, np.nan)
    for part in (scales, first):
        for one in part.get("coordinateTransformations") or []:
            if one.get("type") == "scale":
                scale = np.asarray(one["scale"], float)
                steps = np.where(np.isnan(steps), scale, steps * scale)
    return steps


def _factor(
    steps: Mapping[str, tuple[float, str | None]], axis: str, units: Mapping[str, float]
) -> float | None:
    """Step along an axis in the unit of the table, if it is known."""
    step, unit = steps.get(axis, (np.nan, None))
    scale = units.get(unit or "")
    return None if scale is None or not 0 < step < np.inf else float(step) * scale


def _pixel(steps: Mapping[str, tuple[float, str | None]]) -> tuple[float, float] | None:
    height, width = (_factor(steps, axis, MICROMETRES) for axis in "YX")
    return None if height is None or width is None else (height, width)
