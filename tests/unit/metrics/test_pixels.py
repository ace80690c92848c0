import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, jaccard_score, precision_recall_fscore_support

from coverslip.metrics import pixels


def sums_of(truth, prediction):
    counts = [pixels.pixel_counts(t, p) for t, p in zip(truth, prediction, strict=True)]
    return pixels.statistics(counts, np.zeros(len(counts)), np.zeros(len(counts))).sum(axis=0)


@pytest.fixture
def masks():
    rng = np.random.default_rng(2)
    truth = rng.random((6, 9, 11)) < 0.2
    prediction = truth ^ (rng.random(truth.shape) < 0.1)
    return truth, prediction


def test_equal_to_scikit_learn(masks):
    truth, prediction = masks
    sums = sums_of(truth, prediction)
    flat = truth.ravel(), prediction.ravel()
    wanted = np.array(precision_recall_fscore_support(*flat))
    for index in (0, 1):
        found = [
            pixels.precision(sums, index),
            pixels.recall(sums, index),
            pixels.f1(sums, index),
            pixels.class_support(sums, index),
        ]
        np.testing.assert_allclose(found, wanted[:, index])
    assert pixels.pixel_accuracy(sums) == pytest.approx((truth == prediction).mean())
    assert pixels.iou(sums) == pytest.approx(jaccard_score(*flat))
    balanced = pixels.macro(sums, pixels.recall)
    assert balanced == pytest.approx(balanced_accuracy_score(*flat))
    images = [jaccard_score(t.ravel(), p.ravel()) for t, p in zip(truth, prediction, strict=True)]
    assert pixels.mean(sums, "iou") == pytest.approx(np.mean(images))


def test_image_without_foreground_counts_one_if_nothing_is_found_and_zero_if_not():
    tp, fp, fn = np.array([[0, 0, 0], [0, 3, 0]]).T
    np.testing.assert_array_equal(pixels.image_iou(tp, fp, fn), [1, 0])
    np.testing.assert_array_equal(pixels.image_dice(tp, fp, fn), [1, 0])


def test_class_that_is_never_predicted_has_precision_zero(masks):
    truth, _ = masks
    sums = sums_of(truth, np.zeros_like(truth))
    assert pixels.precision(sums, 1) == 0
    assert pixels.recall(sums, 1) == 0
    assert pixels.f1(sums, 1) == 0


def test_what_has_nothing_to_divide_by_is_undefined():
    nothing = np.zeros((1, 4, 4), dtype=bool)
    sums = sums_of(nothing, nothing)
    for value in (pixels.precision(sums, 1), pixels.recall(sums, 1), pixels.iou(sums)):
        assert np.isnan(value)
    assert pixels.recall(sums, 0) == 1


def test_counts_of_objects():
    counts = np.zeros((3, 4))
    sums = pixels.statistics(counts, np.array([5, 2, 0]), np.array([4, 5, 0])).sum(axis=0)
    by_name = {metric.name: float(metric.compute(sums)) for metric in pixels.segmentation(16)[-3:]}
    assert by_name == {
        "object_count_mae": pytest.approx(4 / 3),
        "object_count_bias": pytest.approx(2 / 3),
        "object_count_ratio": pytest.approx(9 / 7),
    }


def test_blank_accuracy_is_the_share_called_background(masks):
    truth, prediction = masks
    found = pixels.blank_accuracy(sums_of(truth, prediction))
    assert found == pytest.approx(1 - prediction.mean())


def test_one_function_for_many_sums(masks):
    sums = sums_of(*masks)
    stacked = np.broadcast_to(sums, (3, 2, len(sums)))
    for metric in pixels.segmentation(16):
        values = metric.compute(stacked)
        assert values.shape == (3, 2)
        np.testing.assert_array_equal(values, np.broadcast_to(metric.compute(sums), (3, 2)))


def test_every_metric_is_told_once_and_explained():
    found = [(m.name, m.class_index) for m in pixels.segmentation(16)]
    assert len(set(found)) == len(found)
    assert all(len(m.definition) > 30 and m.unit for m in pixels.segmentation(16))
    assert "at least 16 pixels" in pixels.segmentation(16)[-1].definition
