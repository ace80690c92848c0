"""The field of view of a large image, and what continues the image beyond it."""

import cv2
import numpy as np
import pytest

from coverslip.imaging import field_of_view as field_of_view_module
from coverslip.imaging import rows
from coverslip.imaging.field_of_view import Field, FilledRows, field_of_view, fill_outside_fov
from coverslip.imaging.rows import Whole

RNG = np.random.default_rng(3)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(rows, "PART", 3000)


def textured(height=200, width=200):
    return RNG.integers(90, 160, (height, width, 1), dtype=np.uint8)


def upright(value=None):
    image = np.zeros((300, 260, 1), np.uint8)
    image[40:240, 30:230] = textured() if value is None else value
    return image


def cells(blur=0):
    image = np.zeros((200, 200), np.uint8)
    for center in ((60, 70), (140, 60), (100, 150)):
        cv2.circle(image, center, 12, 200, -1)
    return cv2.GaussianBlur(image, (0, 0), 5)[:, :, None] if blur else image[:, :, None]


def to_edge():
    image = upright()
    image[:40] = image[40:80]
    return image


CASES = {
    "padded": upright(),
    "colour": np.repeat(upright(), 3, axis=2),
    "deep": upright().astype(np.uint16) * 200,
    "to the border": to_edge(),
    "clipped": cells(),
    "full": textured(),
    "black": np.zeros((100, 120, 1), np.uint8),
    "one row": np.zeros((1, 10, 1), np.uint8),
    "one column": np.full((10, 1, 1), 9, np.uint8),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("ignored", [True, False])
def test_it_is_that_of_the_whole_image(name, ignored):
    image = CASES[name]
    expected = field_of_view(image, ignored)
    found = Field(Whole(image), ignored)
    assert (found.rows(0, len(image)) == expected).all()
    assert found.area == expected.sum() and found.everything == expected.all()
    some = np.arange(0, len(image), 3), np.arange(0, image.shape[1], 2)
    assert (found.at(*some) == expected[np.ix_(*some)]).all()


@pytest.mark.parametrize("angle", [10, 30, 45])
def test_slanted_and_round_ones_are_found_to_a_pixel(angle):
    image = np.zeros((400, 400), np.uint8)
    image[100:300, 100:300] = textured()[:, :, 0]
    matrix = cv2.getRotationMatrix2D((200, 200), angle, 1)
    turned = cv2.warpAffine(image, matrix, (400, 400))
    disc = np.where(cv2.circle(np.zeros_like(image), (200, 190), 150, 1, -1) > 0, 120, 0)
    for frame in (turned, disc.astype(np.uint8), cells(blur=5)[:, :, 0]):
        expected = field_of_view(frame[:, :, None])
        found = Field(Whole(frame[:, :, None])).rows(0, len(frame))
        different = (found != expected).astype(np.uint8)
        assert different.mean() < 0.003
        assert cv2.erode(different, np.ones((2, 2), np.uint8)).max() == 0


def test_it_is_continued_as_the_whole_image_is(monkeypatch):
    monkeypatch.setattr(field_of_view_module, "REACH", 60)
    monkeypatch.setattr(field_of_view_module, "CHUNK", 70)
    image = upright()
    field = field_of_view(image)
    expected = fill_outside_fov(image, field)
    source = FilledRows(Whole(image), Field(Whole(image)))
    found = np.concatenate([source.rows(a, min(a + 33, 300)) for a in range(0, 300, 33)])
    near = cv2.dilate(field.astype(np.uint8), np.ones((59, 59), np.uint8)) > 0
    assert (found[near] == expected[near]).all() and near.sum() > field.sum()
