"""Each kind of file of docs/reference/formats.md is written on the spot and read again."""

import re
from itertools import islice
from pathlib import Path

import microscope_files
import numpy as np
import pytest
import tifffile

from coverslip.data.image_suffixes import SUFFIXES
from coverslip.data.readers import read_planes

DOCS = Path(__file__).parents[3] / "docs/reference/formats.md"


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("kind", microscope_files.KINDS)
def test_pixels_sizes_and_channels(tmp_path, kind, large):
    path, expected = microscope_files.write(kind, tmp_path)
    seen = []
    for plane in read_planes(path, **expected.options, whole=1 if large else 10**6):
        assert plane.error == ""
        pixels = plane.rows.rows(0, plane.rows.shape[0]) if large else plane.image
        seen.append((plane, pixels))
        for name, channel in plane.channels.items():
            found = channel.rows(0, channel.shape[0])[:, :, 0] if large else channel
            assert found.shape == pixels.shape[:2] and found.dtype == pixels.dtype
            if name == plane.channel or len(plane.channels) == 1:
                np.testing.assert_array_equal(found, pixels[:, :, 0])
    plane, pixels = seen[0]
    wanted = expected.pixels
    assert pixels.shape == (wanted if wanted.ndim == 3 else wanted[:, :, np.newaxis]).shape
    assert pixels.dtype == wanted.dtype
    away = np.abs(pixels.squeeze().astype(int) - wanted.astype(int)).max()
    assert away <= expected.tolerance
    assert len(seen) == expected.planes
    assert plane.pixel_um == (expected.pixel_um and pytest.approx(expected.pixel_um))
    assert tuple(plane.channels) == tuple(expected.channels)
    assert expected.note in plane.note and bool(plane.note) == bool(
        expected.note or "maximum" in plane.note
    )


def test_the_documents_list_what_is_tested_and_all_endings():
    text = DOCS.read_text(encoding="utf-8")
    listed = re.findall(r"^- (.+) \(`(\.\S+)`\)$", text.split("<!-- kinds")[1], re.MULTILINE)
    assert [":".join(each) for each in listed] == list(microscope_files.KINDS)
    assert all(f"`{suffix}`" in text for suffix in SUFFIXES)


@pytest.mark.parametrize("kind", ["CZI:.czi", "LIF:.lif", "LSM:.lsm", "STK:.stk", "SCN:.scn"])
def test_damaged_files_give_planes_or_reasons(tmp_path, kind):
    path, expected = microscope_files.write(kind, tmp_path)
    whole = path.read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(12):
        data = np.frombuffer(whole, np.uint8).copy()
        places = rng.integers(0, rng.choice([1000, len(data)]), 5)
        data[places] = rng.choice([0, 1, 127, 128, 255], 5)
        path.write_bytes(data.tobytes()[: rng.choice([len(data), len(data) // 2], p=(0.8, 0.2))])
        for plane in islice(read_planes(path, **expected.options), 100):
            assert plane.error or plane.image is not None
            assert "\n" not in plane.error and len(plane.error) < 500 and not plane.lost


def test_channels_without_end(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2, 2, 1001), np.uint8), planarconfig="contig")
    (plane,) = read_planes(tmp_path / "a.tif")
    assert "1,001 channels, more than 1,000" in plane.error
