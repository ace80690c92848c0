"""Images of CZI, LIF, ND2, OIB, OIF and OIR, by one package each (extra `formats`).

The packages find the planes in a file; what is taken from them is as little as possible: lengths of
axes, one plane at a time, names of channels, and the size of a pixel. The pixels of CZI are decoded
here, so that all versions of czifile read all compressions.
"""

from __future__ import annotations

import importlib
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import imagecodecs
import numpy as np

from coverslip.data.readers.planes import Plane, check_planes
from coverslip.data.readers.raster import BLOCK, Decoded, WithoutAlpha
from coverslip.data.readers.scenes import Channel, Scene, Selection, scene_planes
from coverslip.errors import CoverslipError
from coverslip.imaging.rows import Cached, Rows

PACKAGES = {
    ".czi": "czifile",
    ".lif": "liffile",
    ".nd2": "nd2",
    ".oib": "oiffile",
    ".oif": "oiffile",
    ".oir": "oirfile",
}

LARGEST_STACK = 8_000_000_000
"""Most bytes of an OIR, which its package reads whole."""

TILES_A_PLANE = 100
"""A CZI with more subblocks than this, times the most planes of a file, is damaged."""

CZI_TYPES: dict[int, tuple[str, int]] = {
    0: ("<u1", 1),
    1: ("<u2", 1),
    2: ("<f4", 1),
    3: ("<u1", 3),
    4: ("<u2", 3),
    8: ("<f4", 3),
    9: ("<u1", 4),
    12: ("<i4", 1),
}
"""Type and samples of a pixel, by their number in a CZI (ZISRAW file format 1.2, section 4.2)."""


def vendor_planes(path: Path, selection: Selection) -> Iterator[Plane]:
    """Read a file of a microscope plane by plane.

    Raises:
        CoverslipError: no image is in it.
    """
    suffix = path.suffix.lower()
    try:
        package = import_reader(suffix)
    except CoverslipError as error:
        yield Plane(1, error=str(error), lasting=False)  # it may be installed another time
        return
    find: Callable[[Any], list[Scene]]
    opened: AbstractContextManager[Any]
    if suffix == ".czi":
        opened, find = package.CziFile(str(path)), czi_scenes
    elif suffix == ".lif":
        opened, find = package.LifFile(str(path)), lif_scenes
    elif suffix == ".nd2":
        opened, find = package.ND2File(str(path)), nd2_scenes
    elif suffix == ".oir":
        opened, find = package.OirFile(str(path)), oir_scenes
    else:
        opened, find = package.OifFile(str(path)), oif_scenes
    with opened as file:
        scenes = find(file)
        if not scenes:
            raise CoverslipError("holds no image")
        number = itertools.count(1)
        for scene in scenes:
            yield from scene_planes(scene, selection, number)


def import_reader(suffix: str) -> Any:
    """Import the package that reads files of this ending.

    Raises:
        CoverslipError: it is not installed.
    """
    name = PACKAGES[suffix]
    try:
        return importlib.import_module(name)
    except ImportError as error:
        python = " (which needs Python 3.12 or later)" if name == "oirfile" else ""
        raise CoverslipError(
            f"{suffix[1:].upper()} is read by the package {name}{python}, which is not installed: "
            "`pip install 'coverslip[formats]'`, or convert it to OME-TIFF or OME-Zarr"
        ) from error


def _plane_rows(height: int, width: int, decode: Callable[[], np.ndarray], dtype: Any) -> Rows:
    """Rows of a plane that is read whole: HxW, or HxW and samples."""

    def decoded() -> np.ndarray:
        array = np.asarray(decode())
        return array if array.ndim == 3 else array[:, :, np.newaxis]

    samples = 1 if not isinstance(dtype, tuple) else dtype[1]
    kind = np.dtype(dtype if not isinstance(dtype, tuple) else dtype[0])
    rows: Rows = Cached(Decoded((height, width, samples), kind, decoded), max(1, height))
    return WithoutAlpha(rows) if samples in (2, 4) else rows


def _outer(sizes: Mapping[str, int]) -> dict[str, int]:
    return {axis: int(n) for axis, n in sizes.items() if axis not in "YXS" and n > 1}


def _name(position: int, count: int) -> str:
    return f"s{position + 1}" if count > 1 else ""


def _size(height: Any, width: Any) -> tuple[float, float] | None:
    """A size of a pixel that is a number above 0, or none."""
    try:
        size = (float(height), float(width))
    except (TypeError, ValueError):
        return None
    return size if min(size) > 0 and max(size) < math.inf else None


# --- LIF


def lif_scenes(file: Any) -> list[Scene]:
    """Images of an open `liffile.LifFile`."""
    images = list(file.images)
    return [_lif_scene(image, _name(at, len(images))) for at, image in enumerate(images)]


def _lif_scene(image: Any, name: str) -> Scene:
    sizes = dict(image.sizes)
    if "Y" not in sizes or "X" not in sizes:
        raise CoverslipError(f"the image `{image.name}` has the axes {''.join(sizes)}, not Y and X")
    samples = sizes.get("S", 1)
    dtype = (image.dtype, samples)

    def read(at: Mapping[str, int]) -> Rows:
        chosen = {axis: at.get(axis, 0) for axis in sizes if axis not in "YXS"}
        return _plane_rows(sizes["Y"], sizes["X"], lambda: image.frame(**chosen), dtype)

    steps = {}
    for axis in "YX":
        places = np.asarray(image.coords.get(axis, ()), float)
        steps[axis] = (
            1e6 * abs(places[-1] - places[0]) / (len(places) - 1) if len(places) > 1 else 0
        )
    times = np.asarray(image.coords.get("T", ()), float)
    return Scene(
        _outer(sizes),
        read,
        name=name,
        channels=_lif_channels(image.xml_element),
        pixel_um=_size(steps["Y"], steps["X"]),
        times=list((times - times[0]) / 3600) if len(times) and times[-1] > times[0] else (),
    )


def _lif_channels(element: ElementTree.Element) -> list[Channel]:
    """Dyes of the detectors that are in use, else the names of the look-up tables."""
    described = element.findall(".//ImageDescription/Channels/ChannelDescription")
    dyes = [
        each.get("DyeName", "") or each.get("UserDefName", "")
        for each in element.iter()
        if each.tag in ("MultiBand", "WideFieldChannelInfo")
        and each.get("IsActive", "1") in ("1", "true")
    ]
    named = [
        {p.findtext("Key"): p.findtext("Value") for p in each.findall("ChannelProperty")}
        for each in described
    ]
    names = [each.get("DyeName") or "" for each in named]
    if not any(names) and len(dyes) == len(described):
        names = dyes
    if not any(names):
        names = [each.get("LUTName", "") for each in described]
    return [Channel(name or "") for name in names]


# --- ND2


def nd2_scenes(file: Any) -> list[Scene]:
    """Positions of an open `nd2.ND2File`."""
    sizes = dict(file.sizes)
    positions = int(sizes.pop("P", 1))
    check_planes(math.prod(_outer(sizes).values()) * positions)
    frames = {tuple(sorted(at.items())): i for i, at in enumerate(file.loop_indices)}
    channels = []
    for each in getattr(file.metadata, "channels", None) or []:
        waves = (each.channel.emissionLambdaNm, each.channel.excitationLambdaNm)
        nm = tuple(float(wave) for wave in waves if wave)
        channels.append(Channel(str(each.channel.name or ""), nm))
    voxel = file.voxel_size()
    size = (sizes["Y"], sizes["X"], sizes.get("S", 1))
    loops = [axis for axis in sizes if axis not in "CYXS"]

    def plane(position: int, at: Mapping[str, int]) -> np.ndarray:
        index = {axis: at.get(axis, 0) for axis in loops}
        if positions > 1:
            index["P"] = position
        array = np.asarray(file.read_frame(frames[tuple(sorted(index.items()))]))
        return array[at["C"]] if "C" in sizes else array

    def read(position: int, at: Mapping[str, int]) -> Rows:
        dtype = (file.dtype, size[2])
        return _plane_rows(size[0], size[1], lambda: plane(position, at), dtype)

    return [
        Scene(
            _outer(sizes),
            partial(read, position),
            name=_name(position, positions),
            channels=channels,
            pixel_um=_size(voxel.y, voxel.x),
            times=_nd2_times(file, int(sizes.get("T", 1))),
        )
        for position in range(positions)
    ]


def _nd2_times(file: Any, frames: int) -> list[float]:
    """Hours of the frames of a time loop with a period in ms."""
    for loop in file.experiment:
        period = getattr(getattr(loop, "parameters", None), "periodMs", None)
        if loop.type == "TimeLoop" and period and 0 < period < math.inf:
            return [frame * period / 3_600_000 for frame in range(frames)]
    return []


# --- OIB and OIF


def oif_scenes(file: Any) -> list[Scene]:
    """The images of an open `oiffile.OifFile`: its largest series of TIFFs."""
    if not file.series:
        return []
    series = file.series[0]
    lengths = dict(zip(series.axes, series.shape, strict=True))
    names = list(series)
    files = {tuple(at): name for at, name in zip(series.indices, names, strict=True)}
    first = file.asarray(names[0])
    facts = file.mainfile
    scale = facts.get("Reference Image Parameter", {})
    micro = [str(scale.get(f"{side}Unit", "")).strip('"') in ("um", "µm") for side in SIDES]
    steps = [scale.get(f"{side}ConvertValue") for side in SIDES]
    channels = []
    for number in range(1, int(lengths.get("C", 1)) + 1):
        part = facts.get(f"Channel {number} Parameters", {})
        name = str(part.get("DyeName") or part.get("CH Name") or "")
        wave = part.get("EmissionWavelength")
        nm = (float(wave),) if isinstance(wave, int | float) and wave > 0 else ()
        channels.append(Channel(name, nm))

    def read(at: Mapping[str, int]) -> Rows | None:
        place = tuple(at.get(axis, 0) for axis in lengths)
        if place not in files:
            return None
        samples = first.shape[2] if first.ndim == 3 else 1
        name = files[place]
        height, width = first.shape[:2]
        return _plane_rows(height, width, lambda: file.asarray(name), (first.dtype, samples))

    return [
        Scene(
            {axis: int(n) for axis, n in lengths.items() if n > 1},
            read,
            channels=channels,
            pixel_um=_size(*steps) if all(micro) else None,
        )
    ]


SIDES = ("Height", "Width")


# --- OIR


def oir_scenes(file: Any) -> list[Scene]:
    """The images of an open `oirfile.OirFile`."""
    sizes = dict(file.sizes)
    if not sizes:
        return []
    if math.prod(sizes.values()) * np.dtype(file.dtype).itemsize > LARGEST_STACK:
        raise CoverslipError("an OIR of more than 8 GB is not read: convert it to OME-TIFF")
    whole: list[np.ndarray] = []
    axes = "".join(sizes)

    def plane(at: Mapping[str, int]) -> np.ndarray:
        if not whole:
            whole.append(np.asarray(file.asarray()))
        kept = "".join(axis for axis in axes if axis in "YXS")
        array = whole[0][tuple(slice(None) if a in "YXS" else at.get(a, 0) for a in axes)]
        return np.transpose(array, [kept.index(axis) for axis in "YXS" if axis in kept])

    def read(at: Mapping[str, int]) -> Rows:
        dtype = (file.dtype, sizes.get("S", 1))
        return _plane_rows(sizes["Y"], sizes["X"], lambda: plane(at), dtype)

    channels = []
    for each in file.channels:
        start, end = each.start_wavelength, each.end_wavelength
        nm = ((start + end) / 2,) if start and end else ()
        channels.append(Channel(str(each.name or ""), nm))
    scales = file.coord_scales
    return [Scene(_outer(sizes), read, "", channels, _size(scales.get("Y"), scales.get("X")))]


# --- CZI


class Mosaic:
    """`Rows` of a plane of a CZI: tiles at their places; later ones cover earlier ones.

    Args:
        file: the open file.
        tiles: its subblocks.
        origin: smallest row and column of the scene.
        shape: height, width and samples.
        dtype: of its pixels.
    """

    def __init__(
        self,
        file: Any,
        tiles: Sequence[Tile],
        origin: tuple[int, int],
        shape: tuple[int, ...],
        dtype: np.dtype,
    ) -> None:
        self.file = file
        self.tiles = tiles
        self.origin = origin
        self.shape = shape
        self.dtype = dtype

    def rows(self, start: int, stop: int) -> np.ndarray:
        """See `Rows`."""
        found = np.zeros((stop - start, *self.shape[1:]), self.dtype)
        for tile in self.tiles:
            top, left = tile.top - self.origin[0], tile.left - self.origin[1]
            first, last = max(start, top), min(stop, top + tile.height)
            if first < last:
                pixels = tile.decode(self.file)[first - top : last - top]
                found[first - start : last - start, left : left + tile.width] = pixels
        return found


class Tile:
    """A subblock of a CZI at full resolution.

    Args:
        entry: its entry in the directory of the file, of any version of czifile.
    """

    def __init__(self, entry: Any) -> None:
        old = hasattr(entry, "axes")  # czifile until 2019, the last for Python 3.11
        names = tuple(entry.axes) if old else tuple(entry.dims)
        names = (*names[:-1], "0")
        place = dict(zip(names, entry.start, strict=True))
        extent = dict(zip(names, entry.shape, strict=True))
        self.entry = entry
        self.scene = int(place.get("S", 0) if old else max(0, entry.scene_index))
        self.top, self.left = int(place["Y"]), int(place["X"])
        self.height, self.width = int(extent["Y"]), int(extent["X"])
        self.at = {axis: int(n) for axis, n in place.items() if axis not in "SYX0"}
        kind = next((k for k, (t, n) in CZI_TYPES.items() if self._is(t, n, extent["0"])), None)
        if kind is None:
            raise CoverslipError(f"pixels of type {entry.dtype} are not read: save it as OME-TIFF")
        self.dtype, self.samples = np.dtype(CZI_TYPES[kind][0]), int(extent["0"])
        self.full = entry.pyramid_type == 0 and tuple(entry.shape) == tuple(entry.stored_shape)

    def _is(self, kind: str, samples: int, found: int) -> bool:
        return np.dtype(self.entry.dtype).base == np.dtype(kind) and samples == found

    def decode(self, file: Any) -> np.ndarray:
        """Pixels, HxW and samples.

        Raises:
            CoverslipError: a compression that is not known.
        """
        entry = self.entry
        segment = (
            entry.data_segment()
            if hasattr(entry, "data_segment")
            else entry.read_segment_data(file)
        )
        data = bytes(segment.data(raw=True))
        shape = (self.height, self.width, self.samples)
        size = math.prod(shape) * self.dtype.itemsize
        how = int(entry.compression)
        if how == 1:
            array = imagecodecs.jpeg8_decode(data).reshape(shape)
            return np.asarray(array, self.dtype)
        if how == 4:
            return np.asarray(imagecodecs.jpegxr_decode(data), self.dtype).reshape(shape)
        if how == 2:
            data = bytes(imagecodecs.lzw_decode(data, out=size))
        elif how == 5:
            data = bytes(imagecodecs.zstd_decode(data, out=size))
        elif how == 6:
            data = _zstd1(data, size)
        elif how != 0:
            raise CoverslipError(
                f"compressed by method {how} of CZI, which is not read: save it as OME-TIFF"
            )
        array = np.frombuffer(data, self.dtype, math.prod(shape)).reshape(shape)
        # Stored as blue, green, red (and alpha).
        return array[:, :, [2, 1, 0, 3][: self.samples]] if self.samples > 2 else array


def _zstd1(data: bytes, size: int) -> bytes:
    """Decode `zstd1` of a CZI: a header, whose flag states that low bytes precede high ones."""
    length = data[0]
    halves = length >= 3 and data[1] == 1 and data[2] & 1
    found = bytes(imagecodecs.zstd_decode(data[length:], out=size))
    if not halves:
        return found
    low, high = np.frombuffer(found, np.uint8).reshape(2, -1)
    return np.stack([low, high], axis=1).tobytes()


def czi_scenes(file: Any) -> list[Scene]:
    """Scenes of an open `czifile.CziFile`."""
    tiles = [Tile(entry) for entry in file.subblock_directory]
    tiles = [tile for tile in tiles if tile.full] or tiles
    check_planes(len(tiles) / TILES_A_PLANE)
    tiles.sort(key=_mosaic_index)
    groups: dict[int, list[Tile]] = {}
    for tile in tiles:
        groups.setdefault(tile.scene, []).append(tile)
    try:
        root = ElementTree.fromstring(_czi_metadata(file) or "<none/>")
    except ElementTree.ParseError:
        root = ElementTree.Element("none")
    return [
        _czi_scene(file, groups[scene], root, _name(at, len(groups)))
        for at, scene in enumerate(sorted(groups))
    ]


def _mosaic_index(tile: Tile) -> int:
    return -1 if tile.entry.mosaic_index is None else int(tile.entry.mosaic_index)


def _czi_metadata(file: Any) -> str:
    try:
        return file.metadata(raw=True)
    except TypeError:  # czifile since 2026
        return file.metadata()


def _czi_scene(file: Any, tiles: list[Tile], root: ElementTree.Element, name: str) -> Scene:
    axes = list(dict.fromkeys(axis for tile in tiles for axis in tile.at))
    first = {axis: min(tile.at.get(axis, 0) for tile in tiles) for axis in axes}
    lengths = {axis: max(t.at.get(axis, 0) for t in tiles) - first[axis] + 1 for axis in axes}
    outer = _outer(lengths)
    origin = (min(tile.top for tile in tiles), min(tile.left for tile in tiles))
    height = max(tile.top + tile.height for tile in tiles) - origin[0]
    width = max(tile.left + tile.width for tile in tiles) - origin[1]
    places: dict[tuple[int, ...], list[Tile]] = {}
    for tile in tiles:
        place = tuple(tile.at.get(axis, 0) - first[axis] for axis in outer)
        places.setdefault(place, []).append(tile)

    def read(at: Mapping[str, int]) -> Rows | None:
        here = places.get(tuple(at.get(axis, 0) for axis in outer))
        if not here:
            return None
        shape = (height, width, here[0].samples)
        rows: Rows = Cached(Mosaic(file, here, origin, shape, here[0].dtype), BLOCK)
        return WithoutAlpha(rows) if shape[2] == 4 else rows

    steps = {}
    for each in root.findall(".//Scaling/Items/Distance"):
        value = _number(each.findtext("Value"))
        steps[each.get("Id", "")] = None if value is None else value * 1e6
    return Scene(
        outer,
        read,
        name=name,
        channels=_czi_channels(root),
        pixel_um=_size(steps.get("Y"), steps.get("X")),
        times=_czi_times(root, outer.get("T", 1)),
    )


def _czi_channels(root: ElementTree.Element) -> list[Channel]:
    found = []
    for each in root.findall(".//Information/Image/Dimensions/Channels/Channel"):
        waves = [_number(each.findtext(f"{kind}Wavelength")) for kind in ("Emission", "Excitation")]
        name = each.get("Name") or each.findtext("Fluor") or ""
        found.append(Channel(name, tuple(wave for wave in waves if wave and wave > 0)))
    return found


def _czi_times(root: ElementTree.Element, frames: int) -> list[float]:
    step = _number(root.findtext(".//Dimensions/T/Positions/Interval/Increment"))
    if step is None or not 0 < step < math.inf:
        return []
    return [frame * step / 3600 for frame in range(frames)]


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
