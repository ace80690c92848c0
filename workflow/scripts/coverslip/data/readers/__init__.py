"""Reading people's own images: PNG, JPEG, BMP, TIFF with any number of pages, and Zarr.

A file becomes one or more planes (a page, a time, a depth, a position), each with its pixels or
with the reason why it has none; nothing that a file holds raises an exception.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from coverslip.data import decode
from coverslip.data.readers.planes import NAMES, Plane, check_planes, failed
from coverslip.data.readers.raster import (
    ALPHA,
    BLOCK,
    Contiguous,
    Stored,
    no_channel,
    tiff_rows,
    which_channel,
)
from coverslip.data.readers.tiff import check_declared, frame_times, pixel_size
from coverslip.data.readers.zarr import zarr_planes
from coverslip.errors import CoverslipError
from coverslip.imaging.rows import Cached, Rows, Whole

PLAIN = (1, 8, 32946, 32773)
"""Compressions that tifffile decodes by itself: none, deflate (two numbers), PackBits."""

PILLOW = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946, 34925, 50000)
"""Compressions that Pillow's libtiff decodes; tifffile and imagecodecs know all the others."""

PIXELS = 500_000_000
"""Largest number of pixels of an image: it is held in memory whole."""


def read_planes(path: Path, channel: int | None = None, whole: int = PIXELS) -> Iterator[Plane]:
    """Read a file plane by plane; in memory is one plane at a time, and the file if it is no TIFF.

    Of a large plane of a TIFF or Zarr nothing is in memory: it is given as `Plane.rows`, which can
    be read until the next plane is asked for.

    Args:
        path: the file, or the folder of a Zarr.
        channel: number of the channel to take where there are several, from 0; none: grey and RGB
            as they are, and an error for others.
        whole: planes of more pixels are large.
    """
    page = 0
    try:
        for plane in _reader(path)(path, channel, whole):
            page = plane.page
            yield plane
    except Exception as error:  # damaged bytes make the libraries raise almost anything
        plane = failed(error, page + 1)
        yield replace(plane, error=plane.error.removeprefix(f"{path.name}: "))


def _reader(path: Path) -> Callable[[Path, int | None, int], Iterator[Plane]]:
    if path.is_dir():
        return zarr_planes
    with open(path, "rb") as file:
        return _tiff if file.read(4) in decode.TIFF_STARTS else _single


def _single(path: Path, channel: int | None, whole: int) -> Iterator[Plane]:
    data = path.read_bytes()
    if not data:
        raise CoverslipError("the file is empty")
    array, transparent = decode.image(data, path.name, PIXELS)
    array = _one_channel(array, channel)
    del data
    if array.shape[0] * array.shape[1] > whole:
        yield Plane(1, rows=Whole(array), note=_transparency(transparent))
    else:
        yield Plane(1, array, note=_transparency(transparent))


def _transparency(transparent: bool) -> str:
    return "the last channel was taken for transparency and left out" if transparent else ""


def _one_channel(array: np.ndarray, channel: int | None) -> np.ndarray:
    """The chosen channel of an image with several, HxWx1; others as they are."""
    if channel is None or array.shape[2] == 1:
        return array
    if channel >= array.shape[2]:
        raise CoverslipError(no_channel(channel, array.shape[2]))
    return np.ascontiguousarray(array[:, :, channel : channel + 1])


def _tiff(path: Path, channel: int | None, whole: int) -> Iterator[Plane]:
    # Files of one OME set name one another; each is in the folder itself and read on its own.
    with tifffile.TiffFile(path, _multifile=False) as tiff:
        check_declared(tiff)
        if not tiff.series:
            raise CoverslipError("holds no image")
        first = tiff.series[0]
        if len(tiff.series) == 1 and len(first.pages) == 1 and not _outer(first):
            yield _lone_page(path, tiff, channel, whole)
            return
        page = itertools.count(1)
        for number in range(len(tiff.series)):
            yield from _series(tiff, number, channel, page, whole)


def _outer(series: tifffile.TiffPageSeries) -> list[tuple[str, int]]:
    """Axes beside height, width and samples, with their lengths."""
    found = zip(series.get_axes(False), series.get_shape(False), strict=True)
    return [(axis, length) for axis, length in found if axis not in "YXS" and length > 1]


def _lone_page(path: Path, tiff: tifffile.TiffFile, channel: int | None, whole: int) -> Plane:
    page = tiff.pages.first
    facts: dict[str, Any] = {"pixel_um": pixel_size(tiff, 0)}
    if page.imagelength * page.imagewidth > whole:
        note = _transparency(channel is None and page.samplesperpixel == 4)
        return Plane(1, rows=tiff_rows(tiff, page, channel), note=note, **facts)
    if page.photometric == tifffile.PHOTOMETRIC.MINISBLACK and page.samplesperpixel > 1:
        return Plane(1, _samples(page, channel), **facts)
    if channel is not None and page.samplesperpixel > 3:
        return Plane(1, _samples(page, channel), **facts)
    if page.compression not in PILLOW:
        note = _transparency(channel is None and page.samplesperpixel == 4)
        return Plane(1, _all_rows(tiff, page, channel), note=note, **facts)
    array, transparent = decode.image(path.read_bytes(), path.name, PIXELS)
    return Plane(1, _one_channel(array, channel), note=_transparency(transparent), **facts)


def _all_rows(tiff: tifffile.TiffFile, page: tifffile.TiffPage, channel: int | None) -> np.ndarray:
    """The pixels of a page as a large one is read, HxWxC."""
    decode.refuse_large(page.imagelength, page.imagewidth, PIXELS)
    return tiff_rows(tiff, page, channel).rows(0, page.imagelength)


def _sample_kinds(page: tifffile.TiffPage) -> tuple[int, ...]:
    return tuple(int(kind) for kind in page.extrasamples)


def _samples(page: tifffile.TiffPage, channel: int | None) -> np.ndarray:
    """The pixels of a page whose samples are channels of measurement rather than a colour."""
    array = _upright(_page_pixels(page), page.axes)
    colours = array.shape[2]
    kinds = _sample_kinds(page)
    if kinds and kinds[-1] in ALPHA:
        colours -= 1
    if channel is not None and channel < array.shape[2]:
        return decode.integers(array[:, :, channel : channel + 1])
    if channel is not None:
        raise CoverslipError(no_channel(channel, array.shape[2]))
    if colours == 1:
        return decode.integers(array[:, :, :1])
    raise CoverslipError(which_channel(array.shape[2]))


def _upright(array: np.ndarray, axes: str) -> np.ndarray:
    """HxWxC from a page of the axes YX, YXS or SYX."""
    if array.ndim == 2:
        return array[:, :, np.newaxis]
    return np.moveaxis(array, 0, -1) if axes.startswith("S") else array


def _page_pixels(page: tifffile.TiffPage) -> np.ndarray:
    decode.refuse_large(page.imagelength, page.imagewidth, PIXELS)
    return page.asarray()


def _series(
    tiff: tifffile.TiffFile, number: int, channel: int | None, page: Iterator[int], whole: int
) -> Iterator[Plane]:
    series = tiff.series[number]
    outer = _outer(series)
    check_planes(prod(length for _, length in outer))
    channels = dict(outer).get("C", 1)
    if channels > 1 and (channel is None or channel >= channels):
        wrong = which_channel(channels) if channel is None else no_channel(channel, channels)
        yield Plane(next(page), error=wrong)
        return
    times, unit = frame_times(tiff, number, dict(outer).get("T", 1))
    size = pixel_size(tiff, number)
    prefix = [f"s{number + 1}"] if len(tiff.series) > 1 else []
    for place in np.ndindex(*(length for _, length in outer)):
        at = dict(zip((axis for axis, _ in outer), place, strict=True))
        if channels > 1 and at["C"] != channel:
            continue
        words = [f"{NAMES.get(axis, 'p')}{index + 1}" for axis, index in at.items() if axis != "C"]
        facts: dict[str, Any] = {"pixel_um": size, "plane": " ".join(prefix + words)}
        if "T" in at:
            facts |= {"time": times[at["T"]], "time_unit": unit}
        sample = None if channels > 1 else channel
        yield from _plane(tiff, series, place, sample, next(page), facts, whole)


def _plane(
    tiff: tifffile.TiffFile,
    series: tifffile.TiffPageSeries,
    place: tuple[int, ...],
    channel: int | None,
    number: int,
    facts: Mapping[str, Any],
    whole: int,
) -> Iterator[Plane]:
    try:
        shape = [length for _, length in _outer(series)]
        at = int(np.ravel_multi_index(place, shape)) if shape else 0
        if len(series.pages) == int(np.prod(shape)):
            page = series.pages[at]
            if page is None:  # it lies in another file of its set
                return
            page = page.aspage()
            if page.imagelength * page.imagewidth > whole:
                yield Plane(number, rows=tiff_rows(tiff, page, channel), **facts)
                return
            image = _page_image(tiff, page, channel)
        elif series.dataoffset is not None and int(np.prod(series.shape[-2:])) > whole:
            yield Plane(number, rows=_block_rows(tiff, series, at), **facts)
            return
        else:
            # ImageJ writes large stacks as one block behind a single page.
            decode.refuse_large(series.size, 1, 4 * PIXELS)
            block = series.asarray()
            block = block.reshape(int(np.prod(shape)), *block.shape[-2:])
            image = decode.integers(_upright(block[at], "YX"))
        yield Plane(number, image, **facts)
    except Exception as error:  # one damaged page leaves the others readable
        yield failed(error, number, facts["plane"])


def _block_rows(tiff: tifffile.TiffFile, series: tifffile.TiffPageSeries, at: int) -> Rows:
    """Rows of one plane of the block that ImageJ writes large stacks as."""
    dtype = np.dtype(series.dtype).newbyteorder(tiff.byteorder)
    shape = series.shape[-2:]
    offset = int(series.dataoffset or 0) + at * int(np.prod(shape)) * dtype.itemsize
    array = Contiguous(Path(tiff.filehandle.path), offset, dtype, shape)
    return Cached(Stored(array, "YX", {}, slice(0, 1)), BLOCK)


def _page_image(
    tiff: tifffile.TiffFile, page: tifffile.TiffPage, channel: int | None
) -> np.ndarray:
    """Pixels of a page of many, HxWxC."""
    grey = page.photometric == tifffile.PHOTOMETRIC.MINISBLACK
    colour = page.photometric == tifffile.PHOTOMETRIC.RGB
    if page.compression not in PILLOW:
        return _all_rows(tiff, page, channel)
    if not (grey or colour) or page.compression not in PLAIN:
        with Image.open(tiff.filehandle.path) as image:
            image.seek(page.index)
            known = image.mode in ("L", "I;16", "I;16B", "RGB")
            array = np.asarray(image if known else image.convert("RGB"))
            return _one_channel(decode.integers(_upright(array, "YX")), channel)
    if page.samplesperpixel > 1 and (grey or channel is not None):
        return _samples(page, channel)
    array = _upright(_page_pixels(page), page.axes)
    return decode.integers(array[:, :, :3] if array.shape[2] >= 3 else array[:, :, :1])
