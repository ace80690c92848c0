"""The synthetic images with classes: reproducible, in their layouts, and not told by light."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from coverslip.config.sections import Dataset, Source
from coverslip.data import decode, simulate
from coverslip.data.archive import open_archive
from coverslip.data.duplicates import components
from coverslip.data.formats import Sample, read_samples
from coverslip.data.overlap import links
from coverslip.data.simulate import histology_patches, phase_contrast

RECIPES = {"livecell": "phase_contrast", "labelled_csv": "histology_patches"}


def listed(path: Path, layout: str) -> tuple[list[Sample], list[np.ndarray]]:
    dataset = Dataset(title="t", source=Source(kind="path"), format=layout)
    with open_archive(path) as archive:
        found = read_samples(layout, archive, dataset)
        images = [decode.image(archive.read(record.image), "")[0] for record in found]
    return found, images


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lines") / "deep" / "lines.zip"
    phase_contrast.phase_contrast(path, images=108, size=64, seed=3)
    return path


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("patches") / "patches.zip"
    histology_patches.histology_patches(path, images=200, size=48, seed=3)
    return path


@pytest.mark.parametrize("layout", RECIPES)
def test_same_arguments_give_the_same_bytes(layout: str, tmp_path: Path) -> None:
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        simulate.make(RECIPES[layout], tmp_path / f"{name}.zip", images=20, size=32, seed=seed)
    one, two, other = ((tmp_path / f"{n}.zip").read_bytes() for n in ("one", "two", "other"))
    assert one == two
    assert one != other
    assert len(list(tmp_path.iterdir())) == 3


def test_lines_in_the_layout_of_livecell(lines: Path) -> None:
    found, images = listed(lines, "livecell")
    assert Counter(record.label for record in found) == dict.fromkeys(phase_contrast.LINES, 12)
    assert {image.shape for image in images} == {(64, 64, 1)}
    wells = {record.label: set() for record in found}
    for record in found:
        wells[record.label].add(record.group)
    assert {len(groups) for groups in wells.values()} == {4}
    test = {record.group for record in found if "/livecell_test_images/" in record.image}
    train = {record.group for record in found if "/livecell_train_val_images/" in record.image}
    assert len(test) == 9
    assert not test & train


@pytest.mark.parametrize("images", [4, 10, 30])
def test_any_number_of_lines(tmp_path: Path, images: int) -> None:
    phase_contrast.phase_contrast(tmp_path / "lines.zip", images, size=32, seed=1)
    assert len(listed(tmp_path / "lines.zip", "livecell")[0]) == images


def test_texture_separates_lines_better_than_brightness(lines: Path) -> None:
    found, images = listed(lines, "livecell")
    labels = np.array([record.label for record in found])
    wells = np.array([record.group for record in found])

    def right(features: np.ndarray) -> float:
        """Share of images whose nearest neighbour in another well is of their line."""
        features = (features - features.mean(axis=0)) / features.std(axis=0)
        away = np.linalg.norm(features[:, None] - features[None], axis=2)
        away[wells[:, None] == wells[None]] = np.inf
        return float((labels[away.argmin(axis=1)] == labels).mean())

    grey = [image[..., 0].astype(np.float32) for image in images]
    mean = np.array([[g.mean()] for g in grey])
    blurred = [[cv2.GaussianBlur(g, (0, 0), s) for s in (1, 2, 4, 8)] for g in grey]
    texture = np.array(
        [[np.log((a - b).std() + 0.1) for a, b in zip([g, *s], s, strict=False)]
         for g, s in zip(grey, blurred, strict=True)]
    )  # fmt: skip
    assert right(mean) < 0.35
    assert right(texture) > right(mean) + 0.2


def test_patches_in_the_layout_with_a_csv(patches: Path) -> None:
    found, images = listed(patches, "labelled_csv")
    assert {image.shape for image in images} == {(48, 48, 3)}
    counts = Counter(record.label for record in found)
    assert counts[None] == 33
    assert set(counts) == {None, "0", "1", "2", "3"}
    assert sum(counts.values()) == 200
    assert min(counts.values()) >= 15
    assert counts["3"] > counts["2"], "some classes are rare"
    with zipfile.ZipFile(patches) as archive:
        train, example = (
            pd.read_csv(io.BytesIO(archive.read(name)), dtype=str)
            for name in ("train.csv", "example.csv")
        )
        names = archive.namelist()
    assert train["Label"].is_monotonic_increasing
    assert [f"test/{name}" for name in example["Filename"]] == names[len(train) : -2]
    assert example["Filename"].iloc[0] == "10001.png"


def test_patches_of_a_slide_share_area_and_slides_do_not(patches: Path) -> None:
    found, images = listed(patches, "labelled_csv")
    sizes = np.array([image.shape[:2] for image in images])
    group = components(len(images), links(images.__getitem__, sizes))
    largest = np.sort(np.bincount(group))[::-1]
    assert largest[:8].sum() > 150, "eight slides"
    assert largest[0] <= 60
    both = [
        set(group[[r.label is None for r in found]]),
        set(group[[bool(r.label) for r in found]]),
    ]
    assert both[0] & both[1], "patches without label come from the same slides"


def test_stains_differ_between_slides() -> None:
    slides = [histology_patches.draw_slide(32, np.random.default_rng(s)) for s in range(4)]
    tints = np.array([np.median(slide.image.reshape(-1, 3), axis=0) for slide in slides])
    assert np.ptp(tints, axis=0).max() > 5
    for slide in slides:
        assert (slide.image.reshape(-1, 3).mean(axis=0) > 90).all()
        assert len(slide.centres) == len(slide.labels) > 20
