"""Decoding of the images and masks of datasets, from bytes, by the readers of `data.readers`."""

from __future__ import annotations

import io

import numpy as np
import tifffile

from coverslip.data.readers import TIFF_STARTS, read_image
from coverslip.data.readers.bitmaps import JPEG_START, decode_bitmap
from coverslip.data.readers.planes import failed
from coverslip.data.readers.tiff import decode_page
from coverslip.errors import CoverslipError

PIXELS = 200_000_000
"""Largest number of pixels of an image where the caller names no other."""


def image(
    data: bytes,
    name: str,
    pixels: int = PIXELS,
    channel: int | str | None = None,
    z: int | str = "all",
) -> tuple[np.ndarray, str]:
    """Decode an image.

    Transparency is dropped, the colours stay as stored: it is not part of a specimen, and in
    practice it is opaque everywhere. Palettes become RGB; one bit becomes 0 and 255; other types
    than uint8 and uint16 are scaled, see `coverslip.data.readers.raster.integer_rows`.

    Args:
        data: bytes of the file.
        name: its name in messages.
        pixels: the largest number of pixels; a header that states more is rejected unread.
        channel, z: see `coverslip.data.readers.read_planes`.

    Returns:
        uint8 or uint16, HxWxC with C 1 (grey) or 3 (RGB), and a note on what was left out or
        assumed, empty where nothing was: `TRANSPARENT` is in it where a transparency varied.

    Raises:
        CoverslipError: cannot be decoded, is not one image, or is too large.
    """
    plane = read_image(data, name, pixels, channel, z)
    assert plane.image is not None
    return plane.image, plane.note


def mask(data: bytes, name: str, pixels: int = PIXELS) -> np.ndarray:
    """Decode a mask; transparency is dropped.

    A palette of greys gives the greys; any other palette gives its indices, as label images with a
    colour for each label are usually stored. Real numbers have to be whole, as Fiji saves labels.

    Returns:
        integers HxW.

    Raises:
        CoverslipError: cannot be decoded, is too large, has colours, or is not of whole numbers.
    """
    try:
        if data.startswith(TIFF_STARTS):
            with tifffile.TiffFile(io.BytesIO(data), _multifile=False) as tiff:
                array = decode_page(tiff, pixels)
        else:
            array = decode_bitmap(data, pixels, indices=True)
    except Exception as error:  # damaged bytes make the libraries raise almost anything
        reason = failed(error, 1).error
        fix = ": replace it by a whole file" if "cannot be decoded" in reason else ""
        raise CoverslipError(f"{name}: {reason}{fix}") from error
    return whole_numbers(array, name)


def whole_numbers(array: np.ndarray, name: str) -> np.ndarray:
    """Return the labels of a mask, integers HxW.

    Args:
        array: HxWxC with C from 1 (grey) to 4 (RGB and alpha), equal in all colours.
        name: its name in messages.

    Raises:
        CoverslipError: it has colours, or fractions.
    """
    if array.shape[2] in (2, 4):
        array = array[:, :, :-1]
    if array.dtype.kind == "b":
        array = array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "f":
        if not (np.isfinite(array).all() and (array == np.rint(array)).all()):
            raise CoverslipError(f"{name}: mask of type {array.dtype}: save it with integers")
        if np.abs(array).max(initial=0) > np.iinfo(np.int32).max:
            raise CoverslipError(f"{name}: mask with values above 2^31: number the objects again")
        array = array.astype(np.int32)
    if array.dtype.kind not in "ui":
        raise CoverslipError(f"{name}: mask of type {array.dtype}: save it with integers")
    if array.shape[2] == 3 and not (array == array[:, :, :1]).all():
        raise CoverslipError(
            f"{name}: mask with colours: save it as black and white, or as a grey image with one "
            "value for each object"
        )
    return np.ascontiguousarray(array[:, :, 0])


def is_lossy(data: bytes) -> bool:
    """Return whether a file is a JPEG, whose values are only near to what was drawn."""
    return data.startswith(JPEG_START)
