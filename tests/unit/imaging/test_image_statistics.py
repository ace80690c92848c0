"""The distance to the training images: small for images like them, large for others."""

import cv2
import numpy as np

from coverslip.imaging.image_statistics import (
    FEWEST,
    image_statistics,
    summarize_training,
    unlike_training,
)


def cells(seed, radius=8, dark=False):
    rng = np.random.default_rng(seed)
    image = np.full((160, 160), 100.0, np.float32)
    for x, y in rng.integers(0, 160, (25, 2)).tolist():
        cv2.circle(image, (x, y), radius, 200, -1)
    image = cv2.GaussianBlur(image, (0, 0), 1) + rng.normal(0, 3, image.shape)
    return (300 - image if dark else image).clip(0, 255).astype(np.uint8)


def test_images_of_another_kind_are_unlike_the_training():
    training = summarize_training(cells(seed) for seed in range(40))
    like = [unlike_training(image_statistics(cells(seed)), training) for seed in range(90, 110)]
    assert np.median(like) < 0.9
    brighter = (cells(50).astype(np.uint16) * 40 + 900)[:, :, np.newaxis]
    assert unlike_training(image_statistics(brighter), training) < 1.3
    others = {
        "blurred": cv2.GaussianBlur(cells(50), (0, 0), 4),
        "another magnification": cells(50, radius=30),
        "dark cells": cells(50, dark=True),
        "noise": np.random.default_rng(0).integers(0, 255, (160, 160), dtype=np.uint8),
        "nothing": np.full((160, 160), 7, np.uint8),
    }
    for name, image in others.items():
        assert unlike_training(image_statistics(image), training) > 1.5, name


def test_a_model_without_statistics_has_no_distance():
    assert unlike_training(image_statistics(cells(1)), None) is None
    assert summarize_training([cells(1)] * (FEWEST - 1)) is None


def test_only_the_field_counts():
    image = cells(3)
    padded = np.zeros((300, 300), np.uint8)
    padded[40:200, 40:200] = image
    field = padded > 0
    assert np.isfinite(image_statistics(padded, field)).all()
    assert np.isfinite(image_statistics(padded, field & False)).all()
