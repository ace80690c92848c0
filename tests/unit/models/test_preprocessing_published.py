"""What reproductions need of the preprocessing, against cv2, Pillow, numpy and Keras' formulas."""

import cv2
import numpy as np
import pytest
from PIL import Image

from coverslip.config.sections import Preprocessing
from coverslip.models import preprocessing

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("channels", [1, 3])
def test_bilinear_is_that_of_opencv(channels):
    image = RNG.integers(0, 256, (520, 704, channels), dtype=np.uint8)
    found = preprocessing.resize_image(image, (100, 100), "bilinear")
    expected = cv2.resize(image, (100, 100)).reshape(100, 100, channels)
    np.testing.assert_array_equal(found, expected)
    # The choice matters: an area average has a quarter of the noise.
    assert found.std() > 4 * preprocessing.resize_image(image, (100, 100), "area").std()


@pytest.mark.parametrize("channels", [1, 3])
def test_bicubic_is_that_of_pillow(channels):
    image = RNG.integers(0, 256, (260, 347, channels), dtype=np.uint8)
    found = preprocessing.resize_image(image, (128, 96), "bicubic")
    whole = Image.fromarray(image.squeeze())
    np.testing.assert_array_equal(found.squeeze(), np.array(whole.resize((96, 128))))
    assert found.shape == (128, 96, channels)


def discs():
    mask = np.zeros((360, 360), np.uint8)
    for row in range(20, 360, 40):
        for column in range(20, 360, 40):
            cv2.circle(mask, (column, row), 9, 1, -1)
    return mask


def test_masks_grow_as_in_studies_2_and_4():
    mask = discs()
    grey = 255 * mask
    ceiled = np.ceil(cv2.resize(grey, (128, 128)) / 255.0)
    nonzero = np.array(Image.fromarray(grey).resize((128, 128))).astype(bool)
    size = (128, 128)
    np.testing.assert_array_equal(preprocessing.resize_mask(mask, size, "bilinear-ceil"), ceiled)
    np.testing.assert_array_equal(preprocessing.resize_mask(mask, size, "bicubic-nonzero"), nonzero)
    true = mask.mean()
    assert 1.05 < ceiled.mean() / true < nonzero.mean() / true


def batch(scaling, images, fitted=None, **section):
    return preprocessing.batch(
        images, Preprocessing(input_scaling=scaling, **section), fitted or {}
    )


def test_imagenet_scaling_is_that_of_torchvision():
    images = RNG.integers(0, 256, (2, 5, 4, 3), dtype=np.uint8)
    expected = (images / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(batch("imagenet", images), expected, atol=1e-6)


def test_columns_of_each_patch_have_norm_one():
    images = RNG.integers(0, 256, (3, 8, 5, 1), dtype=np.uint8)
    images[1, :, 2] = 0
    found = batch("column_l2", images, channels="grey")
    norms = np.linalg.norm(images[..., 0].astype(float), axis=1)
    expected = images[..., 0] / np.where(norms == 0, 1, norms)[:, np.newaxis]
    np.testing.assert_allclose(found[..., 0], expected, atol=1e-6)
    assert (found[1, :, 2] == 0).all()
    np.testing.assert_allclose(np.linalg.norm(found[0, :, :, 0], axis=0), 1, atol=1e-6)


def test_zscore_of_grey_images_has_one_mean_and_deviation():
    images = RNG.integers(0, 256, (4, 9, 7, 1), dtype=np.uint8)
    p = Preprocessing(channels="grey", input_scaling="zscore")
    found = preprocessing.batch(images, p, preprocessing.fit(images, p))
    whole = images.astype(np.float32)
    np.testing.assert_allclose(found, (whole - whole.mean()) / whole.std(), atol=1e-5)
