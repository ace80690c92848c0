import numpy as np
import pytest

from coverslip.errors import CoverslipError
from coverslip.imaging.labels import drop_small, from_image, from_masks


def square(y, x, side, shape=(12, 12)):
    mask = np.zeros(shape, bool)
    mask[y : y + side, x : x + side] = True
    return mask


def test_each_mask_is_an_object_even_where_they_touch():
    found = from_masks([square(0, 0, 3), square(0, 3, 3), square(8, 8, 2)], (12, 12))
    assert found.label.dtype == np.int32
    assert (found.objects, found.overlap_pixels, found.empty_masks) == (3, 0, 0)
    assert [(found.label == n).sum() for n in (1, 2, 3)] == [9, 9, 4]
    assert found.label[0, 0] == 1
    assert found.label[0, 3] == 2
    assert found.kind == "mask"


def test_smaller_mask_has_the_overlap_in_any_order():
    large, small = square(0, 0, 6), square(2, 2, 2)
    for masks in ([large, small], [small, large]):
        found = from_masks(masks, (12, 12))
        assert found.overlap_pixels == 4
        assert found.objects == 2
        assert (found.label[small] == found.label[2, 2]).all()
        assert (found.label > 0).sum() == 36
        assert sorted(np.bincount(found.label.ravel())[1:]) == [4, 32]


def test_of_equal_masks_the_first_has_the_overlap():
    found = from_masks([square(0, 0, 3), square(0, 1, 3)], (12, 12))
    assert found.overlap_pixels == 6
    assert found.label[0, 1] == 1
    assert found.label[0, 3] == 2


def test_pixels_of_three_masks_count_once():
    found = from_masks([square(0, 0, 4), square(0, 0, 3), square(0, 0, 2)], (12, 12))
    assert found.overlap_pixels == 9
    assert [(found.label == n).sum() for n in (1, 2, 3)] == [7, 5, 4]


def test_a_mask_given_twice_leaves_no_gap():
    found = from_masks([square(0, 0, 2), square(0, 0, 2), square(5, 5, 2)], (12, 12))
    assert found.objects == 2
    assert found.overlap_pixels == 4
    np.testing.assert_array_equal(np.unique(found.label), [0, 1, 2])


def test_empty_masks_are_counted():
    none = np.zeros((12, 12), bool)
    found = from_masks([none, square(0, 0, 2), none], (12, 12))
    assert (found.objects, found.empty_masks) == (1, 2)
    assert found.label.max() == 1
    found = from_masks([none], (12, 12))
    assert (found.objects, found.empty_masks) == (0, 1)
    assert not found.label.any()


def test_binary_image_gives_components():
    values = np.where(square(0, 0, 3) | square(3, 3, 2) | square(8, 8, 2), 255, 0)
    found = from_image(values.astype(np.uint8), 0, "x")
    # The first two touch by a corner.
    assert found.objects == 2
    assert found.kind == "component"
    assert found.label.dtype == np.int32
    assert (found.label > 0).sum() == 9 + 4 + 4


def test_several_values_are_a_label_map():
    values = np.zeros((12, 12), np.uint16)
    values[0:3, 0:3] = 7
    values[0:3, 3:6] = 4000
    values[9:11, 9:11] = 7
    found = from_image(values, 0, "x")
    assert (found.objects, found.kind) == (2, "label")
    assert found.label[0, 0] == found.label[9, 9] == 1
    assert found.label[0, 3] == 2
    assert found.label[11, 11] == 0
    full = from_image(values[0:3, 0:6], 0, "x")
    assert full.objects == 2
    assert full.label.min() == 1


def test_threshold_makes_soft_edges_hard():
    values = np.zeros((12, 12), np.uint8)
    values[2:8, 2:8] = 90
    values[3:7, 3:7] = 255
    found = from_image(values, 127, "x", lossy=True)
    assert (found.objects, found.kind) == (1, "component")
    assert (found.label > 0).sum() == 16
    values[3, 3] = 127
    assert (from_image(values, 127, "x").label > 0).sum() == 15


def test_soft_edges_without_threshold_are_refused():
    values = np.zeros((12, 12), np.uint8)
    values[2, 2:8] = np.arange(40, 46)
    values[3:7, 3:7] = 255
    with pytest.raises(CoverslipError, match="x: mask with soft edges.*mask_threshold: 127"):
        from_image(values, 0, "x")
    labels = (square(0, 0, 2) + 2 * square(5, 5, 2).astype(int)).astype(np.uint8)
    assert from_image(labels, 0, "x").objects == 2
    with pytest.raises(CoverslipError, match="soft edges"):
        from_image(labels, 0, "x", lossy=True)


def test_empty_image():
    for threshold in (0, 127):
        found = from_image(np.zeros((4, 4), np.uint8), threshold, "x")
        assert (found.objects, found.empty_masks) == (0, 1)


def test_negative_values():
    with pytest.raises(CoverslipError, match="x: mask with negative values"):
        from_image(np.full((2, 2), -1), 0, "x")


def test_small_objects_become_background_and_numbers_close_up():
    label = np.zeros((6, 8), np.int64)
    label[0, :3], label[2, :2], label[4, :5] = 2, 5, 9
    found = drop_small(label, 3)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, (label == 2) + 2 * (label == 9))
    assert drop_small(label, 0).max() == 3
    assert not drop_small(label, 6).any()
    assert not drop_small(np.zeros((0, 3), np.int32), 1).size
