"""What the channels of an answer mean."""

import numpy as np
import pytest

from coverslip.models import heads


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
