"""Images with a common area, against brute force."""

from __future__ import annotations

from itertools import combinations, product
from pathlib import Path

import cv2
import numpy as np
import pytest
from archives import cut, scene

from coverslip.data import overlap
from coverslip.data.duplicates import Pair, components


def joined(images: list[np.ndarray]) -> tuple[list[int], list[Pair]]:
    sizes = np.array([image.shape[:2] for image in images])
    pairs = overlap.links(lambda position: images[position], sizes)
    return components(len(images), pairs).tolist(), pairs


def brute(images: list[np.ndarray], smallest: int) -> list[tuple[int, int, int]]:
    """Pairs with the smaller side of their common area, by all pairs at all offsets."""
    found = []
    for a, b in combinations(range(len(images)), 2):
        first, second = images[a], images[b]
        rows = range(smallest - second.shape[0], first.shape[0] - smallest + 1)
        columns = range(smallest - second.shape[1], first.shape[1] - smallest + 1)
        for row, column in product(rows, columns):
            part = first[max(row, 0) :, max(column, 0) :]
            other = second[max(-row, 0) :, max(-column, 0) :]
            if (part[0, 0] != other[0, 0]).any():
                continue
            side = tuple(min(n) for n in zip(part.shape[:2], other.shape[:2], strict=True))
            part, other = part[: side[0], : side[1]], other[: side[0], : side[1]]
            if np.array_equal(part, other) and np.ptp(part) > 0:
                found.append((a, b, min(side)))
    return found


@pytest.mark.parametrize("channels", [1, 3])
def test_as_brute_force_finds_them(channels: int) -> None:
    rng = np.random.default_rng(channels)
    scenes = [scene(seed, channels=channels) for seed in range(3)]
    images = []
    for number in range(20):
        row, column = (int(v) for v in rng.integers((48, 0), (100, 60)))
        images.append(cut(scenes[number % 3], 0 if number % 8 == 7 else row, column, 32))
    sizes = np.array([image.shape[:2] for image in images])
    everything = brute(images, overlap.WINDOW)

    def groups(smallest: int) -> list[int]:
        kept = [Pair(a, b, "", 0) for a, b, side in everything if side >= smallest]
        return components(len(images), kept).tolist()

    found, pairs = joined(images)
    certain, possible = groups(overlap.reach(sizes)), groups(overlap.WINDOW)
    assert len(set(zip(certain, found, strict=True))) == len(set(certain)), "missed one"
    assert len(set(zip(found, possible, strict=True))) == len(set(found)), "one too many"
    assert 5 <= len(set(found)) < len(set(certain)) + 4 < 20
    assert len(pairs) == len(images) - len(set(found)), "a forest: no pair too many"


@pytest.mark.parametrize(("row", "column"), [(0, 32), (32, 0), (32, 32), (5, 31), (-32, 32)])
def test_the_smallest_area_is_found_wherever_it_lies(row: int, column: int) -> None:
    for seed in range(12):
        image = scene(seed)[48:]
        first, second = cut(image, 32, 36), cut(image, 32 + row, 36 + column)
        _, (pair,) = joined([first, scene(99)[60:108, 60:108], second])
        area = (48 - abs(row)) * (48 - abs(column))
        assert pair == Pair(0, 2, "overlap", round(1 - area / 48**2, 4))


def test_one_pixel_makes_the_difference() -> None:
    image = scene(1)[40:]
    first, second = cut(image, 0, 0), cut(image, 0, 10)
    second[40, 20] ^= 1
    assert joined([first, second])[1] == []


def test_blank_and_equal_images() -> None:
    blank = np.full((48, 48, 3), 255, np.uint8)
    image = cut(scene(1), 60, 60)
    found, pairs = joined([blank, image, blank, image])
    assert found == [0, 1, 2, 1]
    assert pairs == [Pair(1, 3, "overlap", 0.0)]


def test_a_scale_bar_joins_nothing_and_hides_nothing() -> None:
    bar = np.random.default_rng(5).integers(0, 255, (12, 30, 1), dtype=np.uint8)
    images = [cut(scene(seed, channels=1), 60, 60) for seed in range(12)]
    images.append(cut(scene(0, channels=1), 66, 63))
    for image in images:
        image[34:46, 16:46] = bar
    assert joined(images)[1] == []
    images[3] = images[9].copy()
    assert joined(images)[1] == [Pair(3, 9, "overlap", 0.0)]


def test_images_of_several_sizes_types_and_none() -> None:
    image = scene(1)[40:]
    images = [cut(image, 0, 0, 96), cut(image, 30, 50, 40), cut(image, 30, 50, 30)]
    images.append(images[2].astype(np.uint16))
    images.append(images[2][..., :1])
    images.append(images[2][:5, :5])
    assert overlap.reach(np.array([p.shape[:2] for p in images])) == overlap.WINDOW
    assert joined(images)[0] == [0, 0, 0, 1, 2, 3]
    assert overlap.links(lambda position: images[position], np.zeros((0, 2), int)) == []
    assert joined(images[:1])[1] == []


def test_hashes_follow_the_content_and_nothing_else() -> None:
    image = scene(3)[40:]
    whole = overlap.window_hashes(image)
    part = overlap.window_hashes(image[7:, 11:])
    np.testing.assert_array_equal(whole[7:, 11:], part)
    assert (np.unique(whole[whole != overlap.NONE], return_counts=True)[1] == 1).all()
    assert (overlap.window_hashes(scene(3)[:30]) == overlap.NONE).all()


def test_real_patches(real_data: Path) -> None:
    folder = real_data / "study3" / "data" / "train"
    if not folder.is_dir():
        pytest.skip(f"COVERSLIP_DATA has no {folder.relative_to(real_data)}")
    names = sorted(path.name for path in folder.iterdir())[:400]
    images = [cv2.imread(str(folder / name)) for name in names]
    found, pairs = joined(images)
    assert len(set(found)) < 400
    assert {pair.kind for pair in pairs} == {"overlap"}
