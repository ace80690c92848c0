import numpy as np
import pytest

from coverslip.baselines import all_background, otsu, to_grey


def scene(dark: int, bright: int, dtype=np.uint8):
    """A picture with a small square and its mask."""
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
    picture = np.repeat(image[:, :, np.newaxis], channels, axis=2)
    if channels == 4:
        picture[:, :, 3] = np.arange(50)  # alpha must not matter
    np.testing.assert_array_equal(otsu(picture), mask)


def test_constant_picture_is_all_background():
    assert not otsu(np.full((6, 7, 3), 9, np.uint8)).any()
    assert not all_background((6, 7)).any()


def test_grey_keeps_the_depth_and_refuses_other_channels():
    assert to_grey(np.full((2, 2, 3), 60000, np.uint16)).dtype == np.uint16
    with pytest.raises(ValueError, match="channels, not 2"):
        to_grey(np.zeros((2, 2, 2), np.uint8))
