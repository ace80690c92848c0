"""Quality of images: each number reacts to what it is for."""

import cv2
import numpy as np
import pytest

from coverslip.imaging.image_quality import QC, focus, image_quality, saturated_fraction


def cells(seed=0, radius=9, shape=(200, 220)):
    rng = np.random.default_rng(seed)
    label = np.zeros(shape, np.int32)
    for number in range(1, 30):
        center = (int(rng.integers(10, shape[1] - 10)), int(rng.integers(10, shape[0] - 10)))
        cv2.circle(label, center, radius, number, -1)
    image = np.where(label > 0, 900, 100) + rng.normal(0, 8, shape)
    return image.clip(0).astype(np.uint16)[:, :, np.newaxis], label


def test_focus_falls_with_blur_and_not_with_brightness():
    image, label = cells()
    field = np.ones(label.shape, bool)
    sharp = focus(image, field)
    blurred = cv2.GaussianBlur(image[:, :, 0], (0, 0), 3)[:, :, np.newaxis]
    assert focus(blurred, field) < sharp / 3
    assert focus(image * 10, field) == pytest.approx(sharp, rel=0.02)
    assert focus(image, field & False) is None


def test_saturation_is_the_largest_value_of_a_camera():
    image = np.zeros((10, 10, 1), np.uint16)
    field = np.ones((10, 10), bool)
    image[:2] = 4095  # of 12 bits
    assert saturated_fraction(image, field) == 0.2
    image[:2] = 4000
    assert saturated_fraction(image, field) == 0
    field[:1] = False
    image[:2] = 65535
    assert saturated_fraction(image, field) == pytest.approx(10 / 90)
    color = np.zeros((10, 10, 3), np.uint8)
    color[0, :, 2] = 255
    assert saturated_fraction(color, np.ones((10, 10), bool)) == 0.1


def test_signal_to_background():
    image, label = cells()
    quality = image_quality(image, label, np.ones(label.shape, bool))
    assert set(quality) == set(QC) and quality["unlike_training"] is None
    assert quality["background_intensity"] == pytest.approx(100, abs=2)
    assert quality["signal_to_background"] == pytest.approx(9, rel=0.03)
    empty = image_quality(image, label * 0, np.ones(label.shape, bool))
    assert empty["signal_to_background"] is None
    dark = image_quality(image * 0, label, np.ones(label.shape, bool))
    assert dark["signal_to_background"] is None and dark["saturated_fraction"] == 0
