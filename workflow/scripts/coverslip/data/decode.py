"""Decoding of images and masks: PNG, JPEG, TIFF and BMP, 8 or 16 bits, grey, colour or palette.

Pillow decodes what it keeps whole, tifffile decodes TIFF, OpenCV colour with 16 bits (which Pillow
would cut to 8). Images stay as they are stored: EXIF rotation is not applied, since masks are
drawn on the stored grid.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator

import cv2
import numpy as np
import tifffile
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from coverslip.errors import CoverslipError, one_line

FORMATS = ("PNG", "JPEG", "TIFF", "BMP")

PNG_START = b"\x89PNG\r\n\x1a\n"

JPEG_START = b"\xff\xd8\xff"

TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

PIXELS = 200_000_000
"""Largest number of pixels of an image where the caller names no other."""


def image(data: bytes, name: str, pixels: int = PIXELS) -> tuple[np.ndarray, bool]:
    """Decode an image.

    Transparency is dropped, the colours stay as stored: it is not part of a specimen, and in
    practice it is opaque everywhere. Palettes become RGB; one bit becomes 0 and 255.

    Args:
        data: bytes of the file.
        name: its name in messages.
        pixels: the largest number of pixels; a header that states more is refused unread.

    Returns:
        uint8 or uint16, HxWxC with C 1 (grey) or 3 (RGB), and whether it had a transparency that
        varied, so that the caller can report it.

    Raises:
        CoverslipError: cannot be decoded, is not one image, is too large, or is not of 8- or
            16-bit integers.
    """
    array, transparent = decoded(data, name, pixels, indices=False)
    return integers(array, name), transparent


def integers(array: np.ndarray, name: str = "") -> np.ndarray:
    """Return the pixels as uint8 or uint16, contiguous; one bit becomes 0 and 255.

    Raises CoverslipError, beginning with `name` if there is one, where they are no integers or do
    not fit 16 bits.
    """
    where = f"{name}: " if name else ""
    if array.dtype.kind == "b":
        array = array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind not in "ui":
        raise CoverslipError(
            f"{where}pixels are of type {array.dtype}: save it with 8- or 16-bit integers"
        )
    if array.dtype != np.uint8:
        if array.min() < 0:
            raise CoverslipError(
                f"{where}values from {array.min()} to {array.max()}, some below 0: save it with "
                "8- or 16-bit integers without sign"
            )
        if array.max() > np.iinfo(np.uint16).max:
            raise CoverslipError(
                f"{where}values from {array.min()} to {array.max()} do not fit 16 bits: "
                "save it with 8- or 16-bit integers"
            )
        array = array.astype(np.uint16)
    return np.ascontiguousarray(array)


def mask(data: bytes, name: str, pixels: int = PIXELS) -> np.ndarray:
    """Decode a mask; transparency is dropped.

    A palette of greys gives the greys; any other palette gives its indices, as label maps with a
    colour for each label are usually stored.

    Returns:
        integers HxW.

    Raises:
        CoverslipError: cannot be decoded, is too large, has colours, or is not of integers.
    """
    array, _ = decoded(data, name, pixels, indices=True)
    if array.dtype.kind == "b":
        array = array.astype(np.uint8) * 255
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


def decoded(data: bytes, name: str, pixels: int, indices: bool) -> tuple[np.ndarray, bool]:
    """Decode to HxWxC of the file's own type, C 1 or 3, without alpha.

    Args:
        data: bytes of the file.
        name: its name in messages.
        pixels: the largest number of pixels.
        indices: keep the indices of a palette of colours instead of its colours.

    Returns:
        the image, and whether it had an alpha channel that was not constant.
    """
    try:
        array = _tiff(data, pixels)
        if array is None:
            array = _pillow(data, pixels, indices)
    except CoverslipError as error:
        raise CoverslipError(f"{name}: {error}") from error
    except Exception as error:
        # On damaged bytes the libraries raise almost anything, SyntaxError and KeyError included.
        what = one_line(error)
        raise CoverslipError(
            f"{name}: cannot be decoded ({what[:200]}): "
            "replace it by a whole PNG, JPEG, TIFF or BMP"
        ) from error
    array = array if array.ndim == 3 else array[:, :, np.newaxis]
    if array.size == 0 or array.shape[2] > 4:
        raise CoverslipError(
            f"{name}: shape {array.shape} is not a grey or RGB image: save it as one"
        )
    transparent = False
    if array.shape[2] in (2, 4):
        alpha = array[:, :, -1]
        transparent = bool((alpha != alpha.flat[0]).any())
        array = array[:, :, :-1]
    return array.astype(array.dtype.newbyteorder("="), copy=False), transparent


def refuse_large(height: int, width: int, pixels: int) -> None:
    """Raise a CoverslipError where a header states more pixels than are allowed."""
    if height * width > pixels:
        raise CoverslipError(
            f"an image of {height}x{width} pixels, more than {pixels / 1e6:g} million: cut it "
            "into smaller ones, or raise `limits.megapixels` of its source"
        )


@contextlib.contextmanager
def own_limit() -> Iterator[None]:
    """Lift Pillow's own limit of pixels, which is one for all, while ours replaces it."""
    former, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = former


def _pillow(data: bytes, pixels: int, indices: bool) -> np.ndarray:
    with own_limit(), Image.open(io.BytesIO(data), formats=FORMATS) as image:
        refuse_large(image.height, image.width, pixels)
        if getattr(image, "n_frames", 1) > 1:
            raise CoverslipError("holds several images: save each in a file of its own")
        image.load()
        if _deep_colour(data, image):
            # Pillow has shown that the file is whole, but cuts colour to 8 bits.
            return _opencv(data)
        if image.mode in ("P", "PA"):
            return _palette(image) if indices else np.asarray(image.convert("RGB"))
        if image.mode in ("CMYK", "YCbCr", "LAB", "HSV", "RGBX", "RGBa"):
            return np.asarray(image.convert("RGB"))
        return np.asarray(image)


def _palette(image: Image.Image) -> np.ndarray:
    values = np.asarray(image.getchannel(0) if image.mode == "PA" else image)
    colours = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    used = np.unique(values)
    if used[-1] < len(colours) and (colours[used] == colours[used, :1]).all():
        return colours[:, 0][values]
    return values


def _deep_colour(data: bytes, image: Image.Image) -> bool:
    if data.startswith(PNG_START):
        # In the header chunk (PNG specification, 11.2.1): bit depth, then colour type.
        return data[24] == 16 and data[25] in (2, 4, 6)
    bits = image.tag_v2.get(258, (1,)) if isinstance(image, TiffImageFile) else (1,)
    return len(bits) > 1 and max(bits) > 8


def _opencv(data: bytes) -> np.ndarray:
    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None:
        raise ValueError("damaged image with 16 bits a channel")
    if array.ndim == 3:
        array = array[:, :, [2, 1, 0, 3][: array.shape[2]]]
    if data.startswith(PNG_START) and data[25] == 4:
        # Grey with alpha comes back as colour with alpha.
        array = array[:, :, [0, 3]]
    return array


def _tiff(data: bytes, pixels: int) -> np.ndarray | None:
    """Decode a TIFF; none where it is none, or one that Pillow knows better."""
    if not data.startswith(TIFF_STARTS):
        return None
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        if len(tiff.series) != 1:
            what = "several images" if tiff.series else "no image"
            raise CoverslipError(f"holds {what}: save each in a file of its own")
        series, page = tiff.series[0], tiff.pages.first
        plain = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB)
        decodable = page.compression in (1, 8, 32946, 32773)
        if page.photometric not in plain or not decodable:
            # Palettes, inverted greys, YCbCr and LZW: libtiff, in Pillow, knows them all.
            return None
        refuse_large(page.imagelength, page.imagewidth, pixels)
        # The shape can also be stated in words, which are not bound to the numbers of the page.
        refuse_large(series.size // max(1, min(4, page.samplesperpixel)), 1, pixels)
        array = series.asarray()
        array = array.reshape([n for n in array.shape if n > 1] if array.ndim > 3 else array.shape)
        if series.axes.startswith(("S", "C")) and array.ndim == 3 and array.shape[0] in (3, 4):
            array = np.moveaxis(array, 0, -1)
        if array.ndim == 2 or (array.ndim == 3 and array.shape[2] <= 4):
            return array
    raise CoverslipError(f"holds a stack of shape {array.shape}: save each image in its own file")
