"""Objects, field of view and their numbers on images drawn by hand."""

import cv2
import numpy as np
import pytest

from coverslip.imaging.field_of_view import field_of_view, fill_outside_fov
from coverslip.imaging.labels import components, drop_small
from coverslip.measure.overlay import overlay, paint
from coverslip.measure.regionprops import OBJECTS, object_table, summary
from coverslip.reporting.figures.style import ORANGE, SKY


def textured(height=200, width=200):
    rng = np.random.default_rng(3)
    return rng.integers(90, 160, (height, width, 1), dtype=np.uint8)


def test_padding_is_found_exactly():
    image = np.zeros((300, 260, 1), np.uint8)
    image[40:240, 30:230] = textured()
    field = field_of_view(image)
    assert field[40:240, 30:230].all() and field.sum() == 200 * 200
    assert field_of_view(image, False).all()


def test_a_turned_field_is_found():
    image = np.zeros((400, 400), np.uint8)
    image[100:300, 100:300] = textured()[:, :, 0]
    matrix = cv2.getRotationMatrix2D((200, 200), 30, 1)
    turned = cv2.warpAffine(image, matrix, (400, 400))[:, :, np.newaxis]
    field = field_of_view(turned)
    assert field.sum() == pytest.approx(200 * 200, rel=0.03)
    assert (turned[:, :, 0][field] > 0).all()


def test_cells_on_clipped_background_are_not_a_field():
    image = np.zeros((200, 200), np.uint8)
    for center in ((60, 70), (140, 60), (100, 150)):
        cv2.circle(image, center, 12, 200, -1)
    assert field_of_view(image[:, :, np.newaxis]).all()
    blurred = cv2.GaussianBlur(
        cv2.circle(np.zeros((200, 200), np.uint8), (9, 9), 5, 250, -1), (0, 0), 3
    )
    assert field_of_view(blurred[:, :, np.newaxis]).all()


@pytest.mark.parametrize("size", [30, 90, 160])
def test_a_nucleus_on_a_clipped_background_is_not_a_field(size):
    """The background of fluorescence is 0 where it was clipped; a nucleus is no field of view."""
    image = np.zeros((512, 512), np.uint8)
    cv2.ellipse(image, (200, 240), (size, size * 2 // 3), 30, 0, 360, 180, -1)
    image[(textured(512, 512)[:, :, 0] > 120) & (image > 0)] = 150
    assert (image == 0).mean() > 0.7
    assert field_of_view(image[:, :, np.newaxis]).all()


def test_sparse_nuclei_on_a_clipped_background_are_not_a_field():
    rng = np.random.default_rng(5)
    image = np.zeros((512, 512), np.uint8)
    for y, x in rng.integers(40, 470, (9, 2)).tolist():
        cv2.circle(image, (x, y), 20, 170, -1)
    assert (image == 0).mean() > 0.95
    assert field_of_view(image[:, :, np.newaxis]).all()


@pytest.mark.parametrize("shape", [(100, 120), (1, 10), (10, 1), (2, 5)])
def test_black_everywhere_is_an_empty_field(shape):
    assert field_of_view(np.zeros((*shape, 1), np.uint8)).all()
    assert field_of_view(np.full((*shape, 1), 9, np.uint8)).all()


def test_a_field_is_continued_by_reflection():
    image = np.zeros((300, 260, 3), np.uint8)
    image[40:240, 30:230] = textured()
    field = field_of_view(image)
    whole = fill_outside_fov(image, field)
    assert (whole[field] == image[field]).all() and whole.min() >= 90
    assert (whole[30, 100] == image[50, 100]).all()


def test_objects_are_components_of_enough_pixels():
    mask = np.zeros((30, 30), bool)
    mask[2:6, 2:6] = True
    mask[6, 6] = True  # touches by a corner
    mask[20:23, 20:23] = True
    mask[28, 1] = True
    label = drop_small(components(mask), 9)
    assert label.dtype == np.int32 and label.max() == 2
    assert label[6, 6] == label[2, 2] == 1 and label[21, 21] == 2 and label[28, 1] == 0
    assert drop_small(components(mask), 10).max() == 1
    assert drop_small(components(mask), 0).max() == 3


def test_numbers_of_an_object():
    label = np.zeros((40, 50), np.int32)
    label[10:20, 5:25] = 1
    image = np.zeros((40, 50, 1), np.uint16)
    image[10:20, 5:25] = 1000
    image[10, 5] = 1200
    table = object_table(label, image, (0.5, 0.25))
    assert list(table.columns) == list(OBJECTS)
    row = table.iloc[0]
    assert row["area_px"] == 200 and row["area_um2"] == 25
    assert (row["centroid_y_px"], row["centroid_x_px"]) == (14.5, 14.5)
    assert (row["centroid_y_um"], row["centroid_x_um"]) == (7.25, 3.625)
    assert [row[f"bbox_{at}"] for at in ("min_row", "min_col", "max_row", "max_col")] == [
        10,
        5,
        20,
        25,
    ]
    assert [row[f"{side}_um"] for side in ("top", "left", "bottom", "right")] == [5, 1.25, 10, 6.25]
    # Ellipse of the moments of a 10x20 rectangle: axes as 10 to 20, here with pixels as squares.
    assert row["eccentricity"] == pytest.approx(np.sqrt(1 - 100 / 400), abs=2e-3)
    assert row["mean_intensity"] == 1001 and not row["touches_border"]
    assert object_table(label, image, None)["area_um2"].isna().all()
    assert object_table(label[10:], image[10:], None)["touches_border"].all()
    assert object_table(label * 0, image, None).empty


def test_summary_of_a_image():
    mask = np.zeros((100, 100), bool)
    mask[10:20, 10:20] = True
    mask[50, 50] = True
    label = drop_small(components(mask), 16)
    objects = object_table(label, mask[:, :, np.newaxis].astype(np.uint8), (2, 2))
    numbers = summary(101, 5001, objects, (2.0, 2.0))
    assert numbers["confluency_percent"] == round(100 * 101 / 5001, 4)
    assert numbers["n_objects"] == 1 and numbers["mean_area_um2"] == 400
    assert numbers["objects_per_mm2"] == pytest.approx(1e6 / (5001 * 4), rel=1e-4)
    empty = summary(0, 0, objects.iloc[:0], None)
    assert empty["confluency_percent"] is None and empty["mean_area_px"] is None


def test_overlay_draws_edges_and_enlarges_small_images():
    label = np.zeros((600, 600), np.int32)
    label[100:200, 100:200] = 1
    mask = label > 0
    mask[400, 400] = True
    shown = overlay(np.full((600, 600, 1), 90, np.uint8), label, mask, np.ones_like(mask))
    assert (shown[100, 150] == paint(ORANGE)).all() and (shown[400, 400] == paint(SKY)).all()
    assert (shown[99, 150] == 0).all() and (shown[150, 150] == shown[300, 300]).all()
    small = overlay(np.full((2, 5, 1), 90, np.uint8), label[:2, :5], mask[:2, :5], mask[:2, :5])
    assert small.shape == (204, 510, 3)
