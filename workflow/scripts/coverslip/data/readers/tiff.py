"""Images of TIFF files and what is built on TIFF: OME, ImageJ, BigTIFF, LSM, STK, SVS, NDPI, SCN,
QPTIFF.

Decoded by tifffile and imagecodecs; the photometric interpretation of a page decides what its
samples are (TIFF 6.0, section 4 and 16 to 23).
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping
from functools import partial
from math import prod
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import tifffile

from coverslip.data.readers.planes import Plane, check_pixels, check_size
from coverslip.data.readers.raster import (
    BLOCK,
    Contiguous,
    Decoded,
    Stored,
    WithoutAlpha,
    check_chunk,
    mapped,
    zarr_rows,
)
from coverslip.data.readers.scenes import Scene, Selection, scene_planes
from coverslip.data.readers.tiff_metadata import (
    check_declared,
    frame_times,
    pixel_size,
    read_channels,
)
from coverslip.errors import CoverslipError
from coverslip.imaging.rows import Cached, Rows

ALPHA = (1, 2)
"""Values of the tag ExtraSamples that mean transparency."""

KIND = tifffile.PHOTOMETRIC

GREY = (KIND.MINISBLACK, KIND.MINISWHITE, KIND.MASK, KIND.LINEAR_RAW)

DECODED_TO_RGB = (6, 7, 34892, 33007, 34927, 50001, 50002, 52546)
"""Compressions whose decoders give RGB where luma and chroma are stored: JPEG, WebP, JPEG XL."""

PHOTOGRAPHS = {"Thumbnail", "Label", "Macro", "Map", "Overview"}
"""Names of series of slide scanners that are no measurement."""

LEFT_OUT = "label, macro and overview photographs of the slide were left out"

CUT_OFF = "the file ends before its last pages: those that are there were read"

tifffile.logger().setLevel(logging.CRITICAL)  # what it would print is a note or an error here


def tiff_planes(source: Path | BinaryIO, selection: Selection) -> Iterator[Plane]:
    """Read a TIFF plane by plane.

    Args:
        source: the file; of an open one no plane is given as rows.
        selection: which channel and depths.

    Raises:
        CoverslipError: there is no image in it, or its header states more than any file holds.
    """
    # Files of one OME set name one another; each is in the folder itself and read on its own.
    with tifffile.TiffFile(source, _multifile=False) as tiff:
        check_declared(tiff)
        if not tiff.series:
            raise CoverslipError("holds no image")
        number = itertools.count(1)
        cut = _is_cut_off(tiff)
        kept = [index for index in range(len(tiff.series)) if not _is_photograph(tiff, index)]
        for at, index in enumerate(kept, start=1):
            name = f"s{at}" if len(kept) > 1 else ""
            notes = [LEFT_OUT] if any(each.name in PHOTOGRAPHS for each in tiff.series) else []
            note = "; ".join([*notes, *[CUT_OFF] * cut])
            yield from scene_planes(_scene(tiff, index, name, note, selection), selection, number)


def decode_page(tiff: tifffile.TiffFile, pixels: int) -> np.ndarray:
    """Decode the one page of an open TIFF as numbers, HxWxC; palettes of colours as their indices.

    Args:
        tiff: the file.
        pixels: the most pixels.

    Raises:
        CoverslipError: several images, too many pixels, or colours that are not read.
    """
    check_declared(tiff)
    series = tiff.series
    if not series or len(series) > 1 or len(series[0].pages) != 1:
        what = "several images" if series else "no image"
        raise CoverslipError(f"holds {what}: save each in a file of its own")
    page = tiff.pages.first
    rows = _page_rows(tiff, page, Selection(whole=2**62, pixels=pixels))
    if series[0].size != prod(rows.shape):
        raise CoverslipError(
            f"holds a stack of shape {series[0].shape}: save each image on its own"
        )
    if page.photometric == KIND.PALETTE and page.colormap is not None:
        indices = rows.rows(0, rows.shape[0])
        table = np.asarray(page.colormap)
        used = np.unique(indices)
        if indices.dtype.kind == "u" and (table[:, used] == table[:1, used]).all():
            return _palette(page)[indices[:, :, 0]][:, :, :1]
        return indices
    samples = _sample_channels(page, Selection())
    if samples > 1:
        raise CoverslipError(f"holds {samples} channels: save the mask as one")
    found = _colors(page, rows, None)
    return found.rows(0, found.shape[0])


def _is_cut_off(tiff: tifffile.TiffFile) -> bool:
    """Whether the last page that can be read names a further one."""
    tiff.filehandle.seek(tiff.pages.next_page_offset or 0)
    return any(tiff.filehandle.read(tiff.tiff.offsetsize))


def _is_photograph(tiff: tifffile.TiffFile, index: int) -> bool:
    """Whether a series is a small copy or a photograph beside the images of a file."""
    series = tiff.series[index]
    return index > 0 and (
        series.name in PHOTOGRAPHS or series.kind == "lsm" or bool(series.keyframe.is_reduced)
    )


def _scene(
    tiff: tifffile.TiffFile, index: int, name: str, note: str, selection: Selection
) -> Scene:
    series = tiff.series[index]
    named = zip(series.get_axes(False), series.get_shape(False), strict=True)
    outer = {axis: int(length) for axis, length in named if axis not in "YXS" and length > 1}
    page = series.keyframe
    samples = _sample_channels(page, selection)
    inside = samples > 1 and outer.get("C") == samples  # LSM: its channels are samples of a page
    lengths = dict(outer)
    if samples > 1 and not inside:
        lengths["C"] = outer.get("C", 1) * samples
    frames = outer.get("T", 1)
    times, unit = frame_times(tiff, index, frames)
    return Scene(
        lengths,
        partial(_read, tiff, series, outer, samples, inside, selection),
        name=name,
        channels=read_channels(tiff, index, lengths.get("C", 1)),
        pixel_um=pixel_size(tiff, index),
        times=times if unit == "h" else (),
        note=note,
    )


def _sample_channels(page: tifffile.TiffPage, selection: Selection) -> int:
    """How many samples of a page are channels of their own; 1 where they are a colour or grey."""
    count = int(page.samplesperpixel)
    kinds = [int(value) for value in page.extrasamples]
    if page.photometric in GREY:
        return count if count - bool(kinds and kinds[-1] in ALPHA) > 1 else 1
    if page.photometric == KIND.RGB and count > 3:
        return count if selection.channel is not None or not kinds or kinds[0] == 0 else 1
    return 1


def _read(
    tiff: tifffile.TiffFile,
    series: tifffile.TiffPageSeries,
    outer: Mapping[str, int],
    samples: int,
    inside: bool,
    selection: Selection,
    at: Mapping[str, int],
) -> Rows | None:
    """Rows of a plane; none where its page is in another file of its set."""
    place = dict(at)
    sample = None
    if samples > 1:
        sample = place["C"] % samples
        place["C"] = place["C"] // samples
    counts = {axis: n for axis, n in outer.items() if not (inside and axis == "C")}
    index = 0
    for axis, length in counts.items():
        index = index * length + place[axis]
    if len(series.pages) == prod(counts.values()):
        page = series.pages[index]
        if page is None:
            return None
        page = page.aspage()
        return _colors(page, _page_rows(tiff, page, selection), sample)
    page = series.keyframe
    contiguous = isinstance(tiff.filehandle.path, str) and tiff.filehandle.is_file
    if contiguous and series.dataoffset is not None and page.planarconfig == 1 and not inside:
        # ImageJ and MetaMorph write large stacks as one block behind a single page.
        dtype = np.dtype(series.dtype).newbyteorder(tiff.byteorder)
        shape = (page.imagelength, page.imagewidth, page.samplesperpixel)
        offset = int(series.dataoffset) + index * prod(shape) * dtype.itemsize
        block = Contiguous(Path(tiff.filehandle.path), offset, dtype, shape)
        return _colors(page, Cached(Stored(block, "YXS", {}), BLOCK), sample)
    import zarr  # half a second, and few jobs need it

    array = zarr.open_array(series.aszarr(level=0), mode="r")
    check_chunk(array.chunks)
    axes = series.axes
    chosen = {axis: place.get(axis, 0) for axis in axes if axis not in "YXS"}
    if inside:
        chosen["C"] = sample or 0
        return _colors(page, zarr_rows(array, axes, chosen), None)
    return _colors(page, zarr_rows(array, axes, chosen), sample)


def _page_rows(tiff: tifffile.TiffFile, page: tifffile.TiffPage, selection: Selection) -> Rows:
    """Rows of a page as they are stored, HxW and samples."""
    height, width = page.imagelength, page.imagewidth
    check_size(height, width)
    check_chunk(page.chunks)
    if page.dtype is None:
        raise CoverslipError(f"pixels of {page.bitspersample} bits are not read: save it with 16")
    _check_complete(tiff, page)
    if height * width <= selection.whole:
        check_pixels(height, width, selection.pixels)
        shape = (height, width, int(page.samplesperpixel))
        return Decoded(shape, page.dtype, partial(_decoded, page))
    axes = "".join(axis for axis in page.axes if axis in "YXS")
    if page.is_final and axes[0] == "Y":
        dtype = np.dtype(page.dtype).newbyteorder(tiff.byteorder)
        sides = {"Y": height, "X": width, "S": page.samplesperpixel}
        block = Contiguous(
            Path(tiff.filehandle.path),
            page.dataoffsets[0],
            dtype,
            tuple(sides[axis] for axis in axes),
        )
        return Cached(Stored(block, axes, {}), BLOCK)
    import zarr  # half a second, and few jobs need it

    return zarr_rows(zarr.open_array(page.aszarr(), mode="r"), axes, {})


def _decoded(page: tifffile.TiffPage) -> np.ndarray:
    array = page.asarray()
    if array.ndim == 2:
        return array[:, :, np.newaxis]
    if array.ndim == 3:
        return np.moveaxis(array, 0, -1) if page.axes.startswith("S") else array
    raise CoverslipError(f"a page of the axes {page.axes} is not read: save it as one plane a page")


def _check_complete(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> None:
    """Raise a CoverslipError where a file ends before its last strip or tile, or has none."""
    if not any(page.databytecounts):  # tifffile decodes it as black
        raise CoverslipError("cannot be decoded (no pixels were written into it)")
    places = zip(page.dataoffsets, page.databytecounts, strict=False)
    if max((start + count for start, count in places), default=0) > tiff.filehandle.size:
        raise CoverslipError("cannot be decoded (the file ends before its image does)")


def _colors(page: tifffile.TiffPage, rows: Rows, sample: int | None) -> Rows:
    """Grey (HxWx1) or RGB (HxWx3) from the samples of a page.

    Args:
        page: its tags.
        rows: its samples as stored.
        sample: the one that is a channel of its own, if they are.
    """
    kind, count = page.photometric, rows.shape[2]
    if kind in GREY or sample is not None:
        at = sample or 0
        if count == 2 and sample is None:
            one: Rows = WithoutAlpha(rows)
        elif count > 1:
            one = mapped(rows, lambda part: part[:, :, at : at + 1], 1, rows.dtype)
        else:
            one = rows
        if kind == KIND.MINISWHITE and rows.dtype.kind in "bu":
            most = True if rows.dtype.kind == "b" else 2 ** int(page.bitspersample) - 1
            return mapped(one, lambda part: part ^ one.dtype.type(most), 1, rows.dtype)
        return one
    if kind == KIND.RGB and count >= 3:
        if count == 4:
            return WithoutAlpha(rows)
        return rows if count == 3 else mapped(rows, lambda part: part[:, :, :3], 3, rows.dtype)
    if kind == KIND.YCBCR and count >= 3:
        if int(page.compression) in DECODED_TO_RGB:
            return rows
        if rows.dtype == np.uint8:
            return mapped(rows, _from_ycbcr, 3, rows.dtype)
    if kind == KIND.PALETTE and page.colormap is not None and rows.dtype.kind == "u":
        table = _palette(page)
        return mapped(rows, lambda part: table[part[:, :, 0]], 3, table.dtype)
    if kind == KIND.SEPARATED and count >= 4 and rows.dtype == np.uint8:
        return mapped(rows, _from_cmyk, 3, rows.dtype)
    raise CoverslipError(f"colours are stored as {KIND(kind).name}: save it as grey or RGB")


def _palette(page: tifffile.TiffPage) -> np.ndarray:
    """Colours of a palette, uint8 Nx3."""
    table = np.asarray(page.colormap)
    return (table >> 8 if table.max(initial=0) > 255 else table).T.astype(np.uint8)


def _from_ycbcr(part: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(np.ascontiguousarray(part[:, :, [0, 2, 1]]), cv2.COLOR_YCrCb2RGB)


def _from_cmyk(part: np.ndarray) -> np.ndarray:
    light = 255 - part[:, :, :4].astype(np.uint16)
    return ((light[:, :, :3] * light[:, :, 3:] + 127) // 255).astype(np.uint8)
