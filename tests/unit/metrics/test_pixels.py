"""Scores of masks against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, jaccard_score, precision_recall_fscore_support

from coverslip.metrics import pixels
from coverslip.metrics.definitions import BLANK_LABELS, PIXELS, REGION_COUNTS
from coverslip.metrics.metric import expand_classes, sum_statistics


def values_of(truth, prediction):
    counts = [pixels.pixel_counts(t, p) for t, p in zip(truth, prediction, strict=True)]
    objects = np.zeros(len(counts))
    metrics = [*expand_classes(PIXELS, 2), BLANK_LABELS]
    sums = sum_statistics(metrics, pixels.statistics(counts, objects, objects))
    return {(m.name, m.class_index): float(m.compute(sums)) for m in metrics}


@pytest.fixture
def masks():
    rng = np.random.default_rng(2)
    truth = rng.random((6, 9, 11)) < 0.2
    prediction = truth ^ (rng.random(truth.shape) < 0.1)
    return truth, prediction


def test_equal_to_scikit_learn(masks):
    truth, prediction = masks
    values = values_of(truth, prediction)
    flat = truth.ravel(), prediction.ravel()
    expected = np.array(precision_recall_fscore_support(*flat))
    for index in (0, 1):
        found = [values[name, index] for name in ("precision", "recall", "f1")]
        np.testing.assert_allclose(found, expected[:3, index])
    assert values["pixel_accuracy", None] == pytest.approx((truth == prediction).mean())
    assert values["iou_pooled", None] == pytest.approx(jaccard_score(*flat))
    assert values["balanced_accuracy", None] == pytest.approx(balanced_accuracy_score(*flat))
    assert values["macro_f1", None] == pytest.approx(expected[2].mean())
    images = [jaccard_score(t.ravel(), p.ravel()) for t, p in zip(truth, prediction, strict=True)]
    assert values["iou", None] == pytest.approx(np.mean(images))


def test_support_is_the_number_of_true_pixels(masks):
    truth, prediction = masks
    counts = [pixels.pixel_counts(t, p) for t, p in zip(truth, prediction, strict=True)]
    metrics = expand_classes(PIXELS, 2)
    sums = sum_statistics(metrics, pixels.statistics(counts, np.zeros(6), np.zeros(6)))
    recalls = [float(m.count(sums)) for m in metrics if m.name == "recall"]
    assert recalls == [(~truth).sum(), truth.sum()]


def test_images_without_foreground_score_one_or_zero():
    tp, fp, fn = np.array([[0, 0, 0], [0, 3, 0]]).T
    np.testing.assert_array_equal(pixels.image_iou(tp, fp, fn), [1, 0])
    np.testing.assert_array_equal(pixels.image_dice(tp, fp, fn), [1, 0])


def test_a_class_that_is_never_predicted_has_precision_zero(masks):
    values = values_of(masks[0], np.zeros_like(masks[0]))
    assert [values[name, 1] for name in ("precision", "recall", "f1")] == [0, 0, 0]


def test_what_has_nothing_to_divide_by_is_undefined():
    nothing = np.zeros((1, 4, 4), dtype=bool)
    values = values_of(nothing, nothing)
    keys = [("precision", 1), ("recall", 1), ("iou_pooled", None), ("balanced_accuracy", None)]
    assert np.isnan([values[key] for key in keys]).all()
    assert values["recall", 0] == 1


def test_blank_accuracy_is_the_predicted_background(masks):
    values = values_of(*masks)
    assert values["accuracy_blank_labels", None] == pytest.approx(1 - masks[1].mean())


def test_counts_of_regions():
    statistics = pixels.statistics(np.zeros((3, 4)), np.array([5, 2, 0]), np.array([4, 5, 0]))
    sums = sum_statistics(REGION_COUNTS, statistics)
    assert {metric.name: float(metric.compute(sums)) for metric in REGION_COUNTS} == {
        "object_count_mae": pytest.approx(4 / 3),
        "object_count_bias": pytest.approx(2 / 3),
        "object_count_ratio": pytest.approx(9 / 7),
    }
