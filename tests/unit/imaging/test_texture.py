"""Features: each tells what its name says, on the scale that it says."""

import numpy as np
import pytest

from coverslip.imaging.texture import features, names, reach

SCALES = [1.5, 4.0]


def noise(deviation, shape=(80, 90), seed=1):
    rng = np.random.default_rng(seed)
    return (1 + rng.normal(0, deviation, shape)).astype(np.float32)


def test_names_and_shape():
    found = features(noise(0.1), SCALES)
    assert found.shape == (80, 90, 5) and found.dtype == np.float32
    assert names(SCALES) == [
        "brightness 1.5",
        "deviation 1.5",
        "gradient 1.5",
        "deviation 4",
        "gradient 4",
    ]


def test_deviation_is_that_of_the_pixels():
    found = features(noise(0.1), SCALES)
    np.testing.assert_allclose(np.exp(found[..., 3]).mean(), 0.1 + 0.005, rtol=0.05)
    flat = features(np.ones((40, 40), np.float32), SCALES)
    np.testing.assert_allclose(flat[..., 0], np.log(1.05), atol=1e-5)
    np.testing.assert_allclose(flat[..., 1], np.log(0.005), atol=1e-3)
    np.testing.assert_allclose(flat[..., 2], np.log(0.00125), atol=1e-3)


def test_gradient_is_that_of_a_slope():
    slope = np.tile(np.linspace(0.5, 1.5, 101, dtype=np.float32), (60, 1))
    middle = features(slope, SCALES)[30, 50]
    np.testing.assert_allclose(np.exp(middle[2]), 0.01 + 0.00125, rtol=1e-3)
    turned = features(np.ascontiguousarray(slope.T), SCALES)[50, 30]
    np.testing.assert_allclose(turned, middle, rtol=1e-5)


def test_rough_differs_from_smooth_where_they_lie():
    flat = noise(0.005, (60, 120))
    flat[:, 60:] = noise(0.08, (60, 60), seed=2)
    found = features(flat, SCALES)
    for at in range(1, 5):
        assert found[:, 80:, at].min() > found[:, :40, at].max()


@pytest.mark.parametrize("scales", [[0.5], [1.5, 4.0], [8.0, 2.0]])
def test_nothing_beyond_the_reach_matters(scales):
    flat = noise(0.1, (240, 20))
    middle = slice(100, 110)
    beyond = reach(scales)
    part = flat[100 - beyond : 110 + beyond]
    np.testing.assert_array_equal(
        features(part, scales)[beyond : beyond + 10], features(flat, scales)[middle]
    )
    other = flat.copy()
    other[: 100 - beyond] = 5
    other[110 + beyond :] = 0
    np.testing.assert_array_equal(features(other, scales)[middle], features(flat, scales)[middle])


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (2, 3), (10, 10)])
def test_any_size(shape):
    found = features(noise(0.1, shape), SCALES)
    assert found.shape == (*shape, 5) and np.isfinite(found).all()
