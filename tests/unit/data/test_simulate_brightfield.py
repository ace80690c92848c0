"""Synthetic bright-field images: reproducible, with a sound truth, under uneven light."""

import zipfile

import cv2
import numpy as np
import pytest

from coverslip.config.sections import Dataset, Source
from coverslip.data import simulate
from coverslip.data.archive import open_archive
from coverslip.data.formats import read_samples
from coverslip.data.simulate.brightfield import DARKEST, brightfield, light_field


def read(path):
    """Images and what their cells cover, by id."""
    found = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            kind, name = member.removesuffix(".png").split("/")
            pixels = np.frombuffer(archive.read(member), np.uint8)
            array = cv2.imdecode(pixels, cv2.IMREAD_UNCHANGED)
            found.setdefault(name, {})[kind] = array
    return found


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("synthetic") / "deep" / "brightfield.zip"
    simulate.make("brightfield", path, 24, 128, 3)
    return path


def test_same_arguments_give_the_same_bytes(archive, tmp_path):
    brightfield(tmp_path / "again.zip", images=24, size=128, seed=3)
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()
    brightfield(tmp_path / "other.zip", images=24, size=128, seed=4)
    assert (tmp_path / "other.zip").read_bytes() != archive.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.zip", "other.zip"]


def test_layout_is_paired(archive):
    dataset = Dataset(title="t", source=Source(kind="path"), format="paired")
    with open_archive(archive) as opened:
        found = read_samples("paired", opened, dataset)
    assert len(found) == 24
    assert {record.id[:6] for record in found} == {f"dish{n:02d}" for n in range(1, 13)}
    assert found[0].image == "inputs/dish01_001.png"
    assert found[0].masks == ("masks/dish01_001.png",) and found[0].whole


def test_truth_is_sound(archive):
    shares = []
    for parts in read(archive).values():
        image, mask = parts["inputs"], parts["masks"]
        assert image.shape == mask.shape == (128, 128) and image.dtype == np.uint8
        assert set(np.unique(mask)) == {0, 255}
        shares.append((mask > 0).mean())
        detail = image.astype(float) - cv2.GaussianBlur(image.astype(float), (0, 0), 6)
        inside, outside = (cv2.erode(part, np.ones((9, 9))) > 0 for part in (mask, 255 - mask))
        if inside.any() and outside.any():
            assert detail[inside].std() > 1.2 * detail[outside].std(), "cells must be rough"
            assert abs(image[inside].mean() / image[outside].mean() - 1) < 0.3
    # All bands of confluency are there.
    assert np.histogram(shares, [0, 0.25, 0.5, 0.75, 1.01])[0].min() >= 3


def test_light_is_uneven_and_shared_by_a_dish():
    for seed in range(6):
        light = light_field(96, np.random.default_rng(seed))
        assert light.shape == (96, 96) and light.max() == 1
        assert DARKEST <= light.min() < 0.85


def test_dishes_differ_more_than_their_images(archive):
    levels = {}
    for name, parts in read(archive).items():
        levels.setdefault(name[:6], []).append(float(np.median(parts["inputs"])))
    within = np.mean([np.std(values) for values in levels.values()])
    assert np.std([np.mean(values) for values in levels.values()]) > 1.5 * within


@pytest.mark.parametrize("images", [4, 5, 40])
def test_any_number_of_images(tmp_path, images):
    brightfield(tmp_path / "x.zip", images=images, size=32, seed=1)
    found = read(tmp_path / "x.zip")
    assert len(found) == images
    assert len({name[:6] for name in found}) == max(4, images // 2)
    assert all(set(parts) == {"inputs", "masks"} for parts in found.values())


def test_every_recipe_can_be_made_and_asked_for(tmp_path):
    assert set(simulate.MODULES) <= set(Source.model_fields["simulator"].annotation.__args__)
    for recipe in simulate.MODULES:
        simulate.make(recipe, tmp_path / f"{recipe}.zip", images=4, size=32, seed=1)
        with zipfile.ZipFile(tmp_path / f"{recipe}.zip") as archive:
            assert len(archive.namelist()) >= 4
