"""Images of PNG, JPEG, BMP, GIF and WebP.

Images stay as they are stored: EXIF rotation is not applied, since masks are drawn on the stored
grid. imagecodecs decodes PNG, since Pillow cuts colours of 16 bits to 8 and takes a file that ends
early for whole; Pillow decodes the others.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping

import imagecodecs
import numpy as np
from PIL import Image

from coverslip.data.readers.planes import check_pixels
from coverslip.data.readers.raster import WithoutAlpha
from coverslip.data.readers.scenes import Scene
from coverslip.errors import CoverslipError
from coverslip.imaging.rows import Rows, Whole

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP")

PNG_START = b"\x89PNG\r\n\x1a\n"

JPEG_START = b"\xff\xd8\xff"

PALETTE = 3
"""Type of colour of a PNG with a palette (PNG specification, 11.2.1)."""

AS_STORED = ("1", "L", "LA", "RGB", "RGBA", "I;16", "I;16B", "I")


def bitmap_scene(data: bytes, pixels: int) -> Scene:
    """Return the images of a file; several are frames of an animation.

    Args:
        data: bytes of the file.
        pixels: the most pixels of a frame.

    Raises:
        CoverslipError: a header states more pixels, or two animations in one.
    """
    with _opened(data, pixels) as image:
        frames = getattr(image, "n_frames", 1) if image.format != "MPO" else 1

    def read(at: Mapping[str, int]) -> Rows:
        rows = Whole(decode_bitmap(data, pixels, at.get("P", 0)))
        return WithoutAlpha(rows) if rows.shape[2] in (2, 4) else rows

    return Scene({"P": frames} if frames > 1 else {}, read)


def decode_bitmap(data: bytes, pixels: int, frame: int = 0, indices: bool = False) -> np.ndarray:
    """Decode a frame to HxWxC: grey, grey and alpha, RGB, or RGB and alpha.

    Args:
        data: bytes of the file.
        pixels: the most pixels.
        frame: which frame.
        indices: keep the indices of a palette of colours instead of its colours; a palette of greys
            gives greys.

    Returns:
        bool (one bit), uint8 or uint16.
    """
    with _opened(data, pixels) as image:
        if data.startswith(PNG_START) and frame == 0:
            array = imagecodecs.png_decode(data)
            if data[25] != PALETTE:
                return _deep(array > 0 if data[24] == 1 else array)
        image.seek(frame)
        image.load()
        if image.mode in ("P", "PA"):
            values, grey = _palette(image)
            if grey or indices:
                return _deep(values)
        array = np.asarray(image if image.mode in AS_STORED else image.convert("RGB"))
        later = frame > 0 and image.format == "GIF" and array.ndim == 3
        if later and (array[..., :3] == array[..., :1]).all():
            array = array[..., :1]  # Pillow gives later frames as RGB, also those of greys
        return _deep(array)


@contextlib.contextmanager
def _opened(data: bytes, pixels: int) -> Iterator[Image.Image]:
    """Open an image without Pillow's own limit of pixels, which is one for all."""
    former, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            check_pixels(image.height, image.width, pixels)
            yield image
    finally:
        Image.MAX_IMAGE_PIXELS = former


def _deep(array: np.ndarray) -> np.ndarray:
    array = array if array.ndim == 3 else array[:, :, np.newaxis]
    if array.size == 0 or array.shape[2] > 4:
        raise CoverslipError(f"shape {array.shape} is not a grey or RGB image: save it as one")
    return array


def _palette(image: Image.Image) -> tuple[np.ndarray, bool]:
    """Greys of an image whose palette has no colours, else its indices; and whether it has none."""
    values = np.asarray(image.getchannel(0) if image.mode == "PA" else image)
    colors = np.asarray(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    used = np.unique(values)
    if used[-1] < len(colors) and (colors[used] == colors[used, :1]).all():
        return colors[:, 0][values], True
    return values, False
