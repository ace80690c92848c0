"""Scores of classes against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn import metrics as reference

from coverslip.metrics import classification
from coverslip.metrics.definitions import CLASSIFICATION
from coverslip.metrics.metric import expand_classes, sum_statistics
from coverslip.models.heads import calibrated_probabilities

CLASSES = 4


def made_up(seed=0, images=300, classes=CLASSES, sharpness=2.0):
    """Truth, and logits that are right more often than not; the last class is rare."""
    rng = np.random.default_rng(seed)
    share = np.arange(classes, 0, -1) ** 2.0
    truth = rng.choice(classes, images, p=share / share.sum())
    logits = rng.normal(0, 1, (images, classes))
    logits[np.arange(images), truth] += 1.5
    return truth, sharpness * logits


def values_of(truth, raw, calibrated):
    classes = raw.shape[1]
    metrics = expand_classes(CLASSIFICATION, classes)
    sums = sum_statistics(metrics, classification.statistics(truth, raw, calibrated))
    values = {(m.name, m.class_index): float(m.compute(sums)) for m in metrics}
    return values, {(m.name, m.class_index): int(m.count(sums)) for m in metrics}


@pytest.mark.parametrize("classes", [2, 4, 9])
def test_equal_to_scikit_learn(classes):
    truth, logits = made_up(classes=classes)
    raw, calibrated = calibrated_probabilities(logits), calibrated_probabilities(logits, 1.7)
    predicted = logits.argmax(axis=1)
    confusion = classification.statistics(truth, raw, calibrated)["confusion"].sum(axis=0)
    np.testing.assert_array_equal(confusion, reference.confusion_matrix(truth, predicted))
    values, support = values_of(truth, raw, calibrated)
    assert values["accuracy", None] == reference.accuracy_score(truth, predicted)
    expected = reference.balanced_accuracy_score(truth, predicted)
    assert values["balanced_accuracy", None] == pytest.approx(expected)
    assert values["log_loss", None] == pytest.approx(reference.log_loss(truth, calibrated))
    assert values["log_loss_uncalibrated", None] == pytest.approx(reference.log_loss(truth, raw))
    scores = reference.precision_recall_fscore_support(truth, predicted, zero_division=0)
    for name, expected in zip(("precision", "recall", "f1"), scores[:3], strict=True):
        np.testing.assert_allclose([values[name, index] for index in range(classes)], expected)
    assert values["macro_f1", None] == pytest.approx(scores[2].mean())
    assert values["macro_precision", None] == pytest.approx(scores[0].mean())
    assert [support["recall", index] for index in range(classes)] == scores[3].tolist()
    assert support["accuracy", None] == support["log_loss", None] == len(truth)


def test_classes_that_are_absent_or_never_predicted():
    raw = np.eye(4)[[0, 1, 1, 1]]
    values, _ = values_of(np.array([0, 0, 1, 2]), raw, raw)
    assert values["recall", 2] == values["precision", 2] == values["f1", 2] == 0
    assert np.isnan([values["recall", 3], values["precision", 3], values["f1", 3]]).all()
    assert values["balanced_accuracy", None] == pytest.approx((0.5 + 1 + 0) / 3)
    assert values["macro_f1", None] == pytest.approx((2 / 3 + 0.5 + 0) / 3)
    assert values["log_loss", None] == pytest.approx(-2 * np.log(1e-7) / 4)
    nothing, _ = values_of(np.empty(0, int), np.empty((0, 4)), np.empty((0, 4)))
    assert np.isnan(list(nothing.values())).all()


def test_calibration_error_by_hand():
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 1 / 15, 0.6])
    correct = np.array([1, 1, 1, 0, 0, 1], bool)
    raw = np.column_stack([confidence, np.zeros((6, 14)) + (1 - confidence)[:, None] / 14])
    truth = np.where(correct, 0, 1)
    values, _ = values_of(truth, raw, raw)
    # Of a confidence of 1/15 all classes are equally probable, which is the first bin's upper end.
    expected = (abs(3 - 4 * 0.95) + abs(0 - 1 / 15) + abs(1 - 0.6)) / 6
    assert values["ece", None] == pytest.approx(expected)
    bins = classification.statistics(truth, raw, raw)["bins_raw"].sum(axis=0)
    assert bins[14].tolist() == [4, 3, pytest.approx(3.8)]
    assert bins[0, 0] == bins[8, 0] == 1
    assert bins[:, 0].sum() == 6


def test_top_confusions():
    counts = np.array([[5, 2, 0], [2, 6, 3], [0, 0, 0]])
    found = classification.top_confusions(counts, ["a", "b", "c"])
    assert found == [
        {"true": "b", "predicted": "c", "images": 3, "fraction": round(3 / 11, 6)},
        {"true": "a", "predicted": "b", "images": 2, "fraction": round(2 / 7, 6)},
        {"true": "b", "predicted": "a", "images": 2, "fraction": round(2 / 11, 6)},
    ]
    assert len(classification.top_confusions(counts, ["a", "b", "c"], most=1)) == 1
