"""Models applied to arrays, without Snakemake."""

import json

import cv2
import numpy as np
import pytest
from bright_model import INFO, allow_bright_models

from coverslip import load_model
from coverslip.data.simulate import brightfield
from coverslip.errors import CoverslipError
from coverslip.measure import blocks


@pytest.fixture
def bright(tmp_path, monkeypatch):
    """A model that takes bright pixels for foreground."""
    allow_bright_models(monkeypatch)
    (tmp_path / "model.json").write_text(json.dumps(INFO))
    return load_model(tmp_path)


def discs():
    image = np.full((90, 110), 20, np.uint8)
    for at in ((20, 20), (60, 50), (100, 80)):
        cv2.circle(image, at, 8, 220, -1)
    image[50, 2] = 255
    return image


def test_objects_are_numbered_and_measured(bright):
    image = discs()
    labels = bright.segment(image, min_area_px=5)
    assert labels.dtype == np.int32 and labels.shape == image.shape
    assert np.unique(labels).tolist() == [0, 1, 2, 3] and bright.segment(image).max() == 4
    assert ((labels > 0) == (image == 220)).all()
    table = bright.measure(image, labels, pixel_size_um=0.5)
    assert table["area_px"].tolist() == np.bincount(labels.ravel())[1:].tolist()
    assert (table["area_um2"] == table["area_px"] / 4).all() and len(bright.measure(image)) == 4
    probability = bright.predict(image)
    assert probability.shape == (90, 110, 1) and np.allclose(probability[..., 0], image / 255)


@pytest.mark.parametrize(
    "image", [discs() > 100, np.dstack([discs()] * 4), discs() * np.uint16(257)]
)
def test_types_and_channels_of_images(bright, image):
    assert bright.segment(image).max() == 4


def test_a_large_image_is_segmented_in_blocks(bright, monkeypatch):
    expected = bright.segment(discs())
    monkeypatch.setattr(blocks, "BLOCK", 40)
    monkeypatch.setattr(blocks, "HALO", 20)
    found = bright.segment(discs())
    assert ((found > 0) == (expected > 0)).all() and found.max() == expected.max()


@pytest.mark.parametrize("image", [discs() / 255.0, np.zeros((3, 4, 5, 6), np.uint8), np.zeros(9)])
def test_other_arrays_are_rejected(bright, image):
    with pytest.raises(CoverslipError, match="store it as"):
        bright.segment(image)
    with pytest.raises(CoverslipError, match="use `segment`"):
        bright.classify(image)


def test_the_shipped_model_has_a_short_name():
    shipped = load_model("nuclei")
    assert shipped.folder == load_model().folder and shipped.info["head"] == "instance"
    assert shipped.segment(np.zeros((40, 50), np.uint8)).max() == 0


def test_the_shipped_confluency_model_needs_no_training():
    shipped = load_model("confluency")
    errors = []
    for seed in range(100, 104):
        rng = np.random.default_rng(seed)
        dish = brightfield.draw_dish(256, rng)
        image, cells = brightfield.draw_image(256, dish, rng.uniform(0.1, 0.8), rng)
        errors.append((shipped.segment(image) > 0).mean() - cells.mean())
    assert np.abs(errors).mean() < 0.1
    assert (shipped.segment(np.full((64, 64), 120, np.uint8)) > 0).mean() == 0
