"""Temperature of probabilities."""

import numpy as np
import pytest
from label_pairs import blobs
from scipy import ndimage

from coverslip.models import heads


def test_temperature_is_found_again():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 5))
    shares = heads.calibrated_probabilities(logits)
    truth = (shares.cumsum(axis=1) > rng.random((20_000, 1))).argmax(axis=1)
    for factor in (0.5, 1.0, 3.0):
        assert heads.fit_temperature(factor * logits, truth) == pytest.approx(factor, rel=0.03)


def test_temperature_corrects_overconfidence_alone():
    rng = np.random.default_rng(0)
    truth = rng.choice(4, 2000, p=np.array([16, 9, 4, 1]) / 30)
    logits = rng.normal(0, 1, (2000, 4))
    logits[np.arange(2000), truth] += 1.5
    logits *= 4
    value = heads.fit_temperature(logits[:1000], truth[:1000])
    assert value > 2
    raw = heads.calibrated_probabilities(logits[1000:])
    calibrated = heads.calibrated_probabilities(logits[1000:], value)
    np.testing.assert_array_equal(raw.argmax(axis=1), calibrated.argmax(axis=1))
    np.testing.assert_allclose(calibrated.sum(axis=1), 1)
    correct = raw.argmax(axis=1) == truth[1000:]
    before, after = (abs(p.max(axis=1).mean() - correct.mean()) for p in (raw, calibrated))
    assert after < before / 2


def test_temperature_without_errors_or_without_images():
    truth = np.array([0, 1, 2])
    assert heads.fit_temperature(np.eye(3), truth) == pytest.approx(heads.BOUNDS[0], rel=1e-3)
    assert heads.fit_temperature(np.empty((0, 3)), truth[:0]) == 1.0
    assert np.isfinite(heads.fit_temperature(np.eye(3) * 1e4, truth[[1, 1, 1]]))


# --- What the channels of an answer mean


def test_foreground_and_classes():
    one = np.array([[[0.3], [0.4], [0.9]]], np.float32)
    assert heads.foreground(one).tolist() == one[..., 0].tolist()
    assert heads.class_map(one, float(np.float32(0.4))).tolist() == [[0, 1, 1]]
    two = np.concatenate([1 - one, one], axis=-1)
    assert heads.foreground(two) == pytest.approx(one[..., 0])
    assert heads.class_map(two, 0.35).tolist() == [[0, 1, 1]]
    three = np.array([[[0.5, 0.3, 0.2], [0.2, 0.3, 0.5]]], np.float32)
    assert heads.foreground(three).tolist() == pytest.approx(np.array([[0.5, 0.8]]))
    result = heads.class_map(three, 0.35)
    assert result.tolist() == [[0, 2]] and result.dtype == np.uint8
    assert heads.class_map(three, 0.55, "instance").tolist() == [[0, 1]]


# --- What a network of instances learns, on maps small enough to be written down

RNG = np.random.default_rng(3)


def test_a_mask_is_all_objects():
    label = blobs()
    found = heads.encode(label[None], "semantic")
    assert found.dtype == np.uint8 and np.array_equal(found[0], label > 0)


def test_a_square_written_out():
    label = np.zeros((12, 12), np.uint16)
    label[2:10, 2:10] = 5
    classes, depth = np.moveaxis(heads.instances(label), -1, 0)
    # 8 pixels wide: distances to the outline 1, 2, 3, 4; half of the deepest (4) is interior.
    assert classes[5].tolist() == [0, 0, 2, 1, 1, 1, 1, 1, 1, 2, 0, 0]
    assert depth[5].tolist() == [0, 0, 64, 128, 191, 255, 255, 191, 128, 64, 0, 0]


def test_each_object_has_an_interior_and_a_deepest_pixel():
    label = blobs()
    classes, depth = np.moveaxis(heads.instances(label), -1, 0)
    assert np.array_equal(classes > 0, label > 0) and not depth[label == 0].any()
    numbers = np.unique(label[label > 0])
    assert (ndimage.maximum(depth, label, numbers) == 255).all()
    assert (ndimage.maximum(classes == heads.INTERIOR, label, numbers) == 1).all()


def test_touching_objects_are_parted_by_border():
    label = blobs()
    classes = heads.instances(label)[..., 0]
    _, parts = ndimage.label(classes == heads.INTERIOR)
    _, regions = ndimage.label(label > 0)
    assert parts == 5 and regions == 4


def test_depth_is_the_distance_to_what_is_not_the_object():
    label = blobs()
    found = heads.depth(label)
    for number in np.unique(label[label > 0]):
        alone = np.pad(label == number, 1, "edge")  # the edge of the patch is no outline
        exact = ndimage.distance_transform_edt(alone)[1:-1, 1:-1]
        inside = label == number
        assert np.abs(found[inside] - exact[inside]).max() <= 1.0


@pytest.mark.parametrize("value", [0, 7])
def test_a_patch_of_one_kind(value):
    found = heads.encode(np.full((1, 8, 8), value, np.uint16), "instance")
    assert found.shape == (1, 8, 8, 2)
    assert (found[..., 0] == (heads.INTERIOR if value else 0)).all()
    assert (found[..., 1] == (255 if value else 0)).all()
