"""Deletion and insertion by hand."""

import numpy as np
import pytest

from coverslip.explain import faithfulness


def left_half(images):
    """Class 1 is how bright the left half is."""
    bright = images[:, :, : images.shape[2] // 2].mean(axis=(1, 2, 3))
    return np.stack([1 - bright, bright], axis=1)


def test_deletion_and_insertion_favor_the_correct_map():
    image = np.full((8, 8, 1), 0.8, np.float32)
    image[:, :4] = 1.0
    right = np.zeros((8, 8))
    right[:, :4] = 1
    found = {
        name: faithfulness.curves(left_half, image, map, 1, steps=8)
        for name, map in (("right", right), ("wrong", -right))
    }
    np.testing.assert_allclose(found["right"].deletion, [1, 0.75, 0.5, 0.25, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(found["wrong"].deletion, [1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0])
    assert found["right"].deletion_area == pytest.approx(2 / 8)
    assert found["wrong"].deletion_area == pytest.approx(6 / 8)
    assert found["right"].insertion[-1] == pytest.approx(1)
    assert found["right"].insertion[0] < 1
    assert found["right"].insertion_area > found["wrong"].insertion_area
    chance = faithfulness.random_map((8, 8), 1)
    areas = [
        faithfulness.curves(left_half, image, map, 1, steps=8).deletion_area
        for map in (right, chance, -right)
    ]
    assert areas == sorted(areas)
