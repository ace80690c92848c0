"""Augmentation of training patches."""

import numpy as np
import pytest
from scipy import ndimage

from coverslip.config.sections import Augmentation
from coverslip.imaging.augment import (
    affine,
    augment,
    blur,
    contrast,
    empty,
    gamma,
    illumination,
    jpeg,
    noise,
    random_affine,
    zoom,
)

ALL = Augmentation(
    flip=True,
    rot90=True,
    scale=(0.5, 2.0),
    contrast=(0.5, 2.0),
    gamma=(0.5, 2.0),
    illumination=0.5,
    blur=1.5,
    noise=0.05,
    jpeg=50,
    invert=0.5,
    empty=0.2,
)


def patch(height: int = 32, width: int = 32, channels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 100, (height, width, channels), dtype=np.uint8)
    target = np.zeros((height, width), np.uint8)
    target[4:12, 6:20] = 1
    image[target > 0] += 120
    return image, target


@pytest.mark.parametrize("shape", [(32, 32, 1), (32, 32, 3), (24, 40, 1), (24, 40, 3)])
def test_shapes_dtypes_and_inputs_stay(shape):
    image, target = patch(*shape)
    before = image.copy(), target.copy()
    for seed in range(20):
        changed, mask = augment(image, target, ALL, np.random.default_rng(seed))
        assert changed.shape == image.shape
        assert mask.shape == target.shape
        assert changed.dtype == mask.dtype == np.uint8
        assert changed.flags.c_contiguous
        assert mask.flags.c_contiguous
        assert set(np.unique(mask)) <= {0, 1}
    assert np.array_equal(image, before[0])
    assert np.array_equal(target, before[1])


def test_nothing_asked_for_changes_nothing():
    image, target = patch()
    changed, mask = augment(
        image,
        target,
        Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)),
        np.random.default_rng(1),
    )
    assert np.array_equal(changed, image)
    assert np.array_equal(mask, target)


def test_same_generator_same_patch():
    first = augment(*patch(), ALL, np.random.default_rng((1, 2, 3)))
    second = augment(*patch(), ALL, np.random.default_rng((1, 2, 3)))
    other = augment(*patch(), ALL, np.random.default_rng((1, 2, 4)))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize("square", [True, False])
def test_flips_and_rotations_move_image_and_mask_together(square):
    target = np.arange(16 if square else 12, dtype=np.uint8).reshape(4, -1)
    seen = set()
    for seed in range(100):
        a = Augmentation(flip=True, rot90=True, gamma=(1.0, 1.0))
        changed, mask = augment(target[..., None], target, a, np.random.default_rng(seed))
        assert np.array_equal(changed[..., 0], mask)
        seen.add(mask.tobytes())
    assert len(seen) == (8 if square else 4)


def test_zoom_keeps_the_mask_on_the_object():
    image, target = patch(64, 64)
    for factor in (0.5, 0.7, 1.5, 2.0):
        for place in ((0.0, 0.0), (1.0, 0.5)):
            changed, mask = zoom(image, target, factor, np.array(place))
            bright = changed.mean(axis=2) > 105
            union = (bright | (mask > 0)).sum()
            if union:
                assert (bright & (mask > 0)).sum() / union > 0.75


def test_zoom_magnifies_by_its_factor_and_shows_the_place():
    image, target = patch()
    changed, mask = zoom(image, target, 2.0, np.zeros(2))
    assert np.array_equal(changed[::2, ::2], image[:16, :16])
    assert np.array_equal(mask[::2, ::2], target[:16, :16])
    changed, _ = zoom(image, target, 2.0, np.ones(2))
    assert np.array_equal(changed[-1, -1], image[-1, -1])
    same, _ = zoom(image, target, 1.0, np.array([0.3, 0.8]))
    assert np.array_equal(same, image)


def test_a_reduced_patch_is_filled_up_by_reflection():
    image, target = patch()
    _, mask = zoom(image, np.ones_like(target), 0.4, np.array([0.5, 0.5]))
    assert mask.all()


def test_contrast_keeps_the_mean_and_clips():
    image = np.zeros((4, 4, 2), np.uint8)
    image[:2] = (100, 0)
    image[2:] = (140, 255)
    assert np.array_equal(contrast(image, 1.0), image)
    assert np.unique(contrast(image, 0.5)[..., 0]).tolist() == [110, 130]
    assert np.unique(contrast(image, 2.0)[..., 0]).tolist() == [80, 160]
    assert np.unique(contrast(image, 2.0)[..., 1]).tolist() == [0, 255]


def test_gamma():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    assert np.array_equal(gamma(image, 1.0), image)
    darker = gamma(image, 2.0)
    assert (darker[0, 0, 0], darker[-1, -1, 0]) == (0, 255)
    assert darker[8, 0, 0] == round(255 * (128 / 255) ** 2)


def test_noise_has_its_deviation_and_keeps_grey_grey():
    image = np.full((128, 128, 3), 128, np.uint8)
    noisy = noise(image, 0.05, np.random.default_rng(0))
    assert noisy[..., 0].std() == pytest.approx(0.05 * 255, rel=0.05)
    assert np.array_equal(noisy[..., 0], noisy[..., 2])
    bright = noise(np.full((8, 8, 1), 255, np.uint8), 0.5, np.random.default_rng(0))
    assert bright.max() == 255


def test_invert():
    image, target = patch()
    changed, mask = augment(
        image,
        target,
        Augmentation(invert=1.0, flip=False, rot90=False, gamma=(1.0, 1.0)),
        np.random.default_rng(0),
    )
    assert np.array_equal(changed, 255 - image)
    assert np.array_equal(mask, target)


def test_affine_samples_as_scipy_does():
    image, target = patch(24, 40, 1)
    section = Augmentation(rotation=20, shift=0.2, shear=10, zoom=(0.8, 1.2))
    for seed in range(5):
        matrix = random_affine(target.shape, section, np.random.default_rng(seed))
        found, mask = affine(image, target, matrix)
        given = image[..., 0].astype(float)
        expected = ndimage.affine_transform(given, matrix, order=1, mode="nearest")
        assert np.abs(found[..., 0] - expected).max() < 3
        nearest = ndimage.affine_transform(target, matrix, order=0, mode="nearest")
        assert (mask != nearest).mean() < 0.02


def test_affine_maps_stay_within_their_limits_about_the_centre():
    shape = (100, 50)
    centre = np.array([49.5, 24.5, 1])
    for seed in range(50):
        rng = np.random.default_rng(seed)
        turned = random_affine(shape, Augmentation(rotation=20), rng)
        np.testing.assert_allclose(turned @ centre, centre)
        assert abs(np.rad2deg(np.arctan2(turned[1, 0], turned[0, 0]))) <= 20
        np.testing.assert_allclose(turned[:2, :2] @ turned[:2, :2].T, np.eye(2), atol=1e-12)
        moved = random_affine(shape, Augmentation(shift=0.2), rng) @ centre - centre
        assert abs(moved[0]) <= 20 and abs(moved[1]) <= 10
        zoomed = random_affine(shape, Augmentation(zoom=(0.8, 1.2)), rng)
        assert 0.8 <= zoomed[0, 0] <= 1.2 and 0.8 <= zoomed[1, 1] <= 1.2
        assert zoomed[0, 0] != zoomed[1, 1]
        slanted = random_affine(shape, Augmentation(shear=0.2), rng)
        assert abs(slanted[0, 1]) <= np.sin(np.deg2rad(0.2))


def test_light_falls_to_one_side():
    image = np.full((40, 60, 3), 200, np.uint8)
    changed = illumination(image, 0.5, 0.0)
    assert (changed[:, 0] == 200).all() and (changed[:, -1] == 100).all()
    assert (np.diff(changed[0, :, 0].astype(int)) <= 0).all()
    assert np.array_equal(illumination(image, 0.0, 1.0), image)


@pytest.mark.parametrize("channels", [1, 3])
def test_blur_smooths_and_keeps_the_mean(channels):
    image = patch(64, 64, channels)[0]
    changed = blur(image, 2.0)
    assert changed.std() < 0.8 * image.std()
    assert changed.mean() == pytest.approx(image.mean(), abs=3)
    assert blur(image, 0.1) is image


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_changes_little_at_high_quality(channels):
    image = blur(patch(64, 64, channels)[0], 1.0)
    fine, coarse = (np.abs(jpeg(image, q).astype(int) - image).mean() for q in (98, 20))
    assert fine < 3 < coarse < 40


def test_colours_keep_their_place_in_a_jpeg():
    image = np.full((32, 32, 3), (200, 20, 60), np.uint8)
    assert np.abs(jpeg(image, 90).astype(int) - image).max() < 8


def test_an_empty_patch_has_no_object():
    image, target = patch()
    wanted = Augmentation(empty=1.0, flip=False, rot90=False, gamma=(1.0, 1.0))
    for seed in range(5):
        changed, mask = augment(image, target, wanted, np.random.default_rng(seed))
        assert not mask.any() and changed.shape == image.shape and changed.std() < 60
    fields = [empty((64, 64, 1), np.random.default_rng(seed)) for seed in range(40)]
    # Sharp noise has no likeness between neighbours, smooth noise has.
    alike = [np.corrcoef(f[1:].ravel(), f[:-1].ravel())[0, 1] for f in fields if f.std() > 3]
    assert min(alike) < 0.2 and max(alike) > 0.9
