"""Polygons are kept by image and drawn as masks would be merged."""

import pickle
from functools import partial

import numpy as np
import pytest

from coverslip.data import polygons
from coverslip.data import polygons as polygons_module
from coverslip.errors import CoverslipError
from coverslip.imaging import labels

RNG = np.random.default_rng(11)


def square(left, top, right, bottom):
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return np.array(corners, np.float32)


def star(size, reach, seed):
    """A polygon around a random point, partly beyond the image."""
    rng = np.random.default_rng(seed)
    angles = np.sort(rng.uniform(0, 2 * np.pi, 12))
    away = rng.uniform(0.4, 1, 12) * reach
    middle = rng.uniform(0, size[::-1])
    return (middle + away[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)).astype("f4")


def whole_mask(polygons, size):
    window, mask = polygons_module.mask_of(polygons, size)
    full = np.zeros(size, bool)
    full[window] = mask
    return full


def test_a_pixel_belongs_to_what_its_middle_lies_in():
    expected = np.zeros((6, 8), bool)
    expected[1:4, 2:5] = True
    for shift in (0, 0.4, -0.4):
        polygon = square(2 + shift, 1 + shift, 5 + shift, 4 + shift)
        np.testing.assert_array_equal(whole_mask([polygon], (6, 8)), expected)


def test_areas_are_those_of_the_polygons():
    ratio = []
    for seed in range(60):
        polygon = star((300, 300), 30, seed) + 40
        x, y = polygon.astype(float).T
        area = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
        ratio.append(whole_mask([polygon], (400, 400)).sum() / area)
    assert abs(np.mean(ratio) - 1) < 0.005


def test_several_polygons_are_one_object_and_the_rest_is_cut_off():
    polygons = [square(-5, -5, 2, 2), square(6, 3, 40, 40)]
    expected = np.zeros((5, 8), bool)
    expected[:2, :2] = expected[3:, 6:] = True
    np.testing.assert_array_equal(whole_mask(polygons, (5, 8)), expected)
    for beyond in (square(-9, -9, -2, -2), square(20, 1, 30, 3)):
        assert not whole_mask([beyond], (5, 8)).any()
    line = np.array([(1, 1), (3, 3), (5, 5)], np.float32)
    assert whole_mask([line], (5, 8)).sum() <= 5
    assert not whole_mask([], (5, 8)).any()


@pytest.mark.parametrize("seed", range(5))
def test_label_maps_are_those_of_masks(seed):
    size = (60, 80)
    objects = [[star(size, 25, 100 * seed + number)] for number in range(15)]
    objects += [[square(90, 90, 95, 95)], objects[3], objects[3]]
    found = polygons.label_map(objects, size)
    expected = labels.from_masks((whole_mask(o, size) for o in objects), size)
    np.testing.assert_array_equal(found.label, expected.label)
    assert found[1:] == expected[1:]
    assert found.label.dtype == np.int32


def test_no_objects_make_an_empty_label_map():
    found = polygons.label_map([], (4, 5))
    assert found.objects == 0 and not found.label.any() and found.label.shape == (4, 5)


def test_outlines_come_back_by_image_in_their_order(tmp_path):
    path = tmp_path / "a folder with spaces %20#" / "outlines.sqlite"
    path.parent.mkdir()
    objects = [
        (int(RNG.integers(4)), [star((50, 50), 9, (n, k)) for k in range(1 + n % 3)])
        for n in range(40)
    ]
    polygons_module.write(path, iter([*objects, (9, [])]))
    for image in range(4):
        expected = [polygons for number, polygons in objects if number == image]
        found = list(polygons_module.read(path, image))
        assert len(found) == len(expected)
        for outlines, originals in zip(found, expected, strict=True):
            assert len(outlines) == len(originals)
            for polygon, original in zip(outlines, originals, strict=True):
                np.testing.assert_array_equal(polygon, original)
    assert list(polygons_module.read(path, 9)) == [[]]
    assert list(polygons_module.read(path, 77)) == []


def test_drawing_can_be_sent_and_refuses_another_size(tmp_path):
    path = tmp_path / "outlines.sqlite"
    polygons.write(path, [(3, [square(1, 1, 3, 4)])])
    draw = partial(polygons.draw, path=path, image=3, stated=(6, 7), name="x: a.tif")
    assert pickle.loads(pickle.dumps(draw))((6, 7)).label.sum() == 6
    with pytest.raises(CoverslipError, match="x: a.tif: an image of 7x6 pixels, but its annot"):
        draw((7, 6))


def test_a_full_disk_is_an_error_of_the_disk(tmp_path, monkeypatch):
    class Full:
        def execute(self, *_):
            raise polygons.sqlite3.OperationalError("database or disk is full")

        def close(self):
            pass

    monkeypatch.setattr(polygons.sqlite3, "connect", lambda path: Full())
    with pytest.raises(OSError, match="No space left"):
        polygons.write(tmp_path / "outlines.sqlite", [])
