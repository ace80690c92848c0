"""How values of images become one value."""

import numpy as np
import pytest

from coverslip.metrics.metric import (
    Layout,
    Metric,
    Support,
    expand_classes,
    image_statistics,
    ratio,
    sum_statistics,
)

IMAGES = {"hits": np.array([1.0, 0, 6]), "all": np.array([2.0, 0, 8])}
INPUTS = ("hits", "all")
POOLED = Metric("pooled", ratio, INPUTS, Support("things", "all"), "")
MEAN = Metric("mean", ratio, INPUTS, Support("images"), "", average="mean")


def value(metric, images=IMAGES):
    return float(metric.compute(sum_statistics([metric], images)))


def test_pooled_metrics_take_sums():
    assert value(POOLED) == 7 / 10
    assert POOLED.count(sum_statistics([POOLED], IMAGES)) == 10


def test_means_leave_out_undefined_images():
    assert value(MEAN) == (0.5 + 0.75) / 2
    assert MEAN.count(sum_statistics([MEAN], IMAGES)) == 2
    nothing = {name: array[1:2] for name, array in IMAGES.items()}
    assert np.isnan(value(MEAN, nothing)) and np.isnan(value(POOLED, nothing))


def test_root_mean_square():
    rms = Metric("rms", ratio, INPUTS, Support("images"), "", average="root_mean_square")
    assert value(rms) == pytest.approx(np.sqrt((0.5**2 + 0.75**2) / 2))


def test_only_selected_images_count():
    large = Metric(
        "large",
        ratio,
        INPUTS,
        Support("images"),
        "",
        average="mean",
        selected=lambda hits, all: all > 5,
    )
    assert value(large) == 0.75
    assert large.count(sum_statistics([large], IMAGES)) == 1


def test_metrics_of_each_class_come_last():
    of_class = Metric("c", ratio, INPUTS, Support("things", "all"), "", by_class=True)
    expanded = expand_classes([of_class, POOLED], 2)
    assert [(m.name, m.class_index) for m in expanded] == [("pooled", None), ("c", 0), ("c", 1)]
    images = {"hits": np.array([[1.0, 3], [1, 1]]), "all": np.array([[4.0, 4], [4, 4]])}
    sums = sum_statistics(expanded[1:], images)
    assert [float(metric.compute(sums)) for metric in expanded[1:]] == [2 / 8, 4 / 8]
    assert [float(metric.count(sums)) for metric in expanded[1:]] == [8, 8]


def test_packed_statistics_keep_their_axes():
    rng = np.random.default_rng(1)
    statistics = {"a": rng.random(5), "b": rng.random((5, 2)), "c": rng.random((5, 3, 3))}
    layout = Layout(statistics)
    packed = layout.pack(statistics)
    assert packed.shape == (5, 12)
    unpacked = layout.unpack(np.stack([packed, 2 * packed]))
    for name, array in statistics.items():
        np.testing.assert_array_equal(unpacked[name], np.stack([array, 2 * array]))


def test_sums_may_have_further_axes():
    statistics = image_statistics([POOLED, MEAN], IMAGES)
    sums = {name: np.broadcast_to(array.sum(), (3, 2)) for name, array in statistics.items()}
    for metric in (POOLED, MEAN):
        assert metric.compute(sums).shape == metric.count(sums).shape == (3, 2)
        assert (metric.compute(sums) == value(metric)).all()
