"""Modality and acquisition groups, on made images and on the real Bowl."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from coverslip.data import acquisition_groups, duplicates


def cells(seed: int, background: float, light: float, radius: int, size: int = 96) -> np.ndarray:
    """HxWx1 uint8: discs of about `radius` on an even background."""
    rng = np.random.default_rng(seed)
    image = np.full((size, size), background, np.float32)
    for _ in range(max(4, size * size // (radius * radius * 22))):
        y, x = (int(v) for v in rng.integers(0, size, 2))
        cv2.circle(image, (x, y), radius, background + light * rng.uniform(0.7, 1.2), -1)
    image = cv2.GaussianBlur(image, (0, 0), 1.2)
    image += rng.normal(0, 1.5, image.shape).astype(np.float32)
    return np.clip(image, 0, 255).astype(np.uint8)[..., None]


def stained(seed: int, tint: tuple[int, int, int], size: int = 96) -> np.ndarray:
    """HxWx3 uint8: purple discs on a tinted bright background."""
    rng = np.random.default_rng(seed)
    image = np.empty((size, size, 3), np.float32)
    image[:] = tint
    for _ in range(25):
        y, x = (int(v) for v in rng.integers(0, size, 2))
        cv2.circle(image, (x, y), 6, (90, 50, 150), -1)
    image = cv2.GaussianBlur(image, (0, 0), 1.2) + rng.normal(0, 2, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def groups_of(images: list[np.ndarray], scale: int = 255) -> list[str]:
    traits = [acquisition_groups.image_features(image, scale) for image in images]
    pairs = acquisition_groups.find_pairs(traits, [str(i) for i in range(len(images))], 6)
    return acquisition_groups.acquisition_groups(traits, pairs)


@pytest.mark.parametrize(
    ("image", "modality"),
    [
        (cells(1, 10, 120, 6), "fluorescence"),
        (np.repeat(cells(1, 10, 120, 6), 3, axis=2), "fluorescence"),
        (cells(1, 4, 160, 6) * np.array([0, 0, 1], np.uint8), "fluorescence"),
        (cells(1, 225, -100, 6), "brightfield"),
        (np.repeat(cells(1, 128, -60, 6), 4, axis=2), "brightfield"),
        (stained(1, (180, 165, 210)), "histology"),
        (stained(1, (215, 215, 205)), "histology"),
        (np.dstack([stained(1, (235, 190, 215)), np.full((96, 96), 255, np.uint8)]), "histology"),
        (np.zeros((20, 20, 1), np.uint8), "fluorescence"),
    ],
)
def test_modality(image: np.ndarray, modality: str) -> None:
    assert acquisition_groups.image_features(image, 255).modality == modality


def test_camera_noise_in_three_channels_is_no_colour() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(210, 12, (96, 96, 3))
    image = np.clip(noise, 0, 255).astype(np.uint8)
    assert np.ptp(image.astype(int), axis=2).mean() > acquisition_groups.COLOURED
    assert acquisition_groups.image_features(image, 255).modality == "brightfield"


def test_sixteen_bits_are_judged_by_the_camera_range() -> None:
    assert acquisition_groups.full_scale("uint8", 0) == 255
    assert acquisition_groups.full_scale("uint16", 200) == 255
    assert acquisition_groups.full_scale("uint16", 4000) == 4095
    assert acquisition_groups.full_scale("uint16", 4096) == 8191
    assert acquisition_groups.full_scale("uint16", 65535) == 65535
    dark = cells(1, 10, 120, 6).astype(np.uint16) * 16
    bright = cells(1, 225, -100, 6).astype(np.uint16) * 16
    assert acquisition_groups.image_features(dark, 4095).modality == "fluorescence"
    assert acquisition_groups.image_features(bright, 4095).modality == "brightfield"
    eight = acquisition_groups.image_features(cells(1, 10, 120, 6), 255).fingerprint
    np.testing.assert_allclose(
        acquisition_groups.image_features(dark, 4095).fingerprint, eight, atol=0.1
    )


def test_two_settings_make_two_groups() -> None:
    images = [cells(seed, 6, 90, 5) for seed in range(6)]
    images += [cells(seed, 40, 150, 9) for seed in range(6, 12)]
    names = groups_of(images)
    assert names == ["fluorescence-96x96-01"] * 6 + ["fluorescence-96x96-02"] * 6


def test_background_colour_separates_slides() -> None:
    images = [stained(seed, (180, 165, 210)) for seed in range(5)]
    images += [stained(seed, (215, 215, 205)) for seed in range(5, 10)]
    assert Counter(groups_of(images)) == {"histology-96x96-01": 5, "histology-96x96-02": 5}


def test_fingerprint_measures_what_it_says() -> None:
    names = list(acquisition_groups.FINGERPRINT)
    units = np.array(list(acquisition_groups.FINGERPRINT.values()))

    def of(image: np.ndarray) -> dict[str, float]:
        return dict(
            zip(
                names,
                acquisition_groups.image_features(image, 255).fingerprint * units,
                strict=True,
            )
        )

    slide = of(stained(1, (180, 165, 210)))
    lab = cv2.cvtColor(np.full((1, 1, 3), (180, 165, 210), np.uint8), cv2.COLOR_RGB2LAB)[0, 0]
    assert slide["background_a"] == pytest.approx(float(lab[1]) - 128, abs=2)
    assert slide["background_b"] == pytest.approx(float(lab[2]) - 128, abs=2)
    dark = of(cells(1, 31, 99, 6))
    assert dark["background_a"] == dark["background_b"] == 0
    assert dark["background"] == pytest.approx(np.log2(1 + 31), abs=0.2)
    assert of(cells(1, 31, 198, 6))["contrast"] == pytest.approx(dark["contrast"] + 1, abs=0.2)
    assert of(cells(1, 31, 99, 10))["coarse"] < dark["coarse"] - 0.3, "larger nuclei"


def test_sizes_and_modalities_never_share_a_group() -> None:
    images = [cells(1, 10, 99, 6), cells(2, 10, 99, 6, size=80), cells(3, 220, -99, 6)]
    assert groups_of(images) == [
        "fluorescence-96x96-01",
        "fluorescence-80x80-01",
        "brightfield-96x96-01",
    ]


def test_an_empty_image_joins_those_with_its_settings() -> None:
    images = [cells(seed, 12, 110, 6) for seed in range(6)]
    rng = np.random.default_rng(5)
    empty = np.clip(rng.normal(12, 1.5, (96, 96, 1)), 0, 255).astype(np.uint8)
    assert len(set(groups_of([*images, empty]))) == 1
    lighter = np.clip(rng.normal(60, 1.5, (96, 96, 1)), 0, 255).astype(np.uint8)
    assert len(set(groups_of([*images, lighter]))) == 2


def test_joined_images_share_a_group_however_different() -> None:
    images = [cells(seed, 6, 90, 5) for seed in range(6)]
    images += [cells(seed, 40, 150, 9) for seed in range(6, 12)]
    traits = [acquisition_groups.image_features(image, 255) for image in images]
    names = acquisition_groups.acquisition_groups(traits, [duplicates.Pair(0, 11, "near", 2)])
    assert names[0] == names[11]


def test_many_fields_are_summed_up_first(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    centres = np.array([[0.0] * 7, [30.0] + [0.0] * 6, [0.0] * 6 + [30.0]])
    prints = np.concatenate([centre + rng.normal(0, 0.3, (40, 7)) for centre in centres])
    plain = acquisition_groups.cluster(prints, np.ones(len(prints)))
    assert plain.tolist() == [0] * 40 + [1] * 40 + [2] * 40
    monkeypatch.setattr(acquisition_groups, "MOST_FIELDS", 12)
    assert acquisition_groups.cluster(prints, np.ones(len(prints))).tolist() == plain.tolist()


def test_merge_unites_given_groups() -> None:
    pairs = [duplicates.Pair(0, 3, "near", 2), duplicates.Pair(1, 2, "exact", 0)]
    assert acquisition_groups.merge(["d", "b", "c", "a", "e", "c"], pairs) == [
        "a",
        "b",
        "b",
        "a",
        "e",
        "b",
    ]
    assert acquisition_groups.merge(["d", "b"], []) == ["d", "b"]


def test_exact_copies_are_told_once() -> None:
    image = cells(1, 10, 120, 6)
    traits = [
        acquisition_groups.image_features(image, 255),
        acquisition_groups.image_features(image, 255),
    ]
    found = acquisition_groups.find_pairs(traits, ["x", "x"], 6)
    assert found == [duplicates.Pair(0, 1, "exact", 0.0)]


def test_groups_of_the_real_bowl(real_data: Path) -> None:
    """Tiles, modalities and groups as judged by eye on contact sheets."""
    traits, names = [], []
    with zipfile.ZipFile(real_data / "dsb2018" / "stage1_train.zip") as archive:
        for member in sorted(archive.namelist()):
            if "/images/" in member and member.endswith(".png"):
                pixels = np.frombuffer(archive.read(member), np.uint8)
                image = cv2.imdecode(pixels, cv2.IMREAD_UNCHANGED)
                rgb = cv2.cvtColor(image, cv2.COLOR_BGRA2RGB)
                traits.append(acquisition_groups.image_features(rgb, 255))
                names.append(member.split("/")[0])
    modalities = Counter(each.modality for each in traits)
    assert modalities == {"fluorescence": 541, "histology": 107, "brightfield": 16}
    pairs = acquisition_groups.find_pairs(traits, names, 6)
    kinds = Counter(pair.kind for pair in pairs)
    assert kinds["near"] == 1
    assert 470 <= kinds["abutting"] <= 510
    fields = Counter(duplicates.components(len(traits), pairs).tolist())
    assert Counter(fields.values())[4] >= 75, "most fields are squares of four tiles"
    groups = acquisition_groups.acquisition_groups(traits, pairs)
    sizes = Counter(groups)
    assert 15 <= len(sizes) <= 60
    assert max(sizes.values()) <= 110
    where = dict(zip(range(len(groups)), groups, strict=True))
    assert all(where[pair.a] == where[pair.b] for pair in pairs)
