"""Exact and near duplicates and abutting tiles."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coverslip.data import duplicates
from coverslip.data.duplicates import Pair


def scene(seed: int, height: int = 128, width: int = 128, noise: float = 1.0) -> np.ndarray:
    """A grey image of blobs, float32 0..255."""
    rng = np.random.default_rng(seed)
    image = np.zeros((height, width), np.float32)
    for _ in range(height * width // 300):
        y, x = int(rng.integers(height)), int(rng.integers(width))
        cv2.circle(image, (x, y), int(rng.integers(3, 8)), float(rng.uniform(60, 200)), -1)
    image = cv2.GaussianBlur(image, (0, 0), 1.5) + 10
    image += rng.normal(0, noise, image.shape).astype(np.float32)
    return np.clip(image, 0, 255).astype(np.float32)


def near(images: list[np.ndarray], distance: int = 6) -> list[tuple[int, int]]:
    small = [duplicates.thumbnail(image) for image in images]
    hashes = np.array([duplicates.perceptual_hash(one) for one in small], np.uint64)
    return [(p.a, p.b) for p in duplicates.near_pairs(hashes, np.array(small), distance)]


def abutting(images: list[np.ndarray]) -> list[tuple[int, int]]:
    sides = [duplicates.borders(image) for image in images]
    return [(pair.a, pair.b) for pair in duplicates.abutting_pairs(sides)]


def tiles(image: np.ndarray) -> list[np.ndarray]:
    """The four quarters, row by row."""
    y, x = image.shape[0] // 2, image.shape[1] // 2
    return [image[:y, :x], image[:y, x:], image[y:, :x], image[y:, x:]]


def test_hash_has_64_bits_of_which_about_half_are_set() -> None:
    value = duplicates.perceptual_hash(duplicates.thumbnail(scene(1)))
    assert value.dtype == np.uint64
    assert 28 <= int(value).bit_count() <= 32
    assert not int(value) >> 63, "the mean has no bit"


def test_hash_ignores_brightness_and_contrast() -> None:
    small = duplicates.thumbnail(scene(1))
    assert duplicates.perceptual_hash(small) == duplicates.perceptual_hash(small * 0.4 + 30)


def test_noise_brightness_and_compression_leave_a_near_duplicate() -> None:
    first, other = scene(1), scene(2)
    rng = np.random.default_rng(0)
    noisy = np.clip(first * 0.8 + 12 + rng.normal(0, 4, first.shape), 0, 255).astype(np.float32)
    jpeg = cv2.imencode(".jpg", first.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 40])[1]
    packed = cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE).astype(np.float32)
    assert near([first, other, noisy, packed]) == [(0, 2), (0, 3), (2, 3)]


def test_different_images_are_no_duplicates() -> None:
    assert near([scene(seed) for seed in range(40)]) == []


def test_blank_images_are_left_out() -> None:
    blank = [np.full((64, 64), value, np.float32) for value in (0, 0, 12, 255)]
    assert near(blank, 64) == []
    assert abutting(blank) == []


def test_near_pairs_are_found_across_blocks(monkeypatch) -> None:
    images = [scene(seed) for seed in range(7)] + [scene(1) + 3, scene(6) * 0.9]
    expected = near(images)
    monkeypatch.setattr(duplicates, "BLOCK", 2)
    assert near(images) == expected == [(1, 7), (6, 8)]


def test_abutting_tiles_are_found_among_others(monkeypatch) -> None:
    images = [scene(9), scene(8), *tiles(scene(1, 256, 256)), *tiles(scene(2, 256, 256))]
    expected = [(2, 3), (2, 4), (3, 5), (4, 5), (6, 7), (6, 8), (7, 9), (8, 9)]
    assert abutting(images) == expected
    monkeypatch.setattr(duplicates, "BLOCK", 3)
    assert abutting(images) == expected


def test_abutting_tiles_of_other_heights_and_widths() -> None:
    assert abutting(tiles(scene(3, 600, 240))) == [(0, 1), (0, 2), (1, 3), (2, 3)]


def test_a_gap_between_tiles_is_no_seam() -> None:
    image = scene(1, 128, 300)
    assert abutting([image[:, :128], image[:, 148:276]]) == []
    assert abutting([image[:, :128], image[:, 128:256]]) == [(0, 1)]


def test_mirrored_tiles_are_no_seam() -> None:
    left, right, _, _ = tiles(scene(4, 256, 256))
    assert abutting([left, right[::-1]]) == []


def test_exact_pairs_name_the_first_copy() -> None:
    assert duplicates.exact_pairs(["x", "y", "x", "z", "x", "y"]) == [
        Pair(0, 2, "exact", 0.0),
        Pair(0, 4, "exact", 0.0),
        Pair(1, 5, "exact", 0.0),
    ]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12).flatmap(lambda n: st.tuples(
    st.just(n),
    st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=14),
)))  # fmt: skip
def test_components(case: tuple[int, list[tuple[int, int]]]) -> None:
    count, links = case
    found = duplicates.components(count, [Pair(a, b, "near", 0) for a, b in links])
    reached = {i: {i} for i in range(count)}
    for _ in range(count):
        for a, b in links:
            both = reached[a] | reached[b]
            for member in both:
                reached[member] = reached[member] | both
    for a, b in itertools.combinations(range(count), 2):
        assert (found[a] == found[b]) == (b in reached[a])
    first_seen = list(dict.fromkeys(found.tolist()))
    assert first_seen == list(range(len(first_seen)))


def test_a_step_across_the_border_is_no_seam() -> None:
    left, right, _, _ = tiles(scene(4, 256, 256))
    assert abutting([left, right + 25]) == []


def test_a_border_continues_in_one_image_only() -> None:
    left, right, _, _ = tiles(scene(4, 256, 256, noise=0.5))
    rng = np.random.default_rng(0)
    worse = right + rng.normal(0, 1.5, right.shape).astype(np.float32)
    sides = [duplicates.borders(image) for image in (worse, left, right)]
    assert [(p.a, p.b) for p in duplicates.abutting_pairs(sides)] == [(1, 2)]
    turned = [np.flip(image, axis=1) for image in (worse, left, right)]
    assert abutting(turned) == [(1, 2)], "the better of two that end where one begins"


def test_equal_hashes_of_unlike_thumbnails_are_no_duplicates() -> None:
    small = np.array([duplicates.thumbnail(scene(1)), duplicates.thumbnail(scene(2))])
    hashes = np.array([5, 4], np.uint64)
    assert duplicates.near_pairs(hashes, small, 6) == []
    alike = small[[0, 0]]
    assert duplicates.near_pairs(hashes, alike, 1) == [Pair(0, 1, "near", 1.0)]
    assert duplicates.near_pairs(hashes, alike, 0) == []


SIDES = {"top": np.s_[60:, :], "bottom": np.s_[:-60, :], "left": np.s_[:, 60:]}
SIDES |= {"right": np.s_[:, :-60], "corner": np.s_[50:, :-50]}


@pytest.mark.parametrize("side", SIDES)
def test_black_surroundings_are_no_part_of_a_image(side: str) -> None:
    padded = []
    for seed in (1, 2):
        whole = 120 + scene(seed) / 10
        image = np.zeros_like(whole)
        image[SIDES[side]] = whole[SIDES[side]]
        padded.append(image)
    assert near(padded, 64) == [(0, 1)]
    inside = [duplicates.inside_padding(image) for image in padded]
    lost = np.array(padded[0][SIDES[side]].shape) - inside[0].shape
    assert set(lost) <= {0, duplicates.PADDING_STEP} and lost.any()
    assert inside[0].min() > 0 and near(inside, 64) == []
    assert near([inside[0], inside[0] * 0.7]) == [(0, 1)]


def test_a_dark_background_is_part_of_a_image() -> None:
    dark = np.zeros((96, 96), np.float32)
    rows, columns = np.mgrid[:96, :96]
    dark += np.maximum(0, 200 - 8 * np.hypot(rows - 48, columns - 48))
    for image in (dark, np.zeros_like(dark), np.full_like(dark, 7)):
        assert duplicates.inside_padding(image) is image
    sliver = np.zeros((96, 96), np.float32)
    sliver[:10] = 100
    assert duplicates.inside_padding(sliver) is sliver
