"""Uneven light is found from an image alone and divided out."""

import cv2
import numpy as np
import pytest
from light import ramp, vignette
from skimage import data

from coverslip.imaging.flatfield import background, fit_background
from coverslip.imaging.rows import Whole


def fit(grey, field=None):
    inside = None if field is None else (lambda rows: field[rows])
    return fit_background(Whole(grey[:, :, np.newaxis]), inside)


def flattened(grey):
    """The image over its background: 1 is as bright as the background."""
    return grey.astype(np.float32) / background(fit(grey), grey.shape)


def dish(shape=(150, 210), cells=25, seed=3):
    """Ground of 1 with dark and bright cells, and where they are."""
    rng = np.random.default_rng(seed)
    image, covered = np.ones(shape), np.zeros(shape, np.uint8)
    for _ in range(cells):
        centre = tuple(int(v) for v in rng.integers(0, shape[::-1]))
        axes = tuple(int(v) for v in rng.integers(5, 14, 2))
        cv2.ellipse(covered, centre, axes, int(rng.integers(180)), 0, 360, 1, -1)
    image[covered > 0] = 1 + 0.25 * rng.choice([-1, 1], np.count_nonzero(covered))
    return image + rng.normal(0, 0.01, shape), covered > 0


@pytest.mark.parametrize("light", [ramp((150, 210), 0.4, 0.5), vignette((150, 210), 0.35)])
def test_light_is_found_beneath_cells(light):
    image, covered = dish()
    grey = np.rint(200 * light * image).astype(np.uint8)
    found = background(fit(grey), grey.shape)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, 200 * light, rtol=0.02)
    flat = flattened(grey)
    assert np.std(flat[~covered]) < 0.02 and abs(np.median(flat[~covered]) - 1) < 0.01
    assert np.std(grey[~covered] / 200) > 0.1


def test_an_even_image_stays_as_it_is():
    image, _ = dish()
    grey = np.rint(120 * image).astype(np.uint8)
    np.testing.assert_allclose(flattened(grey), grey / 120, atol=0.01)
    same = np.full((40, 30), 77, np.uint8)
    np.testing.assert_allclose(flattened(same), 1, atol=1e-4)


def test_a_smooth_light_over_a_real_image_is_divided_out():
    grey = data.cell().astype(float)[100:500, 50:500]
    light = vignette(grey.shape, 0.5)
    plain = flattened(np.rint(grey * 1.5).astype(np.uint16))
    lit = flattened(np.rint(grey * 1.5 * light).astype(np.uint16))
    assert np.abs(lit - plain).mean() < 0.01


def test_rows_are_those_of_the_whole():
    grey = np.rint(200 * ramp((90, 70), 0.3, 1.0)).astype(np.uint8)
    coefficients = fit(grey)
    whole = background(coefficients, grey.shape)
    np.testing.assert_array_equal(background(coefficients, grey.shape, slice(20, 33)), whole[20:33])


def test_only_the_field_counts():
    grey = np.rint(180 * ramp((120, 120), 0.5, 0.0)).astype(np.uint8)
    field = np.zeros(grey.shape, bool)
    field[30:, :90] = True
    padded = np.where(field, grey, 0).astype(np.uint8)
    inside = background(fit(padded, field), grey.shape)[field]
    np.testing.assert_allclose(inside, grey[field], rtol=0.02)
    nothing = fit(np.zeros((9, 9), np.uint8), np.zeros((9, 9), bool))
    assert not nothing.any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (3, 2), (10, 10), (64, 65), (129, 300)])
def test_any_size(shape):
    grey = np.random.default_rng(1).integers(0, 256, shape, np.uint8)
    flat = flattened(grey)
    assert flat.shape == shape and np.isfinite(flat).all()


def test_black_images_have_a_background():
    assert np.isfinite(flattened(np.zeros((30, 30), np.uint8))).all()
