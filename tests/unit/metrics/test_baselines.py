"""Baselines of masks, instances and classes."""

import numpy as np
import pytest

from coverslip.imaging.intensity import to_grey
from coverslip.metrics import baselines
from coverslip.metrics.baselines import (
    all_background,
    otsu,
    otsu_components,
    otsu_of_deviation,
    otsu_watershed,
)


def scene(dark: int, bright: int, dtype=np.uint8):
    """An image with a small square and its mask."""
    mask = np.zeros((40, 50), dtype=bool)
    mask[5:15, 8:20] = True
    rng = np.random.default_rng(0)
    image = np.where(mask, bright, dark) + rng.integers(0, 5, mask.shape)
    return image.astype(dtype), mask


@pytest.mark.parametrize(("dark", "bright"), [(20, 200), (200, 20)])
def test_otsu_finds_the_smaller_part_whatever_its_polarity(dark, bright):
    image, mask = scene(dark, bright)
    np.testing.assert_array_equal(otsu(image), mask)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_otsu_takes_any_channels_and_16_bits(channels):
    image, mask = scene(1000, 60000, np.uint16)
    stacked = np.repeat(image[:, :, np.newaxis], channels, axis=2)
    if channels == 4:
        stacked[:, :, 3] = np.arange(50)  # alpha must not matter
    np.testing.assert_array_equal(otsu(stacked), mask)


def test_constant_image_is_all_background():
    assert not otsu(np.full((6, 7, 3), 9, np.uint8)).any()
    assert not all_background((6, 7)).any()


def test_grey_keeps_the_depth_and_refuses_other_channels():
    assert to_grey(np.full((2, 2, 3), 60000, np.uint16)).dtype == np.uint16
    with pytest.raises(ValueError, match="channels, not 2"):
        to_grey(np.zeros((2, 2, 2), np.uint8))


def discs(*centres, radius=12, shape=(60, 80)):
    """A noisy image of bright discs, and its mask."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    mask = np.zeros(shape, bool)
    for row, column in centres:
        mask |= np.hypot(y - row, x - column) <= radius
    noise = np.random.default_rng(1).integers(0, 30, shape)
    return (np.where(mask, 180, 20) + noise).astype(np.uint8), mask


def test_touching_discs_are_one_component_and_two_by_watershed():
    image, mask = discs((30, 22), (30, 44))
    whole, cut = otsu_components(image, 16), otsu_watershed(image, 16)
    assert (whole.max(), cut.max()) == (1, 2)
    assert whole.dtype == cut.dtype == np.int32
    np.testing.assert_array_equal(cut > 0, mask)
    assert cut[30, 22] != cut[30, 44]
    left, right = np.bincount(cut.ravel())[1:]
    assert abs(left - right) < 0.1 * mask.sum()


def test_watershed_leaves_a_single_disc_whole_and_fills_its_hole():
    image, mask = discs((30, 30))
    image[28:32, 28:32] = 20
    cut = otsu_watershed(image, 16)
    np.testing.assert_array_equal(cut, mask)


def test_small_objects_are_left_out():
    image, _ = discs((30, 22), (30, 44))
    image[2:5, 2:5] = 200
    for predict in (otsu_components, otsu_watershed):
        assert predict(image, 9).max() == predict(image, 10).max() + 1


@pytest.mark.parametrize("predict", [otsu_components, otsu_watershed])
def test_no_objects_in_a_flat_image(predict):
    assert not predict(np.full((9, 9, 1), 7, np.uint8), 0).any()


def test_a_frame_around_the_image_is_one_object():
    image = np.full((40, 40), 20, np.uint8)
    image[[0, 1, -1, -2]] = image[:, [0, 1, -1, -2]] = 200
    assert otsu_watershed(image, 16).max() == 1


def rough(shape, covered):
    """A smooth ground, with rough texture where it is covered, of one mean brightness."""
    noise = np.random.default_rng(1).normal(0, 1, shape) * np.where(covered, 30, 2)
    return np.clip(np.rint(130 + noise), 1, 255).astype(np.uint8)[:, :, np.newaxis]


def test_rough_pixels_are_foreground():
    covered = np.zeros((80, 80), bool)
    covered[:, :30] = True
    image = rough(covered.shape, covered)
    whole = np.ones(covered.shape, bool)
    mask = otsu_of_deviation(image, whole)
    assert (mask == covered).mean() > 0.9
    color = np.repeat(image, 3, axis=2)
    assert (otsu_of_deviation(color, whole) == mask).mean() > 0.99
    deep = image.astype(np.uint16) * 257
    assert (otsu_of_deviation(deep, whole) == mask).mean() > 0.99
    flat = np.full((20, 30, 1), 77, np.uint8)
    assert not otsu_of_deviation(flat, np.ones((20, 30), bool)).any()
    assert not otsu_of_deviation(np.zeros((20, 30, 1), np.uint8), np.zeros((20, 30), bool)).any()


def test_majority():
    shares = baselines.majority(np.array([2, 0, 2, 1, 2]), 4)
    np.testing.assert_allclose(shares, [0.2, 0.2, 0.6, 0])


@pytest.mark.parametrize("channels", [1, 3])
def test_brightness_separates_bright_from_dark_images(channels):
    rng = np.random.default_rng(0)
    levels = np.array([60, 120, 120])[np.arange(60) % 3]
    images = [rng.integers(v - 20, v + 20, (16, 12, channels), dtype=np.uint8) for v in levels]
    features = np.array([baselines.brightness(image) for image in images])
    assert features.shape == (60, 9 * channels)
    np.testing.assert_allclose(features[0, 0], images[0][..., 0].mean())
    np.testing.assert_allclose(features[0, channels], images[0][..., 0].std())
    truth = np.arange(60) % 3
    found = baselines.Brightness(features[:30], truth[:30], 4)(features[30:])
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found[:, 3] == 0).all(), "a class without training images"
    right = found.argmax(axis=1) == truth[30:]
    assert right[truth[30:] == 0].all()
    assert right[truth[30:] != 0].mean() < 0.8
    assert baselines.Brightness(features, truth, 3)(features[:0]).shape == (0, 3)


def test_brightness_with_one_class():
    found = baselines.Brightness(np.zeros((5, 2)), np.full(5, 1), 3)(np.ones((2, 2)))
    np.testing.assert_array_equal(found, [[0, 1, 0]] * 2)
