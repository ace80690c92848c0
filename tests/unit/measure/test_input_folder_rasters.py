"""Large images are read row by row, from TIFF and Zarr of all kinds."""

import json

import numpy as np
import pytest
import tifffile
import zarr

from coverslip.data.readers import raster, read_planes
from coverslip.errors import CoverslipError
from coverslip.measure.input_folder import check, digests, image_of, list_images

RNG = np.random.default_rng(1)
GREY = RNG.integers(0, 256, (150, 90), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (150, 90, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (150, 90), dtype=np.uint16)
LARGE = 100
"""All images here have more pixels."""


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(raster, "BLOCK", 20)


def opened(path, channel=None):
    return list(read_planes(path, channel, LARGE))


def read(path, channel=None):
    """Each plane with its pixels, read 13 rows at a time while the file is open."""
    found = []
    for plane in read_planes(path, channel, LARGE):
        assert plane.error == "" and plane.image is None, plane.error
        height = plane.rows.shape[0]
        parts = [plane.rows.rows(a, min(a + 13, height)) for a in range(0, height, 13)]
        pixels = np.concatenate(parts)
        assert pixels.shape == plane.rows.shape and pixels.dtype == plane.rows.dtype
        found.append((plane, pixels))
    return found


FORMS = [
    {},
    {"rowsperstrip": 7},
    {"rowsperstrip": 7, "compression": "zlib"},
    {"tile": (32, 16)},
    {"tile": (32, 16), "compression": "lzw", "predictor": True},
    {"tile": (32, 16), "compression": "zstd"},
    {"compression": "packbits"},
    {"byteorder": ">"},
    {"byteorder": ">", "tile": (16, 16), "compression": "zlib"},
    {"bigtiff": True},
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("image", [GREY, COLOUR, DEEP], ids=["grey", "colour", "deep"])
def test_pixels_are_those_of_the_file(tmp_path, form, image):
    form = dict(form)
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(
        path, byteorder=form.pop("byteorder", None), bigtiff=form.pop("bigtiff", False)
    ) as file:
        file.write(image, photometric="rgb" if image.ndim == 3 else "minisblack", **form)
    ((plane, pixels),) = read(path)
    assert (pixels == image.reshape(150, 90, -1)).all() and plane.page == 1


def test_samples_apart_inverted_and_one_bit(tmp_path):
    path = tmp_path / "a.tif"
    apart = np.moveaxis(COLOUR, -1, 0)
    tifffile.imwrite(path, apart, photometric="rgb", planarconfig="separate")
    assert (read(path)[0][1] == COLOUR).all()
    assert (read(path, channel=1)[0][1][..., 0] == COLOUR[..., 1]).all()
    tifffile.imwrite(path, GREY, photometric="miniswhite")
    assert (read(path)[0][1][..., 0] == 255 - GREY).all()
    tifffile.imwrite(path, GREY > 99, photometric="minisblack")
    assert (read(path)[0][1][..., 0] == (GREY > 99) * 255).all()


def test_jpeg_tiles_are_rgb(tmp_path):
    path = tmp_path / "a.tif"
    smooth = np.broadcast_to(np.arange(90, dtype=np.uint8), (150, 90))
    image = np.stack([smooth, 255 - smooth, smooth // 2], axis=-1)
    tifffile.imwrite(path, image, photometric="rgb", compression="jpeg", tile=(64, 64))
    pixels = read(path)[0][1]
    assert np.abs(pixels.astype(int) - image).mean() < 4


def test_transparency_is_left_out_and_channels_need_a_choice(tmp_path):
    path = tmp_path / "a.tif"
    rgba = np.dstack([COLOUR, GREY])
    tifffile.imwrite(path, rgba, photometric="rgb", extrasamples=["unassalpha"])
    ((plane, pixels),) = read(path)
    assert (pixels == COLOUR).all() and "transparency" in plane.note
    four = RNG.integers(0, 65536, (150, 90, 4), dtype=np.uint16)
    tifffile.imwrite(path, four, photometric="minisblack", planarconfig="contig")
    assert "holds 4 channels" in opened(path)[0].error
    assert "has no channel 4" in opened(path, 4)[0].error
    assert (read(path, 2)[0][1][..., 0] == four[..., 2]).all()


def test_a_pyramid_is_read_at_its_largest(tmp_path):
    path = tmp_path / "a.ome.tif"
    facts = {"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        options = {"photometric": "rgb", "tile": (32, 32), "compression": "zlib"}
        file.write(COLOUR, subifds=1, metadata=facts, **options)
        file.write(COLOUR[::2, ::2], subfiletype=1, **options)
    ((plane, pixels),) = read(path)
    assert (pixels == COLOUR).all() and plane.pixel_um == (0.25, 0.5)


def test_pages_channels_and_times(tmp_path):
    path = tmp_path / "a.ome.tif"
    stack = RNG.integers(0, 65536, (3, 2, 60, 30), dtype=np.uint16)
    tifffile.imwrite(path, stack, ome=True, metadata={"axes": "TCYX"}, tile=(16, 16))
    found = read(path, channel=1)
    assert [plane.plane for plane, _ in found] == ["t1", "t2", "t3"]
    assert all((p[..., 0] == e).all() for (_, p), e in zip(found, stack[:, 1], strict=True))
    path = tmp_path / "j.tif"
    tifffile.imwrite(path, stack[:, 0], imagej=True, metadata={"axes": "TYX"})
    assert all((p[..., 0] == e).all() for (_, p), e in zip(read(path), stack[:, 0], strict=True))


def test_a_png_is_decoded_whole(tmp_path):
    from PIL import Image

    Image.fromarray(GREY).save(tmp_path / "a.png")
    assert (read(tmp_path / "a.png")[0][1][..., 0] == GREY).all()


def test_damage_and_other_numbers_say_so_when_read(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, compression="zlib", rowsperstrip=50)
    with tifffile.TiffFile(path) as tiff:
        offset = tiff.pages[0].dataoffsets[1]
    data = bytearray(path.read_bytes())
    data[offset : offset + 60] = bytes(60)
    path.write_bytes(bytes(data))
    for plane in read_planes(path, None, LARGE):
        assert plane.rows.rows(0, 20).shape == (20, 90, 1)
        with pytest.raises(CoverslipError, match="cannot be decoded"):
            plane.rows.rows(40, 80)
    tifffile.imwrite(path, GREY)
    path.write_bytes(path.read_bytes()[:-3000])
    assert "the file ends before" in opened(path)[0].error


def ome_zarr(path, array, axes, version, units, scale):
    """An OME-Zarr with a second, smaller level."""
    kept = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    chunks = (*([1] * (array.ndim - 2)), 32, 16)
    kept.create_array("0", data=array, chunks=chunks)
    kept.create_array("1", data=array[..., ::2, ::2], chunks=chunks)
    named = [{"name": axis} | ({"unit": units[axis]} if axis in units else {}) for axis in axes]
    levels = [
        {"path": name, "coordinateTransformations": [{"type": "scale", "scale": values}]}
        for name, values in (("0", scale), ("1", [2 * value for value in scale]))
    ]
    facts = {"multiscales": [{"version": version, "axes": named, "datasets": levels}]}
    kept.attrs.update(facts if version == "0.4" else {"ome": facts})


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("large", [True, False])
def test_ome_zarr_tells_axes_size_and_time(tmp_path, version, large):
    path = tmp_path / "a.ome.zarr"
    stack = RNG.integers(0, 65536, (2, 3, 1, 60, 50), dtype=np.uint16)
    units = {"t": "minute", "y": "nanometer", "x": "micrometer"}
    ome_zarr(path, stack, "tczyx", version, units, [30, 1, 2, 250, 0.5])
    assert "holds 3 channels" in opened(path)[0].error
    found = list(read_planes(path, 1, LARGE if large else 10**6))
    assert [(plane.page, plane.plane, plane.time) for plane in found] == [
        (1, "t1", 0),
        (2, "t2", 0.5),
    ]
    for plane, expected in zip(found, stack[:, 1, 0], strict=True):
        pixels = plane.rows.rows(0, 60) if large else plane.image
        assert (pixels[..., 0] == expected).all() and plane.time_unit == "h"
        assert plane.pixel_um == pytest.approx((0.25, 0.5))


def test_plain_arrays_and_images_within_groups(tmp_path):
    zarr.create_array(str(tmp_path / "a.zarr"), data=GREY, chunks=(40, 40))
    assert (read(tmp_path / "a.zarr")[0][1][..., 0] == GREY).all()
    rgba = np.dstack([COLOUR, GREY])
    zarr.create_array(str(tmp_path / "b.zarr"), data=rgba, chunks=(40, 40, 4), shards=(80, 80, 4))
    assert (read(tmp_path / "b.zarr")[0][1] == COLOUR).all()
    zarr.open_group(tmp_path / "c.zarr", mode="w")
    for name in ("10", "9"):
        ome_zarr(tmp_path / "c.zarr" / name, GREY, "yx", "0.5", {}, [1, 1])
    assert [plane.plane for plane in opened(tmp_path / "c.zarr")] == ["s1", "s2"]
    assert opened(tmp_path / "c.zarr")[0].pixel_um is None


def test_folders_that_are_no_images_say_so(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr/zarr.json").write_text("{}")
    assert opened(tmp_path / "a.zarr")[0].error
    zarr.open_group(tmp_path / "b.zarr", mode="w")
    assert "no image is in it" in opened(tmp_path / "b.zarr")[0].error
    ome_zarr(tmp_path / "c.zarr", GREY, "yxz", "0.5", {}, [1, 1, 1])
    assert "its axes" in opened(tmp_path / "c.zarr")[0].error
    zarr.create_array(str(tmp_path / "d.zarr"), data=GREY.astype(np.complex64))
    assert "complex64" in list(read_planes(tmp_path / "d.zarr"))[0].error


def test_a_zarr_is_one_image_of_its_folder(tmp_path):
    from coverslip.pipeline import folder_inventory

    with pytest.raises(CoverslipError, match="the folder is empty"):
        check(tmp_path)
    ome_zarr(tmp_path / "sub/a.zarr", GREY, "yx", "0.4", {}, [1, 1])
    (tmp_path / "notes.txt").write_text("x")
    check(tmp_path)
    assert image_of("sub/a.zarr/0/0/1") == "sub/a.zarr" and image_of("a.zarr.txt") is None
    assert image_of("x/B.TIF") == "x/B.TIF"

    def contents():
        return folder_inventory.contents(tmp_path, tmp_path.parent / "notes.json")

    before = contents()
    assert list(list_images(before)) == ["sub/a.zarr"]
    facts = tmp_path / "sub/a.zarr/.zattrs"
    told = json.loads(facts.read_text())
    told["multiscales"][0]["axes"][0]["unit"] = "micrometer"
    facts.write_text(json.dumps(told))
    assert list_images(contents()) != list_images(before)
    assert digests(contents(), 1) != digests(before, 1)
