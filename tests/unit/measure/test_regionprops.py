"""Objects, field of view and their numbers on images drawn by hand."""

import sys

import cv2
import numpy as np
import pandas as pd
import pytest
from skimage.measure import regionprops_table

from coverslip.errors import CoverslipError
from coverslip.imaging.field_of_view import field_of_view, fill_outside_fov
from coverslip.imaging.labels import components, drop_small
from coverslip.imaging.overlay import draw_objects, plain_image
from coverslip.imaging.palette import ORANGE, SKY, paint
from coverslip.measure.regionprops import (
    BASIC,
    OBJECTS,
    add_neighbors,
    background_level,
    object_table,
    summary,
)


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


def blobs(height=160, width=170, seed=8):
    """Return objects that touch each other and the border, with holes, in pieces and of a pixel."""
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(size=(height, width)), (0, 0), 3)
    label = components(noise > 0.02)
    cut = cv2.GaussianBlur(rng.normal(size=label.shape), (0, 0), 5) > 0
    label = np.where(cut & (label > 0), label + label.max(), label)
    label[3, 3], label[10:14, 20] = label.max() + 5, label.max() + 9  # and numbers are missing
    return label.astype(np.int32)


NAMES = {
    "perimeter_px": "perimeter",
    "axis_major_length_px": "axis_major_length",
    "axis_minor_length_px": "axis_minor_length",
    "feret_diameter_max_px": "feret_diameter_max",
    "area_px": "area",
    "eccentricity": "eccentricity",
    "solidity": "solidity",
    "mean_intensity": "intensity_mean",
    "std_intensity": "intensity_std",
    "min_intensity": "intensity_min",
    "max_intensity": "intensity_max",
}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_features_are_those_of_scikit_image(dtype):
    label = blobs()
    rng = np.random.default_rng(1)
    image = rng.integers(0, np.iinfo(dtype).max, label.shape).astype(dtype)
    expected = regionprops_table(label, image, properties=("label", *NAMES.values()))
    table = object_table(label, image[:, :, np.newaxis], (0.5, 0.5))
    assert len(table) >= 40 and list(table["label"]) == list(expected["label"])
    for ours, name in NAMES.items():
        assert table[ours].to_numpy(float) == pytest.approx(expected[name], abs=6e-5), ours
    for number, row in zip(table["label"], table.itertuples(), strict=True):
        inside = image[label == number].astype(float)
        assert row.median_intensity == np.median(inside)
        assert row.integrated_intensity == inside.sum()
        background = np.median(image[label == 0])
        assert row.background_corrected_intensity == pytest.approx(
            inside.mean() - background, abs=6e-5
        )


def test_lengths_in_micrometres_are_those_of_scikit_image():
    label = blobs(90, 100)
    image = np.zeros((*label.shape, 1), np.uint8)
    lengths = ("axis_major_length", "axis_minor_length", "feret_diameter_max")
    for size in ((0.5, 0.5), (0.5, 0.2)):
        table = object_table(label, image, size)
        expected = regionprops_table(label, spacing=size, properties=("area", *lengths))
        assert table["area_um2"].to_numpy() == pytest.approx(expected["area"], abs=6e-5)
        for name in lengths:
            assert table[f"{name}_um"].to_numpy() == pytest.approx(expected[name], abs=6e-5), name
    assert table["perimeter_um"].isna().all()  # scikit-image raises an error, too
    assert object_table(label, image, (0.5, 0.5))["perimeter_um"].to_numpy() == pytest.approx(
        table["perimeter_px"] / 2, abs=1e-4
    )
    unknown = object_table(label, image, None)
    assert unknown["axis_major_length_um"].isna().all() and unknown["solidity"].notna().all()


def test_each_channel_has_its_columns():
    label = np.zeros((20, 20), np.int32)
    label[2:6, 2:6], label[10:14, 2:6] = 1, 2
    green = np.full((20, 20), 10, np.uint16)
    green[label == 2] = 510
    field = np.ones((20, 20), bool)
    table = object_table(
        label,
        np.zeros((20, 20, 1), np.uint8),
        (2.0, 1.0),
        channels={"GFP": green, "DAPI": green // 10},
        confidence=np.array([0.6, 0.9]),
        field=field,
    )
    assert list(table["mean_intensity_GFP"]) == [10, 510]
    assert list(table["background_corrected_intensity_DAPI"]) == [0, 50]
    assert list(table["integrated_intensity_GFP"]) == [160, 16 * 510]
    assert list(table["nearest_neighbor_px"]) == [8, 8]
    assert list(table["nearest_neighbor_um"]) == [16, 16]
    assert list(table["confidence"]) == pytest.approx([0.6, 0.9])
    alone = object_table(label * (label < 2), np.zeros((20, 20, 1), np.uint8), None)
    assert alone["nearest_neighbor_px"].isna().all() and alone["confidence"].isna().all()


def test_a_part_of_an_image_has_the_places_of_the_whole():
    label = blobs()
    image = np.random.default_rng(2).integers(0, 255, (*label.shape, 1), dtype=np.uint8)
    level = {"": background_level(image[:, :, 0], label)}
    whole = object_table(label, image, (0.5, 0.3), background=level)
    number = int(whole.loc[~whole["touches_border"], "area_px"].idxmax())
    row = whole.iloc[[number]].reset_index(drop=True)
    top, left, bottom, right = (int(row.iloc[0][name]) for name in list(row)[7:11])
    box = np.s_[top:bottom, left:right]
    own = np.where(label[box] == row["label"][0], label[box], 0)
    part = object_table(
        own, image[box], (0.5, 0.3), background=level, origin=(top, left), shape=label.shape
    )
    again = add_neighbors(pd.concat([whole.drop(index=number), part]), (0.5, 0.3))
    pd.testing.assert_frame_equal(again.iloc[[-1]].reset_index(drop=True), row, atol=1.1e-4)


def test_basic_features_and_no_objects():
    label = blobs(60, 60)
    image = np.zeros((60, 60, 1), np.uint8)
    standard = object_table(label, image, (1.0, 1.0))
    basic = object_table(label, image, (1.0, 1.0), features="basic")
    assert list(basic) == list(BASIC)
    pd.testing.assert_frame_equal(basic, standard[list(BASIC)])
    empty = object_table(label * 0, image, None, channels={"GFP": image[:, :, 0]})
    assert empty.empty and "max_intensity_GFP" in empty
    assert list(empty)[: len(OBJECTS)] == [*OBJECTS]


def test_cellprofiler_features_are_those_of_its_package():
    bulk = pytest.importorskip("cp_measure.bulk", reason="needs the extra `features`")
    label = np.where(blobs(60, 60) > 3, blobs(60, 60), 0).astype(np.int32)
    image = np.random.default_rng(3).integers(0, 65535, (*label.shape, 1), dtype=np.uint16)
    channels = {"DAPI": image[:, :, 0], "GFP": 65535 - image[:, :, 0]}
    table = object_table(label, image, None, channels=channels, features="all")
    assert len(table) == len(np.unique(label)) - 1
    assert (table["cp_Area"] == table["area_px"]).all()
    assert "cp_Area_DAPI" not in table and table.columns.is_unique
    expected = table["mean_intensity_GFP"] / 65535
    assert table["cp_Intensity_MeanIntensity_GFP"].to_numpy() == pytest.approx(expected, abs=1e-4)
    dense = np.unique(label, return_inverse=True)[1].reshape(label.shape).astype(np.int32)
    texture = bulk.get_core_measurements()["texture"](dense, channels["DAPI"] / 65535)
    assert len(texture) > 20
    for name, values in texture.items():
        found = table[f"cp_{name}_DAPI"].to_numpy()
        assert found == pytest.approx(np.asarray(values), rel=1e-5, nan_ok=True), name
    assert np.isfinite(table.filter(like="cp_Contrast").to_numpy()).any()


def test_cellprofiler_features_need_their_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "cp_measure.bulk", None)
    with pytest.raises(CoverslipError, match=r"coverslip\[features\]"):
        object_table(blobs(40, 40), np.zeros((40, 40, 1), np.uint8), None, features="all")


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
    plain = plain_image(np.full((600, 600, 1), 90, np.uint8), np.ones_like(mask))
    shown = draw_objects(plain, label, mask)
    assert (shown[100, 150] == paint(ORANGE)).all() and (shown[400, 400] == paint(SKY)).all()
    assert (shown[99, 150] == 0).all() and (shown[150, 150] == shown[300, 300]).all()
    plain = plain_image(np.full((2, 5, 1), 90, np.uint8), mask[:2, :5])
    small = draw_objects(plain, label[:2, :5], mask[:2, :5])
    assert small.shape == (204, 510, 3)
