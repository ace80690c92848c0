"""What a TIFF states besides its pixels: size of a pixel, channels, and when a frame was taken.

OME-XML (Goldberg et al., Genome Biology 2005), ImageJ's description, the metadata of LSM, STK, SVS,
SCN, QPTIFF and Micro-Manager, and the plain resolution tags are understood.
"""

from __future__ import annotations

import math
import re
from typing import Any
from xml.etree import ElementTree

import tifffile

from coverslip.data.readers.planes import check_planes
from coverslip.data.readers.scenes import Channel

MICROMETRES = {
    "µm": 1.0,
    "μm": 1.0,
    "\\u00b5m": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "mm": 1e3,
    "millimeter": 1e3,
    "cm": 1e4,
    "centimeter": 1e4,
    "m": 1e6,
    "meter": 1e6,
    "angstrom": 1e-4,
    "inch": 25400.0,
}
"""Units of length, in micrometres."""

HOURS = {
    "ms": 1 / 3_600_000,
    "s": 1 / 3600,
    "sec": 1 / 3600,
    "min": 1 / 60,
    "h": 1.0,
    "d": 24.0,
    "millisecond": 1 / 3_600_000,
    "second": 1 / 3600,
    "minute": 1 / 60,
    "hour": 1.0,
    "day": 24.0,
}
"""Units of time, in hours."""

TAG_UNITS = {2: "inch", 3: "cm"}
"""Values of the tag ResolutionUnit (TIFF 6.0, section 8)."""

COARSEST_UM = 20.0
"""Resolution tags that state larger pixels speak of paper (300 dpi are 85 µm), not of cells."""


def check_declared(tiff: tifffile.TiffFile) -> None:
    """Raise a CoverslipError where metadata state more planes than any file holds.

    To be called before `tiff.series`, which makes a list of them.
    """
    count = 1.0
    if tiff.is_ome:
        sizes = ([pixels.get(f"Size{axis}") for axis in "CTZ"] for pixels in _all_pixels(tiff))
        count = sum(math.prod(_number(size) or 1 for size in three) for three in sizes)
    elif tiff.is_imagej:
        facts = tiff.imagej_metadata or {}
        axes = math.prod(facts.get(name) or 1 for name in ("channels", "slices", "frames"))
        count = max(axes, facts.get("images") or 1)
    check_planes(count)


def pixel_size(tiff: tifffile.TiffFile, series: int) -> tuple[float, float] | None:
    """Height and width of a pixel in micrometres, or none where the file does not say.

    Args:
        tiff: an open file.
        series: number of the series in it, from 0.
    """
    if tiff.is_ome:
        pixels = _ome_pixels(tiff, series)
        return None if pixels is None else _ome_size(pixels)
    first = tiff.series[series].pages[0]
    if first is None:
        return None
    page = first.aspage()
    if size := _stated_size(tiff, series, page):
        return size
    if "XResolution" not in page.tags or "YResolution" not in page.tags:
        return None
    counts = [_ratio(page.tags[f"{axis}Resolution"].value) for axis in "YX"]
    unit = TAG_UNITS.get(int(page.resolutionunit))
    if tiff.is_imagej:
        unit = str((tiff.imagej_metadata or {}).get("unit", "")).lower()
    scale = MICROMETRES.get(unit or "")
    if scale is None or min(counts) <= 0:
        return None
    height, width = (scale / count for count in counts)
    if max(height, width) > COARSEST_UM and not tiff.is_imagej:
        return None
    return height, width


def _stated_size(
    tiff: tifffile.TiffFile, series: int, page: tifffile.TiffPage
) -> tuple[float, float] | None:
    """Height and width of a pixel from the metadata of microscopes and slide scanners."""
    if tiff.is_lsm:
        facts = tiff.lsm_metadata or {}
        sizes = [1e6 * float(facts.get(f"VoxelSize{axis}") or 0) for axis in "YX"]
    elif tiff.is_stk:
        facts = tiff.stk_metadata or {}
        scale = MICROMETRES.get(str(facts.get("CalibrationUnits", "")).strip().lower(), 0.0)
        sizes = [scale * _ratio(facts.get(f"{axis}Calibration") or 0) for axis in "YX"]
    elif tiff.is_svs:
        found = re.search(r"\bMPP\s*=\s*([0-9.eE+-]+)", page.description or "")
        sizes = [_number(found[1]) or 0.0] * 2 if found else [0.0, 0.0]
    elif tiff.is_scn:
        sizes = _scn_sizes(tiff, page)
    elif tiff.is_micromanager:
        facts = (tiff.micromanager_metadata or {}).get("Summary") or {}
        sizes = [_number(str(facts.get("PixelSize_um"))) or 0.0] * 2
    else:
        return None
    return (sizes[0], sizes[1]) if min(sizes) > 0 else None


def _scn_sizes(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> list[float]:
    """Extent of the view of the image that holds a page, in nm, divided by its pixels."""
    for image in _elements(tiff.scn_metadata, "image"):
        ifds = [_number(each.get("ifd")) for each in image.iter() if _tag(each) == "dimension"]
        views = [each for each in image if _tag(each) == "view"]
        if page.index in ifds and views:
            extent = [(_number(views[0].get(f"size{axis}")) or 0.0) / 1e3 for axis in "YX"]
            return [extent[0] / page.imagelength, extent[1] / page.imagewidth]
    return [0.0, 0.0]


def read_channels(tiff: tifffile.TiffFile, series: int, count: int) -> list[Channel]:
    """Return what a file states about the channels of a series; empty without a statement.

    Args:
        tiff: an open file.
        series: number of the series in it, from 0.
        count: number of channels.
    """
    names: list[Any] = []
    waves: list[Any] = []
    if tiff.is_ome:
        pixels = _ome_pixels(tiff, series)
        if pixels is None:
            return []
        return [_ome_channel(each) for each in pixels if _tag(each) == "Channel"]
    if tiff.is_lsm:
        names = list(((tiff.lsm_metadata or {}).get("ChannelColors") or {}).get("ColorNames") or [])
    elif tiff.is_qpi:
        for page in tiff.series[series].pages:
            root = _elements(page.aspage().description if page else None, "Name")
            names.append(root[0].text if root else "")
    elif tiff.is_stk:
        names = [(tiff.stk_metadata or {}).get("Name", "")] if count == 1 else []
        waves = list(np_list((tiff.stk_metadata or {}).get("Wavelengths")))[:1]
        names = names or [""]
    elif tiff.is_micromanager:
        facts = (tiff.micromanager_metadata or {}).get("Summary") or {}
        names = list(facts.get("ChNames") or [])
    elif tiff.is_imagej and count > 1:
        # One label a plane, channels first: names only where they differ from channel to channel.
        labels = (tiff.imagej_metadata or {}).get("Labels") or []
        names = list(labels[:count]) if len(set(labels[:count])) == count else []
    found = [Channel(str(name or "").strip("\0 ")) for name in names[:count]]
    for index, wave in enumerate(waves[:count]):
        nm = _ratio(wave)
        if nm > 0 and math.isfinite(nm):
            found[index] = Channel(found[index].name, (nm,))
    return found if any(each.name or each.wavelengths_nm for each in found) else []


def np_list(values: Any) -> list[Any]:
    """Values of an array or a list, or none."""
    return [] if values is None else list(values)


def _ome_channel(element: ElementTree.Element) -> Channel:
    """Name and wavelengths of a channel of OME-XML; its fluorophore where it has no name."""
    waves = []
    for kind in ("Emission", "Excitation"):
        value = _number(element.get(f"{kind}Wavelength"))
        unit = MICROMETRES.get(element.get(f"{kind}WavelengthUnit", "nm"))
        if value is not None and unit is not None and 0 < value < math.inf:
            waves.append(value * unit * 1e3)
    return Channel(element.get("Name") or element.get("Fluor") or "", tuple(waves))


def frame_times(tiff: tifffile.TiffFile, series: int, frames: int) -> tuple[list[float], str]:
    """Time of each frame and its unit: hours, or `frame` where the file has no interval.

    Args:
        tiff: an open file.
        series: number of the series in it, from 0.
        frames: length of its time axis.
    """
    times = None
    if tiff.is_ome:
        pixels = _ome_pixels(tiff, series)
        times = None if pixels is None else _ome_times(pixels, frames)
    elif tiff.is_imagej:
        facts = tiff.imagej_metadata or {}
        interval = float(facts.get("finterval") or 0)
        unit = HOURS.get(str(facts.get("tunit", "s")).lower())
        if interval > 0 and unit is not None:
            times = [frame * interval * unit for frame in range(frames)]
    if times is None or not all(map(math.isfinite, times)):
        return [float(frame) for frame in range(frames)], "frame"
    return times, "h"


def _ratio(value: tuple[int, int] | float) -> float:
    if isinstance(value, tuple):
        return value[0] / value[1] if value[1] else 0.0
    return float(value)


def _ome_pixels(tiff: tifffile.TiffFile, series: int) -> ElementTree.Element | None:
    found = _all_pixels(tiff)
    return found[series] if series < len(found) else None


def _all_pixels(tiff: tifffile.TiffFile) -> list[ElementTree.Element]:
    return _elements(tiff.ome_metadata, "Pixels")


def _elements(xml: str | None, name: str) -> list[ElementTree.Element]:
    """All elements of a name in a text of XML; none where it is no XML."""
    try:
        root = ElementTree.fromstring(xml or "")
    except (ElementTree.ParseError, ValueError):
        return []
    return [element for element in root.iter() if _tag(element) == name]


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rsplit("}", 1)[-1]


def _ome_size(pixels: ElementTree.Element) -> tuple[float, float] | None:
    sizes = []
    for axis in "YX":
        unit = MICROMETRES.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
        size = _number(pixels.get(f"PhysicalSize{axis}"))
        if unit is None or size is None or size <= 0:
            return None
        sizes.append(size * unit)
    return sizes[0], sizes[1]


def _ome_times(pixels: ElementTree.Element, frames: int) -> list[float] | None:
    """Times of the planes where all are known, else multiples of the interval."""
    times: dict[int, float] = {}
    for plane in (element for element in pixels if _tag(element) == "Plane"):
        delta, unit = _number(plane.get("DeltaT")), HOURS.get(plane.get("DeltaTUnit", "s"))
        frame = _number(plane.get("TheT"))
        if delta is not None and unit is not None and frame is not None:
            times.setdefault(int(frame), delta * unit)
    if all(frame in times for frame in range(frames)):
        return [times[frame] for frame in range(frames)]
    interval = _number(pixels.get("TimeIncrement"))
    unit = HOURS.get(pixels.get("TimeIncrementUnit", "s"))
    if interval is None or unit is None or interval <= 0:
        return None
    return [frame * interval * unit for frame in range(frames)]


def _number(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
