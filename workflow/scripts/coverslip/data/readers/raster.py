"""Rows of images in files, as stored or with a function applied to them.

Only what is in the rows asked for is read and decoded: by tifffile and imagecodecs through Zarr, or
straight from the file where the pixels are uncompressed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from coverslip.data.readers.planes import Plane, check_size, failed
from coverslip.errors import CoverslipError
from coverslip.imaging.rows import Cached, Mapped, Rows, Unfit, parts

BLOCK = 256
"""Rows that are read at once, about."""

LARGEST_CHUNK = 1_500_000_000
"""Most values of a strip, tile or chunk."""

DEEPEST = 65535
"""Largest value of uint16."""


class Unread(Unfit):
    """Rows that cannot be read, with the `Plane` that has the reason."""

    def __init__(self, plane: Plane) -> None:
        super().__init__(plane.error)
        self.plane = plane


class Sliced(Protocol):
    """What is sliced like an array."""

    shape: tuple[int, ...]
    dtype: Any

    def __getitem__(self, chosen: Any, /) -> Any: ...


class Stored:
    """`Rows` of an array in a file, as it is stored.

    Args:
        array: anything that is sliced like an array, of axes that `axes` names.
        axes: names of the axes; Y and X are among them, S (samples of a pixel) may be.
        at: index along each other axis.

    Raises:
        CoverslipError: its header states a size that no image has.
    """

    def __init__(self, array: Sliced, axes: str, at: dict[str, int]) -> None:
        self.array = array
        self.axes = axes
        self.at = at
        sides = dict(zip(axes, array.shape, strict=True))
        check_size(sides["Y"], sides["X"])
        self.shape: tuple[int, ...] = (sides["Y"], sides["X"], sides.get("S", 1))
        self.dtype = np.dtype(array.dtype)

    def rows(self, start: int, stop: int) -> np.ndarray:
        """See `Rows`. Raises Unread where the file is damaged."""
        whole = slice(None)
        chosen = {"Y": slice(start, stop), "X": whole, "S": whole} | self.at
        try:
            found = np.asarray(self.array[tuple(chosen[axis] for axis in self.axes)])
            kept = [axis for axis in self.axes if axis in "YXS"]
            found = np.transpose(found, [kept.index(axis) for axis in "YXS" if axis in kept])
            return found.reshape(stop - start, *self.shape[1:])
        except Exception as error:  # damaged bytes make the libraries raise almost anything
            raise Unread(failed(error, 0)) from error


class Contiguous:
    """An array that is uncompressed in a file, sliced along its rows alone.

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


class Decoded:
    """`Rows` of an image that is decoded whole, each time that it is asked for.

    Args:
        shape: height, width and samples.
        dtype: of its pixels.
        decode: gives the pixels, HxWxC.
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: Any, decode: Callable[[], np.ndarray]
    ) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self.decode = decode

    def rows(self, start: int, stop: int) -> np.ndarray:
        """See `Rows`."""
        return self.decode()[start:stop]


def mapped(
    source: Rows, function: Callable[[np.ndarray], np.ndarray], channels: int, dtype: Any
) -> Mapped:
    """Return `Rows` with a function applied to each part, wherever the part is.

    Args:
        source: the rows.
        function: from part to part, HxWxC.
        channels: those of its result.
        dtype: type of its result.
    """
    return Mapped(source, lambda part, start: function(part), channels, np.dtype(dtype))


class WithoutAlpha:
    """`Rows` of 2 or 4 samples without the last, which is transparency.

    Attributes:
        varied: whether the transparency of the rows read so far was not the same everywhere.
    """

    def __init__(self, source: Rows) -> None:
        self.source = source
        self.shape = (*source.shape[:2], source.shape[2] - 1)
        self.dtype = source.dtype
        self.varied = False

    def rows(self, start: int, stop: int) -> np.ndarray:
        """See `Rows`."""
        found = self.source.rows(start, stop)
        alpha = found[:, :, -1]
        self.varied = self.varied or bool((alpha != alpha.flat[0]).any())
        return found[:, :, :-1]


class Projected:
    """`Rows` of the maximum over depths of equal size and type."""

    def __init__(self, depths: Sequence[Rows]) -> None:
        self.depths = depths
        self.shape = depths[0].shape
        self.dtype = depths[0].dtype

    def rows(self, start: int, stop: int) -> np.ndarray:
        """See `Rows`."""
        largest = self.depths[0].rows(start, stop)
        for depth in self.depths[1:]:
            largest = np.maximum(largest, depth.rows(start, stop))
        return largest


def focus_score(rows: Rows) -> float:
    """Return the variance of grey values divided by their mean: larger is sharper.

    Normalized variance ranked best for microscopy in Sun, Duthaler and Nelson, "Autofocusing in
    computer microscopy", Microscopy Research and Technique 65, 2004. Not-finite values are left
    out.
    """
    count, total, squares = 0, 0.0, 0.0
    for part in parts(rows):
        grey = part.astype(np.float64).mean(axis=2)
        grey = grey[np.isfinite(grey)]
        count += grey.size
        total += float(grey.sum())
        squares += float((grey**2).sum())
    if not count or total <= 0:
        return 0.0
    mean = total / count
    return (squares / count - mean**2) / mean


def integer_rows(rows: Rows) -> tuple[Rows, str]:
    """Return rows as uint8 or uint16, and a note where values were scaled.

    uint8 and uint16 stay as they are; one bit becomes 0 and 255. Other types stay as they are where
    all values are whole numbers from 0 to 65535. Else the range from the smallest to the largest
    finite value becomes 0 to 65535, linearly, and values that are not finite become 0.

    Raises:
        CoverslipError: complex numbers or objects, or no finite value.
    """
    kind = rows.dtype.kind
    if kind == "b":
        white = np.uint8(255)
        return mapped(rows, lambda part: part * white, rows.shape[2], np.dtype(np.uint8)), ""
    if rows.dtype == np.uint8:
        return rows, ""
    if kind == "u" and rows.dtype.itemsize == 2:
        native = np.dtype(np.uint16)
        if rows.dtype.isnative:
            return rows, ""
        return mapped(rows, lambda part: part.astype(native), rows.shape[2], native), ""
    if kind not in "iuf":
        raise CoverslipError(
            f"pixels are of type {rows.dtype}: save it with integers or real numbers"
        )
    low, high, whole = np.inf, -np.inf, True
    for part in parts(rows):
        finite = part[np.isfinite(part)] if kind == "f" else part
        if finite.size < part.size:
            whole = False
        if finite.size:
            low, high = min(low, float(finite.min())), max(high, float(finite.max()))
            whole = whole and (kind != "f" or bool((finite == np.rint(finite)).all()))
    if low > high:
        raise CoverslipError("has no pixel with a finite value")
    deep = np.dtype(np.uint16)
    if whole and low >= 0 and high <= DEEPEST:
        return mapped(rows, lambda part: part.astype(deep), rows.shape[2], deep), ""
    span = high - low if 0 < high - low < np.inf else 1.0

    def scaled(part: np.ndarray) -> np.ndarray:
        values = np.clip((part.astype(np.float64) - low) / span, 0, 1) * DEEPEST
        return np.rint(np.where(np.isfinite(part), values, 0)).astype(deep)

    note = f"values were scaled to 0 to {DEEPEST} (from {low:g} to {high:g})"
    return mapped(rows, scaled, rows.shape[2], deep), note


def check_chunk(shape: Sequence[int]) -> None:
    """Raise a CoverslipError where a strip, tile or chunk is too large to be decoded."""
    if prod(shape) > LARGEST_CHUNK:
        raise CoverslipError(
            f"a strip, tile or chunk of {'x'.join(map(str, shape))} values is decoded whole: "
            f"save it in tiles of at most {LARGEST_CHUNK:,}"
        )


def zarr_rows(array: Any, axes: str, at: dict[str, int]) -> Rows:
    """Rows of a plane of a Zarr array.

    Args:
        array: the array.
        axes: one letter an axis; Y and X are among them.
        at: index along each axis that is neither Y, X nor S.
    """
    chunk = (getattr(array, "shards", None) or array.chunks)[axes.index("Y")]
    return Cached(Stored(array, axes, at), chunk * max(1, round(BLOCK / chunk)))
