"""Images are resized to the size of objects that a network knows best."""

import numpy as np
import pytest

from coverslip.models.scale import middle, scale_factor, typical_diameter


def test_the_typical_object_is_no_dirt():
    labels = np.zeros((100, 100), np.int32)
    labels[10:30, 10:30], labels[50:70, 50:70] = 1, 2
    for number in range(20):
        labels[95, 4 * number : 4 * number + 3] = 3 + number  # too small to count
        labels[80:85, 5 * number : 5 * number + 4] = 30 + number
    assert typical_diameter(labels) == pytest.approx(2 * np.sqrt(400 / np.pi))


def test_an_empty_image_keeps_its_size():
    assert typical_diameter(np.zeros((5, 5), int)) is None
    assert scale_factor(None, 24) == 1


@pytest.mark.parametrize(
    ("diameter", "factor"), [(24, 1), (27, 1), (36, 2 / 3), (12, 2), (4, 2), (200, 0.5)]
)
def test_factor(diameter, factor):
    assert scale_factor(diameter, 24) == pytest.approx(factor)


def test_the_middle_of_a_large_image():
    image = np.arange(100).reshape(10, 10)
    assert np.array_equal(image[middle(image.shape, 4)], image[3:7, 3:7])
    assert np.array_equal(image[middle(image.shape, 20)], image)
