"""Own images are read as they come; what cannot be read says why and stops nothing."""

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from coverslip.data.readers import read_planes
from coverslip.data.readers.tiff_metadata import COARSEST_UM

RNG = np.random.default_rng(1)
GREY = RNG.integers(0, 256, (20, 30), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (20, 30), dtype=np.uint16)
STACK = RNG.integers(0, 65536, (3, 20, 30), dtype=np.uint16)


def read(path, channel=None):
    return list(read_planes(path, channel))


@pytest.mark.parametrize("ending", ["png", "tif", "tiff"])
@pytest.mark.parametrize("image", [GREY, DEEP, np.dstack([GREY] * 3), np.dstack([DEEP] * 3)])
def test_pixels_are_kept(tmp_path, ending, image):
    path = tmp_path / f"a.{ending}"
    assert cv2.imwrite(str(path), image, [cv2.IMWRITE_TIFF_COMPRESSION, 1])
    (plane,) = read(path)
    expected = image.reshape(20, 30, -1)[:, :, ::-1]
    assert plane.error == "" and plane.page == 1 and plane.plane == ""
    assert plane.image.dtype == image.dtype and (plane.image == expected).all()


def test_jpeg_and_rgba(tmp_path):
    cv2.imwrite(str(tmp_path / "a.jpg"), GREY)
    assert read(tmp_path / "a.jpg")[0].image.shape == (20, 30, 1)
    cv2.imwrite(str(tmp_path / "b.png"), np.dstack([GREY] * 4))
    (plane,) = read(tmp_path / "b.png")
    assert plane.image.shape == (20, 30, 3) and "transparency" in plane.note


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"I am text", "no image is in it"), (b"", "empty"), (b"II*\0abcdefg", "holds no image")],
)
def test_what_is_no_image_says_so_in_the_same_words_each_time(tmp_path, data, words):
    path = tmp_path / "a.tif"
    path.write_bytes(data)
    (plane,) = read(path)
    assert plane.image is None and words in plane.error
    assert "0x" not in plane.error and read(path)[0].error == plane.error


def test_all_frames_of_a_grey_gif_are_grey(tmp_path):
    path = tmp_path / "a.gif"
    first, second = (Image.fromarray(each) for each in (GREY, GREY[::-1]))
    first.save(path, save_all=True, append_images=[second])
    planes = read(path)
    assert [plane.image.shape for plane in planes] == [(20, 30, 1)] * 2
    assert (planes[1].image[:, :, 0] == GREY[::-1]).all()


def test_a_tiff_without_its_tiles_is_not_black(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, tile=(16, 16))
    with tifffile.TiffFile(path, mode="r+b") as tiff:
        for name in ("TileOffsets", "TileByteCounts"):
            tiff.pages.first.tags[name].overwrite([0] * 4)
    (plane,) = read(path)
    assert plane.image is None and "no pixels" in plane.error


def test_a_missing_file_says_so(tmp_path):
    assert "No such file" in read(tmp_path / "a.png")[0].error


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_four_channels_of_16_bits_need_a_choice(tmp_path, planar):
    path = tmp_path / "a.tif"
    four = RNG.integers(0, 65536, (4, 20, 30), dtype=np.uint16)
    stored = np.moveaxis(four, 0, -1) if planar == "contig" else four
    tifffile.imwrite(path, stored, photometric="minisblack", planarconfig=planar)
    assert "holds 4 channels" in read(path)[0].error
    assert (read(path, channel=2)[0].image[:, :, 0] == four[2]).all()
    assert "has no channel 4" in read(path, channel=4)[0].error


def test_channel_axis_of_ome(tmp_path):
    path = tmp_path / "a.ome.tif"
    array = RNG.integers(0, 65536, (3, 2, 20, 30), dtype=np.uint16)
    tifffile.imwrite(path, array, ome=True, metadata={"axes": "TCYX"})
    assert [plane.image for plane in read(path)] == [None]
    found = read(path, channel=1)
    assert [plane.plane for plane in found] == ["t1", "t2", "t3"]
    for plane, expected in zip(found, array[:, 1], strict=True):
        assert (plane.image[:, :, 0] == expected).all()


def test_pages_are_images_and_a_damaged_one_leaves_the_others(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, photometric="minisblack", compression="zlib")
    found = read(path)
    assert [(plane.page, plane.plane) for plane in found] == [(1, "p1"), (2, "p2"), (3, "p3")]
    assert all((p.image[:, :, 0] == e).all() for p, e in zip(found, STACK, strict=True))
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[1].dataoffsets[0]
    data = bytearray(path.read_bytes())
    data[offset : offset + 40] = bytes(40)
    path.write_bytes(bytes(data))
    errors = [plane.error for plane in read(path)]
    assert errors[0] == errors[2] == "" and "cannot be decoded" in errors[1]


def test_ome_tells_size_and_time(tmp_path):
    path = tmp_path / "a.ome.tif"
    facts = {"axes": "TYX", "PhysicalSizeX": 250.0, "PhysicalSizeXUnit": "nm"}
    facts |= {"PhysicalSizeY": 0.5, "TimeIncrement": 30, "TimeIncrementUnit": "min"}
    tifffile.imwrite(path, STACK, ome=True, metadata=facts)
    found = read(path)
    assert [plane.time for plane in found] == [0, 0.5, 1] and found[0].time_unit == "h"
    assert found[0].pixel_um == pytest.approx((0.5, 0.25))


def test_imagej_tells_size_and_time(tmp_path):
    path = tmp_path / "a.tif"
    facts = {"axes": "TYX", "unit": "um", "finterval": 7200.0}
    tifffile.imwrite(path, STACK, imagej=True, metadata=facts, resolution=(4, 2))
    found = read(path)
    assert [plane.time for plane in found] == pytest.approx([0, 2, 4])
    assert found[0].pixel_um == pytest.approx((0.5, 0.25))
    assert (found[2].image[:, :, 0] == STACK[2]).all()


@pytest.mark.parametrize(("per_cm", "known"), [(20_000, True), (1e4 / COARSEST_UM / 4, False)])
def test_resolution_for_paper_is_no_size_of_a_pixel(tmp_path, per_cm, known):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, resolution=(per_cm, per_cm), resolutionunit="CENTIMETER")
    size = read(path)[0].pixel_um
    assert (size == pytest.approx((0.5, 0.5))) if known else size is None


def test_negative_values_are_scaled_with_a_note(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.array([[-3, 200]], np.int16))
    (plane,) = read(tmp_path / "a.tif")
    assert plane.image.ravel().tolist() == [0, 65535]
    assert "values were scaled to 0 to 65535 (from -3 to 200)" in plane.note


def test_real_numbers_are_scaled_with_a_note(tmp_path):
    image = np.array([[0.25, 0.5, np.inf, 0.75]], np.float32)
    tifffile.imwrite(tmp_path / "a.tif", image)
    for whole in (10**6, 1):
        for plane in read_planes(tmp_path / "a.tif", whole=whole):
            pixels = plane.image if plane.rows is None else plane.rows.rows(0, 1)
            assert pixels.ravel().tolist() == [0, 32768, 0, 65535]
            assert "scaled to 0 to 65535 (from 0.25 to 0.75)" in plane.note
