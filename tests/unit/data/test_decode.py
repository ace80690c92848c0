import io

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from coverslip.data import decode
from coverslip.data.readers.bitmaps import PNG_START
from coverslip.data.readers.scenes import TRANSPARENT
from coverslip.errors import CoverslipError

RNG = np.random.default_rng(1)
GREY = RNG.integers(0, 256, (9, 7), dtype=np.uint8)
RGB = RNG.integers(0, 256, (9, 7, 3), dtype=np.uint8)
GREY16 = RNG.integers(0, 65536, (9, 7), dtype=np.uint16)
RGB16 = RNG.integers(0, 65536, (9, 7, 3), dtype=np.uint16)
DAMAGED = r"a/x\.png: (cannot be decoded .*replace|holds no image|the file is empty)"
RGBA = np.concatenate([RGB, np.full((9, 7, 1), 255, np.uint8)], axis=2)


def saved(array, kind, **options):
    data = io.BytesIO()
    image = array if isinstance(array, Image.Image) else Image.fromarray(array)
    image.save(data, kind, **options)
    return data.getvalue()


def tiff(array, **options):
    data = io.BytesIO()
    tifffile.imwrite(data, array, **options)
    return data.getvalue()


def deep_png(array):
    return cv2.imencode(".png", array)[1].tobytes()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (saved(GREY, "PNG"), GREY),
        (saved(RGB, "PNG"), RGB),
        (saved(RGBA, "PNG"), RGB),
        (saved(GREY16, "PNG"), GREY16),
        (deep_png(RGB16[:, :, ::-1]), RGB16),
        (saved(GREY, "BMP"), GREY),
        (saved(RGB, "BMP"), RGB),
        (saved(GREY, "TIFF"), GREY),
        (saved(RGB, "TIFF", compression="tiff_lzw"), RGB),
        (saved(GREY16, "TIFF", compression="tiff_lzw"), GREY16),
        (tiff(GREY16, byteorder=">"), GREY16),
        (tiff(RGB16, photometric="rgb", compression="zlib"), RGB16),
        (tiff(RGB16.transpose(2, 0, 1), photometric="rgb", planarconfig="separate"), RGB16),
        (tiff(RGBA, photometric="rgb", extrasamples=["unassalpha"]), RGB),
        (tiff(255 - GREY, photometric="miniswhite"), GREY),
        (tiff(GREY, tile=(16, 16)), GREY),
        (tiff(GREY, imagej=True), GREY),
        (tiff(GREY16.astype(np.int32)), GREY16),
        (saved(GREY > 99, "PNG"), np.where(GREY > 99, 255, 0).astype(np.uint8)),
    ],
)
def test_images_without_loss(data, expected):
    array, note = decode.image(data, "x")
    assert array.dtype == expected.dtype
    assert array.shape == (9, 7, 3 if expected.ndim == 3 else 1)
    np.testing.assert_array_equal(array.squeeze(), expected)
    assert TRANSPARENT not in note


def test_deep_colour_tiff_with_lzw():
    data = cv2.imencode(".tiff", RGB16[:, :, ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 5])[1].tobytes()
    np.testing.assert_array_equal(decode.image(data, "x")[0], RGB16)


def test_deep_grey_with_alpha():
    # OpenCV writes no grey with alpha: the header of a PNG with 16 bits, colour type 4.
    import struct
    import zlib

    rows = b"".join(
        b"\0" + np.stack([row, np.full(7, 9, np.uint16)], 1).astype(">u2").tobytes()
        for row in GREY16
    )
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 7, 9, 16, 4, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    ]
    data = PNG_START + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )
    array, note = decode.image(data, "x")
    np.testing.assert_array_equal(array[:, :, 0], GREY16)
    assert array.shape == (9, 7, 1)
    assert TRANSPARENT not in note


def test_jpeg_is_near():
    smooth = np.tile(np.arange(0, 64, dtype=np.uint8)[:, None, None], (1, 48, 3)) * 4
    array, _ = decode.image(saved(smooth, "JPEG", quality=95), "x")
    assert array.shape == smooth.shape
    assert np.abs(array.astype(int) - smooth).max() < 8
    assert decode.image(saved(GREY, "JPEG"), "x")[0].shape == (9, 7, 1)


def test_palette_becomes_rgb():
    image = Image.fromarray(RGB).quantize(16)
    array, _ = decode.image(saved(image, "PNG"), "x")
    np.testing.assert_array_equal(array, np.asarray(image.convert("RGB")))


def test_transparency_that_varies_is_dropped_and_told():
    data = RGBA.copy()
    data[0, 0, 3] = 0
    array, note = decode.image(saved(data, "PNG"), "x")
    assert TRANSPARENT in note
    np.testing.assert_array_equal(array, RGB)


def test_rotation_is_left_to_the_viewer():
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode.image(saved(GREY, "JPEG", exif=exif), "x")[0].shape == (9, 7, 1)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no image at all",
        saved(RGB, "PNG")[:-40],
        saved(RGB, "PNG")[:60],
        deep_png(RGB16)[:-40],
        saved(np.tile(RGB, (9, 9, 1)), "JPEG")[:900],
        saved(RGB, "BMP")[:-40],
        tiff(GREY)[:-20],
        tiff(RGB16, photometric="rgb", compression="zlib")[:-20],
        saved(RGB, "TIFF", compression="tiff_lzw")[:-150],
        tiff(GREY)[:20],
        saved(RGB, "PNG").replace(b"IDAT", b"IDAX"),
        saved(GREY, "ICNS", sizes=[(16, 16)]),
    ],
)
def test_damaged_images_are_named(data):
    for reader in (decode.image, decode.mask):
        with pytest.raises(CoverslipError, match=DAMAGED) as error:
            reader(data, "a/x.png")
        assert "\n" not in str(error.value)


def test_bomb_is_refused():
    image = Image.new("1", (20000, 20000))
    with pytest.raises(CoverslipError, match="x: an image of 20000x20000 pixels, more than 200"):
        decode.image(saved(image, "PNG"), "x")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (tiff(GREY.astype(np.complex64)), "x: pixels are of type complex64"),
        (tiff(np.full((3, 3), np.nan, np.float32)), "x: has no pixel with a finite value"),
        (tiff(np.zeros((5, 9, 7), np.uint8), photometric="minisblack"), "several images"),
        (
            saved(
                Image.fromarray(GREY),
                "TIFF",
                save_all=True,
                append_images=[Image.fromarray(GREY[:4])],
            ),
            "several images",
        ),
    ],
)
def test_unfit_images_are_named(data, message):
    with pytest.raises(CoverslipError, match=message):
        decode.image(data, "x")


def test_masks():
    binary = np.where(GREY > 99, 255, 0).astype(np.uint8)
    for data in (
        saved(binary, "PNG"),
        saved(np.stack([binary] * 3, 2), "PNG"),
        saved(np.stack([binary] * 3 + [binary], 2), "PNG"),
        saved(GREY > 99, "PNG"),
        saved(Image.fromarray(binary).convert("P"), "PNG"),
        tiff(binary),
    ):
        np.testing.assert_array_equal(decode.mask(data, "x"), binary)
    labels = np.arange(63, dtype=np.int32).reshape(9, 7) * 2000
    np.testing.assert_array_equal(decode.mask(tiff(labels), "x"), labels)
    np.testing.assert_array_equal(decode.mask(saved(GREY16, "PNG"), "x"), GREY16)


def test_mask_with_a_palette_of_colours_gives_its_indices():
    image = Image.fromarray(GREY % 3)
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    np.testing.assert_array_equal(decode.mask(saved(image, "PNG"), "x"), GREY % 3)


def test_mask_with_white_before_black_in_its_palette():
    image = Image.fromarray(GREY % 2)
    image.putpalette([255, 255, 255, 0, 0, 0])
    expected = np.where(GREY % 2, 0, 255)
    np.testing.assert_array_equal(decode.mask(saved(image, "PNG"), "x"), expected)


def test_mask_with_colours_or_floats():
    with pytest.raises(CoverslipError, match="x: mask with colours"):
        decode.mask(saved(RGB, "PNG"), "x")
    with pytest.raises(CoverslipError, match="x: mask of type float"):
        decode.mask(tiff(GREY.astype(np.float32) + 0.5), "x")
    np.testing.assert_array_equal(decode.mask(tiff(GREY.astype(np.float32)), "x"), GREY)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (GREY.astype(np.float32), GREY.astype(np.uint16)),
        (GREY.astype(np.int32), GREY.astype(np.uint16)),
        (np.array([[0.0, 0.5, 1.0, np.nan]]), np.array([[0, 32768, 65535, 0]], np.uint16)),
        (np.array([[-3, 0, 7]], np.int16), np.array([[0, 19660, 65535]], np.uint16)),
        (np.array([[0, 131070]], np.uint32), np.array([[0, 65535]], np.uint16)),
    ],
)
def test_other_types_keep_whole_numbers_and_are_scaled_otherwise(array, expected):
    found, _ = decode.image(tiff(array), "x")
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found[:, :, 0], expected)


@pytest.mark.reliability(
    "D21", "a PNG whose compressed data are valid, and end early", "called damaged; not black rows"
)
def test_a_png_whose_data_end_early_is_damaged():
    import struct
    import zlib

    def png(rows):
        chunks = [
            (b"IHDR", struct.pack(">IIBBBBB", 300, 200, 8, 0, 0, 0, 0)),
            (b"IDAT", zlib.compress(bytes(301) * rows)),
            (b"IEND", b""),
        ]
        return PNG_START + b"".join(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
            for kind, body in chunks
        )

    assert decode.image(png(200), "x")[0].shape == (200, 300, 1)
    with pytest.raises(CoverslipError, match="x: cannot be decoded"):
        decode.image(png(120), "x")
