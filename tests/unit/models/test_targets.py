"""What a network of instances learns, on maps small enough to be written down."""

import numpy as np
import pytest
from scipy import ndimage

from coverslip.models import heads

RNG = np.random.default_rng(3)


def blobs(side: int = 64) -> np.ndarray:
    """Discs of several sizes, some of them touching or cut by the edge."""
    label = np.zeros((side, side), np.uint16)
    y, x = np.mgrid[:side, :side]
    for number, (cy, cx, r) in enumerate([(12, 12, 9), (12, 31, 10), (40, 20, 5), (60, 50, 8)], 1):
        label[(y - cy) ** 2 + (x - cx) ** 2 <= r * r] = number
    label[30, 50] = 9  # a single pixel
    return label


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
