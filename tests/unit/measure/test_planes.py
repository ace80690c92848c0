"""Planes as the section `measure` asks for them: flat-field correction."""

import numpy as np
import pytest
import tifffile

from coverslip.config.sections import Measure
from coverslip.measure.planes import measured_planes


@pytest.fixture
def path(tmp_path):
    """Two channels with square cells on a background whose light falls to one side."""
    rng = np.random.default_rng(1)
    light = np.broadcast_to(np.linspace(1.5, 0.5, 200), (180, 200))
    image = np.full((180, 200), 1000.0)
    for y, x in rng.integers(0, 170, (12, 2)):
        image[y : y + 8, x : x + 8] = 3000
    stack = np.stack([image * light, image * light[:, ::-1]]).astype(np.uint16)
    path = tmp_path / "a.ome.tif"
    metadata = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP"]}}
    tifffile.imwrite(path, stack, photometric="minisblack", tile=(64, 64), metadata=metadata)
    return path


def test_uneven_light_is_divided_out_of_all_channels(path):
    (raw,) = measured_planes(path, Measure(channel="DAPI"))
    (even,) = measured_planes(path, Measure(channel="DAPI", flatfield=True))
    assert even.image.dtype == np.uint16 and even.image.shape == raw.image.shape
    assert (even.image[:, :, 0] == even.channels["DAPI"]).all()
    for name, pixels in even.channels.items():
        ground = pixels < 1700
        assert np.ptp(np.median(raw.channels[name], axis=0)) > 800
        assert np.std(pixels[ground]) < 0.05 * np.mean(pixels[ground])
        assert np.median(pixels) == pytest.approx(np.median(raw.channels[name]), rel=0.1)


def test_large_images_are_corrected_as_small_ones(path):
    settings = Measure(channel="GFP", flatfield=True)
    (small,) = measured_planes(path, settings)
    by_rows = Measure(channel="GFP", flatfield=True, max_in_memory_megapixels=0.01)
    for plane in measured_planes(path, by_rows):
        assert plane.image is None
        assert (plane.rows.rows(0, 180) == small.image).all()
        assert (plane.rows.rows(50, 60) == small.image[50:60]).all()
        assert (plane.channels["DAPI"].rows(0, 180)[:, :, 0] == small.channels["DAPI"]).all()


def test_what_cannot_be_read_has_its_reason(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"text")
    (plane,) = measured_planes(tmp_path / "a.tif", Measure(flatfield=True))
    assert plane.image is None and plane.error
