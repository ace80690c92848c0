"""The field of view of a large image, and what continues the image beyond it."""

import cv2
import numpy as np
import pytest

from coverslip.imaging import field_of_view as field_of_view_module
from coverslip.imaging import rows
from coverslip.imaging.field_of_view import FieldOfView, FilledRows, fill_outside_fov
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
def test_it_is_that_of_the_whole_image(name, ignored, monkeypatch):
    image = CASES[name]
    with monkeypatch.context() as patch:
        patch.setattr(rows, "PART", 2**22)
        expected = FieldOfView(Whole(image), ignored).window()
    found = FieldOfView(Whole(image), ignored)
    assert (found.window() == expected).all()
    assert found.area == expected.sum() and found.everything == expected.all()
    some = slice(3, 90), slice(2, 177)
    assert (found.window(*some) == expected[some]).all()


@pytest.mark.parametrize("angle", [10, 30, 45])
def test_windows_of_slanted_and_round_fields_equal_the_whole(angle):
    image = np.zeros((400, 400), np.uint8)
    image[100:300, 100:300] = textured()[:, :, 0]
    matrix = cv2.getRotationMatrix2D((200, 200), angle, 1)
    turned = cv2.warpAffine(image, matrix, (400, 400))
    disc = np.where(cv2.circle(np.zeros_like(image), (200, 190), 150, 1, -1) > 0, 120, 0)
    for frame in (turned, disc.astype(np.uint8), cells(blur=5)[:, :, 0]):
        found = FieldOfView(Whole(frame[:, :, None]))
        whole = found.window()
        for top in range(0, len(frame), 90):
            for left in range(0, frame.shape[1], 70):
                window = slice(top, top + 90), slice(left, left + 70)
                different = found.window(*window) != whole[window]
                assert different.mean() < 0.006, "at most pixels of the edge"


def test_it_is_continued_as_the_whole_image_is(monkeypatch):
    monkeypatch.setattr(field_of_view_module, "MARGIN", 60)
    image = upright()
    seen = FieldOfView(Whole(image))
    field = seen.window()
    expected = fill_outside_fov(image, field)
    source = FilledRows(Whole(image), seen)
    found = np.concatenate([source.rows(a, min(a + 33, 300)) for a in range(0, 300, 33)])
    near = cv2.dilate(field.astype(np.uint8), np.ones((59, 59), np.uint8)) > 0
    assert (found[near] == expected[near]).all() and near.sum() > field.sum()
