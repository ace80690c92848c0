"""The synthetic images: reproducible, with a sound truth, and not trivially easy."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.filters import threshold_otsu

from coverslip.data.simulate.nuclei import draw_image, draw_plate, illumination, nuclei


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, list[np.ndarray]]]:
    """Images and lists of masks by id."""
    images, masks = {}, {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            name, kind, _ = member.split("/")
            pixels = np.frombuffer(archive.read(member), np.uint8)
            array = cv2.imdecode(pixels, cv2.IMREAD_UNCHANGED)
            if kind == "images":
                images[name] = array
            else:
                masks.setdefault(name, []).append(array)
    return images, masks


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("synthetic") / "deep" / "nuclei.zip"
    nuclei(path, images=24, size=128, seed=3)
    return path


def test_same_arguments_give_the_same_bytes(archive: Path, tmp_path: Path) -> None:
    nuclei(tmp_path / "again.zip", images=24, size=128, seed=3)
    assert (tmp_path / "again.zip").read_bytes() == archive.read_bytes()
    nuclei(tmp_path / "other.zip", images=24, size=128, seed=4)
    assert (tmp_path / "other.zip").read_bytes() != archive.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.zip", "other.zip"]


def test_layout(archive: Path) -> None:
    images, masks = read(archive)
    assert len(images) == 24
    assert set(images) == set(masks)
    assert {name[:7] for name in images} == {f"plate{n:02d}" for n in range(1, 7)}
    assert images["plate01_001"].shape == (128, 128)
    assert images["plate01_001"].dtype == np.uint8
    with zipfile.ZipFile(archive) as content:
        assert "plate01_001/images/plate01_001.png" in content.namelist()
        assert "plate01_001/masks/001.png" in content.namelist()


def test_truth_is_sound(archive: Path) -> None:
    images, masks = read(archive)
    touching = 0
    for name, image in images.items():
        stack = np.array(masks[name]) > 0
        assert set(np.unique(masks[name])) == {0, 255}
        assert stack.sum(axis=(1, 2)).min() >= 24, "tiny nucleus"
        assert stack.sum(axis=0).max() == 1, "nuclei overlap"
        union = stack.any(axis=0)
        assert 0.01 < union.mean() < 0.6
        assert image[union].mean() > image[~union].mean() + 5, "nuclei must be brighter"
        touching += len(stack) - (cv2.connectedComponents(union.astype(np.uint8))[0] - 1)
    assert touching > 5, "some nuclei must touch"


def test_a_threshold_finds_nuclei_but_merges_those_that_touch(archive: Path) -> None:
    images, masks = read(archive)
    scores, found, true = [], 0, 0
    for name, image in images.items():
        truth = np.any(masks[name], axis=0)
        guess = image > threshold_otsu(image)
        scores.append((truth & guess).sum() / (truth | guess).sum())
        areas = cv2.connectedComponentsWithStats(guess.astype(np.uint8))[2][1:, cv2.CC_STAT_AREA]
        found += np.count_nonzero(areas >= 24)
        true += len(masks[name])
    assert 0.7 < np.mean(scores) < 0.95
    assert found < 0.9 * true


def test_plates_differ_more_than_their_images(archive: Path) -> None:
    images, _ = read(archive)
    levels: dict[str, list[float]] = {}
    for name, image in images.items():
        levels.setdefault(name[:7], []).append(float(np.percentile(image, 5)))
    within = np.mean([np.std(values) for values in levels.values()])
    between = np.std([np.mean(values) for values in levels.values()])
    assert between > 1.5 * within


@pytest.mark.parametrize("images", [4, 5, 40])
def test_any_number_of_images(tmp_path: Path, images: int) -> None:
    nuclei(tmp_path / "nuclei.zip", images=images, size=32, seed=1)
    contents, masks = read(tmp_path / "nuclei.zip")
    assert len(contents) == images
    assert len({name[:7] for name in contents}) == max(4, images // 4)
    assert set(masks) == set(contents), "every image holds a nucleus"


def test_light_is_uneven() -> None:
    darkest = [illumination(128, np.random.default_rng(seed)).min() for seed in range(20)]
    assert all(illumination(128, np.random.default_rng(seed)).max() == 1 for seed in range(5))
    assert 0.2 <= min(darkest) < 0.5 and max(darkest) < 0.9


def test_images_of_a_plate_share_their_light() -> None:
    for number in range(4):
        drawn = draw_plate(128, np.random.default_rng([3, number]))
        plate = replace(drawn, background=1.0, density=0.02, haze=0.0, offset=0.0, gain=0.02)
        images = [draw_image(128, plate, np.random.default_rng(at))[0] for at in range(30)]
        seen = cv2.GaussianBlur(np.median(images, axis=0).astype(np.float32), (0, 0), 6)
        assert np.corrcoef(seen.ravel(), plate.light.ravel())[0, 1] > 0.5
