"""Rows of images in files: TIFF pages (tiles or strips, compressed or not) and Zarr arrays.

Only what lies in the rows asked for is read and decoded: by tifffile and imagecodecs through Zarr,
or straight from the file where the pixels lie in it as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from coverslip.data import decode
from coverslip.data.readers.planes import Plane, check_size, failed
from coverslip.errors import CoverslipError
from coverslip.imaging.rows import Cached, Rows, Unfit

ALPHA = (1, 2)
"""Values of the tag ExtraSamples that mean transparency."""

BLOCK = 256
"""Rows that are read at once, about."""

LARGEST_CHUNK = 1_500_000_000
"""Most values of a strip, tile or chunk."""

JPEG = (6, 7)
"""Compressions that give RGB from what is stored as luma and chroma."""


class Unread(Unfit):
    """Rows that cannot be read, with the `Plane` that tells why."""

    def __init__(self, plane: Plane) -> None:
        super().__init__(plane.error)
        self.plane = plane


class Stored:
    """`Rows` of an array in a file, as uint8 or uint16.

    Args:
        array: anything that is sliced like an array, of axes that `axes` names.
        axes: names of the axes; Y and X are among them, S may be.
        at: place along each other axis.
        samples: which of the axis S are taken.
        inverted: 0 is white.

    Raises:
        CoverslipError: it is said to be larger than any image is.
    """

    def __init__(
        self, array: Any, axes: str, at: dict[str, int], samples: slice, inverted: bool = False
    ) -> None:
        self.array = array
        self.axes = axes
        self.at = at
        self.samples = samples
        self.inverted = inverted
        sides = dict(zip(axes, array.shape, strict=True))
        check_size(sides["Y"], sides["X"])
        count = len(range(sides.get("S", 1))[samples])
        self.shape: tuple[int, ...] = (sides["Y"], sides["X"], count)
        small = np.dtype(array.dtype).kind == "b" or np.dtype(array.dtype) == np.uint8
        self.dtype: np.dtype = np.dtype(np.uint8 if small else np.uint16)

    def rows(self, start: int, stop: int) -> np.ndarray:
        """See `Rows`. Raises Unread where the file is damaged or holds other numbers."""
        whole = slice(None)
        chosen = {"Y": slice(start, stop), "X": whole, "S": self.samples} | self.at
        try:
            found = np.asarray(self.array[tuple(chosen[axis] for axis in self.axes)])
            kept = [axis for axis in self.axes if axis in "YXS"]
            found = np.transpose(found, [kept.index(axis) for axis in "YXS" if axis in kept])
            pixels = decode.integers(found.reshape(stop - start, *self.shape[1:]))
        except Exception as error:  # damaged bytes make the libraries raise almost anything
            raise Unread(failed(error, 0)) from error
        return np.invert(pixels) if self.inverted else pixels


class Contiguous:
    """An array that lies in a file as it is, sliced along its rows alone.

    It is read rather than mapped, since pages of a mapped file count as memory of the job.
    """

    def __init__(self, path: Path, offset: int, dtype: np.dtype, shape: tuple[int, ...]) -> None:
        self.path = path
        self.offset = offset
        self.dtype = dtype
        self.shape = shape

    def __getitem__(self, chosen: tuple[slice, ...]) -> np.ndarray:
        rows, *others = chosen
        line = int(np.prod(self.shape[1:]))
        count = (rows.stop - rows.start) * line
        place = self.offset + rows.start * line * self.dtype.itemsize
        found = np.fromfile(self.path, self.dtype, count, offset=place)
        if found.size < count:
            raise ValueError("the file ends before its image does")
        array = found.reshape(-1, *self.shape[1:])[(slice(None), *others)]
        return array.astype(self.dtype.newbyteorder("="), copy=False)


def tiff_rows(tiff: tifffile.TiffFile, page: tifffile.TiffPage, channel: int | None) -> Rows:
    """Rows of a page of a TIFF; its file has to stay open.

    Args:
        tiff: the open file.
        page: the page: of a pyramid the largest.
        channel: which of several samples, from 0; none: grey or RGB as they are.

    Raises:
        CoverslipError: it is neither grey nor RGB, or needs a choice.
    """
    check_size(page.imagelength, page.imagewidth)
    check_chunk(page.chunks)
    samples = page_samples(page, channel)
    inverted = page.photometric == tifffile.PHOTOMETRIC.MINISWHITE
    axes = "".join(axis for axis in page.axes if axis in "YXS")
    if page.is_final and axes[0] == "Y":
        dtype = np.dtype(page.dtype).newbyteorder(tiff.byteorder)
        sides = {"Y": page.imagelength, "X": page.imagewidth, "S": page.samplesperpixel}
        shape = tuple(sides[axis] for axis in axes)
        block = Contiguous(Path(tiff.filehandle.path), page.dataoffsets[0], dtype, shape)
        return Cached(Stored(block, axes, {}, samples, inverted), BLOCK)
    import zarr  # half a second, and few jobs need it

    array = zarr.open_array(page.aszarr(), mode="r")
    return Cached(Stored(array, axes, {}, samples, inverted), _block(array, axes))


def check_chunk(shape: Sequence[int]) -> None:
    """Raise a CoverslipError where a strip, tile or chunk is too large to be decoded."""
    if prod(shape) > LARGEST_CHUNK:
        raise CoverslipError(
            f"a strip, tile or chunk of {'x'.join(map(str, shape))} values is decoded whole: "
            f"save it in tiles of at most {LARGEST_CHUNK:,}"
        )


def page_samples(page: tifffile.TiffPage, channel: int | None) -> slice:
    """Which samples of a page are its image; see `tiff_rows`."""
    count = page.samplesperpixel
    if channel is not None and count > 1:
        if channel >= count:
            raise CoverslipError(no_channel(channel, count))
        return slice(channel, channel + 1)
    kind = tifffile.PHOTOMETRIC
    if page.photometric in (kind.MINISBLACK, kind.MINISWHITE):
        kinds = tuple(int(value) for value in page.extrasamples)
        if count - bool(kinds and kinds[-1] in ALPHA) > 1:
            raise CoverslipError(which_channel(count))
        return slice(0, 1)
    if page.photometric == kind.RGB or (
        page.photometric == kind.YCBCR and int(page.compression) in JPEG
    ):
        return slice(0, 3)
    name = kind(page.photometric).name
    raise CoverslipError(f"a large image with colours stored as {name}: save it as grey or RGB")


def zarr_rows(array: Any, axes: str, at: dict[str, int]) -> Rows:
    """Rows of a plane of a Zarr array.

    Args:
        array: the array.
        axes: one letter an axis; Y and X are among them.
        at: place along each axis that is neither Y, X nor S.
    """
    samples = slice(0, min(3, dict(zip(axes, array.shape, strict=True)).get("S", 1)))
    if samples.stop == 2:
        samples = slice(0, 1)  # grey with transparency
    return Cached(Stored(array, axes, at, samples), _block(array, axes))


def _block(array: Any, axes: str) -> int:
    """Rows to read at once: about `BLOCK`, whole chunks."""
    chunk = array.chunks[axes.index("Y")]
    shards = getattr(array, "shards", None)
    if shards:
        chunk = shards[axes.index("Y")]
    return chunk * max(1, round(BLOCK / chunk))


def no_channel(channel: int, count: int) -> str:
    """Words for a channel that is not there."""
    return f"has no channel {channel}, only 0 to {count - 1}: set `channel` under `measure`"


def which_channel(count: int) -> str:
    """Words for an image of several channels, none of which was chosen."""
    return f"holds {count} channels: say which to measure with `channel` (from 0) under `measure`"
