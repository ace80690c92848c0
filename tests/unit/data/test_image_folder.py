"""Images and label images of a store as TIFF files."""

import numpy as np
import pytest
import tifffile

from coverslip.data.image_folder import write_image_folder
from coverslip.data.image_store import ImageStoreWriter
from coverslip.data.readers import read_planes
from coverslip.errors import CoverslipError


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "images.h5"
    rng = np.random.default_rng(1)
    with ImageStoreWriter(path) as writer:
        writer.image("grey", rng.integers(0, 2**16, (5, 7), dtype=np.uint16))
        writer.image("rgb", rng.integers(0, 2**8, (5, 7, 3), dtype=np.uint8))
        for id in ("grey", "rgb"):
            writer.label(id, np.arange(35).reshape(5, 7) * (3000 if id == "rgb" else 1))
    return path


def test_pixels_and_types_are_those_of_the_store(tmp_path, store):
    from coverslip.data.image_store import ImageStore

    (tmp_path / "images").mkdir()
    (tmp_path / "images/old.tif").touch()
    folders = tmp_path / "images", tmp_path / "labels"
    assert write_image_folder(store, ["grey", "rgb"], *folders) == 2
    assert sorted(path.name for path in folders[0].iterdir()) == ["grey.tif", "rgb.tif"]
    with ImageStore(store) as opened:
        for id, shape in (("grey", (5, 7)), ("rgb", (5, 7, 3))):
            image = tifffile.imread(folders[0] / f"{id}.tif")
            assert image.shape == shape
            assert np.array_equal(image.reshape(opened.image(id).shape), opened.image(id))
            assert np.array_equal(tifffile.imread(folders[1] / f"{id}.tif"), opened.label(id))
    assert tifffile.imread(folders[1] / "grey.tif").dtype == np.uint16
    assert tifffile.imread(folders[1] / "rgb.tif").dtype == np.uint32


def test_images_have_their_pixel_size(tmp_path, store):
    write_image_folder(store, ["grey"], tmp_path / "images", pixel_size_um=0.65)
    (plane,) = read_planes(tmp_path / "images/grey.tif")
    assert plane.pixel_um == pytest.approx((0.65, 0.65))


def test_an_image_that_is_not_there(tmp_path, store):
    with pytest.raises(CoverslipError, match="missing"):
        write_image_folder(store, ["missing"], tmp_path / "images")
