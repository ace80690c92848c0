import numpy as np
import pytest

from coverslip.imaging.intensity import to_grey
from coverslip.metrics.baselines import all_background, otsu, otsu_components, otsu_watershed


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
