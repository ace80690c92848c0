"""Occlusion maps by hand."""

import numpy as np
import pytest

from coverslip.explain.occlusion import occlusion, places

RNG = np.random.default_rng(0)


def left_half(images):
    """Class 1 is how bright the left half is."""
    bright = images[:, :, : images.shape[2] // 2].mean(axis=(1, 2, 3))
    return np.stack([1 - bright, bright], axis=1)


def test_occlusion_by_hand():
    image = np.ones((8, 8, 1), np.float32)
    found = occlusion(left_half, image, 1, (4, 4), (4, 4))
    expected = np.zeros((8, 8))
    expected[:, :4] = 0.5
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(occlusion(left_half, image, 0, (4, 4), (4, 4)), -expected)
    half = occlusion(left_half, image, 1, (4, 4), (4, 4), baseline=0.5)
    np.testing.assert_allclose(half, expected / 2)
    assert not occlusion(left_half, image, 1, (4, 4), (4, 4), baseline=np.ones(1)).any()


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_occlusion_does_not_depend_on_the_batch(batch):
    image = RNG.random((13, 9, 3), dtype=np.float32)
    expected = occlusion(left_half, image, 1, (5, 4), (2, 3), batch=64)
    np.testing.assert_array_equal(
        occlusion(left_half, image, 1, (5, 4), (2, 3), batch=batch), expected
    )


def test_windows_reach_the_border_and_are_cut_there():
    rows = [place[0] for place in places((10, 4), (4, 4), (3, 3))]
    assert rows == [slice(0, 4), slice(3, 7), slice(6, 10)]
    rows = [place[0] for place in places((11, 4), (4, 4), (3, 3))]
    assert rows == [slice(0, 4), slice(3, 7), slice(6, 10), slice(9, 11)]
    assert places((3, 3), (9, 9), (2, 2)) == [(slice(0, 3), slice(0, 3))]
    with pytest.raises(ValueError, match="at least 1 pixel"):
        places((3, 3), (0, 1), (1, 1))
