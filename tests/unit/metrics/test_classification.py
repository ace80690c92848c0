"""Metrics of classes against scikit-learn, calibration, and the baselines."""

import numpy as np
import pytest
from sklearn import metrics as reference

from coverslip.metrics import baselines
from coverslip.metrics import classification as metrics
from coverslip.metrics.intervals import resampled_sums
from coverslip.models import heads

CLASSES = 4


def made_up(seed=0, images=300, classes=CLASSES, sharpness=2.0):
    """Truth, and logits that are right more often than not; the last class is rare."""
    rng = np.random.default_rng(seed)
    share = np.arange(classes, 0, -1) ** 2.0
    truth = rng.choice(classes, images, p=share / share.sum())
    logits = rng.normal(0, 1, (images, classes))
    logits[np.arange(images), truth] += 1.5
    return truth, sharpness * logits


def named(classes=CLASSES):
    return {(m.name, m.class_index): m for m in metrics.classification(classes)}


@pytest.mark.parametrize("classes", [2, 4, 9])
def test_as_scikit_learn_counts(classes):
    truth, logits = made_up(classes=classes)
    raw, calibrated = (
        heads.calibrated_probabilities(logits),
        heads.calibrated_probabilities(logits, 1.7),
    )
    predicted = logits.argmax(axis=1)
    sums = metrics.statistics(truth, raw, calibrated).sum(axis=0)
    assert metrics.number_of_classes(sums) == classes
    np.testing.assert_array_equal(
        metrics.confusion(sums), reference.confusion_matrix(truth, predicted)
    )
    found = {key: metric.compute(sums) for key, metric in named(classes).items()}
    assert found["accuracy", None] == reference.accuracy_score(truth, predicted)
    expected = reference.balanced_accuracy_score(truth, predicted)
    assert found["balanced_accuracy", None] == pytest.approx(expected)
    assert found["log_loss", None] == pytest.approx(reference.log_loss(truth, calibrated))
    assert found["log_loss_uncalibrated", None] == pytest.approx(reference.log_loss(truth, raw))
    each = reference.precision_recall_fscore_support(truth, predicted, zero_division=0)
    for name, values in zip(("precision", "recall", "f1"), each[:3], strict=True):
        got = [found[name, index] for index in range(classes)]
        np.testing.assert_allclose(got, values)
    assert found["macro_f1", None] == pytest.approx(each[2].mean())
    assert found["macro_precision", None] == pytest.approx(each[0].mean())
    support = [named(classes)["recall", index].support(sums) for index in range(classes)]
    np.testing.assert_array_equal(support, each[3])


def test_classes_that_are_absent_or_never_predicted():
    raw = np.eye(4)[[0, 1, 1, 1]]
    sums = metrics.statistics(np.array([0, 0, 1, 2]), raw, raw).sum(axis=0)
    found = {key: float(metric.compute(sums)) for key, metric in named().items()}
    assert found["recall", 2] == found["precision", 2] == found["f1", 2] == 0
    assert np.isnan([found["recall", 3], found["precision", 3], found["f1", 3]]).all()
    assert found["balanced_accuracy", None] == pytest.approx((0.5 + 1 + 0) / 3)
    assert found["macro_f1", None] == pytest.approx((2 / 3 + 0.5 + 0) / 3)
    assert found["log_loss", None] == pytest.approx(-2 * np.log(1e-7) / 4)
    nothing = metrics.statistics(np.empty(0, int), np.empty((0, 4)), np.empty((0, 4))).sum(axis=0)
    assert all(np.isnan(metric.compute(nothing)) for metric in metrics.classification(4))


def test_calibration_error_by_hand():
    confidence = np.array([0.95, 0.95, 0.95, 0.95, 1 / 15, 0.6])
    right = np.array([1, 1, 1, 0, 0, 1], bool)
    raw = np.column_stack([confidence, np.zeros((6, 14)) + (1 - confidence)[:, None] / 14])
    truth = np.where(right, 0, 1)
    sums = metrics.statistics(truth, raw, raw).sum(axis=0)
    # Of a confidence of 1/15 all classes are equally probable, which is the first bin's upper end.
    expected = (abs(3 - 4 * 0.95) + abs(0 - 1 / 15) + abs(1 - 0.6)) / 6
    assert metrics.expected_calibration_error(sums, True) == pytest.approx(expected)
    found = metrics.bins(sums, calibrated=False)
    assert found[14].tolist() == [4, 3, pytest.approx(3.8)]
    assert found[0, 0] == found[8, 0] == 1
    assert found[:, 0].sum() == 6


def test_metrics_are_functions_of_sums():
    truth, logits = made_up()
    raw = heads.calibrated_probabilities(logits)
    values = metrics.statistics(truth, raw, raw)
    groups = np.arange(len(truth)) // 10
    resampled = resampled_sums(values, groups, 50, 1)
    stacked = np.stack([resampled, resampled], axis=1)
    for metric in metrics.classification(CLASSES):
        single = np.array([metric.compute(sums) for sums in resampled])
        np.testing.assert_allclose(metric.compute(stacked), np.stack([single, single], axis=1))
        assert metric.support(resampled).shape == (50,)
        assert metric.definition.endswith((".", "best."))


def test_top_confusions():
    counts = np.array([[5, 2, 0], [2, 6, 3], [0, 0, 0]])
    found = metrics.top_confusions(counts, ["a", "b", "c"])
    assert found == [
        {"true": "b", "predicted": "c", "images": 3, "share": round(3 / 11, 6)},
        {"true": "a", "predicted": "b", "images": 2, "share": round(2 / 7, 6)},
        {"true": "b", "predicted": "a", "images": 2, "share": round(2 / 11, 6)},
    ]
    assert len(metrics.top_confusions(counts, ["a", "b", "c"], most=1)) == 1


def test_temperature_is_found_again():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 5))
    shares = heads.calibrated_probabilities(logits)
    truth = (shares.cumsum(axis=1) > rng.random((20_000, 1))).argmax(axis=1)
    for factor in (0.5, 1.0, 3.0):
        assert heads.fit_temperature(factor * logits, truth) == pytest.approx(factor, rel=0.03)


def test_temperature_mends_overconfidence_and_changes_no_decision():
    truth, logits = made_up(images=2000, sharpness=4.0)
    value = heads.fit_temperature(logits[:1000], truth[:1000])
    assert value > 2
    raw = heads.calibrated_probabilities(logits[1000:])
    calibrated = heads.calibrated_probabilities(logits[1000:], value)
    np.testing.assert_array_equal(raw.argmax(axis=1), calibrated.argmax(axis=1))
    np.testing.assert_allclose(calibrated.sum(axis=1), 1)
    sums = metrics.statistics(truth[1000:], raw, calibrated).sum(axis=0)
    before, after = (metrics.expected_calibration_error(sums, flag) for flag in (False, True))
    assert after < before / 2
    assert metrics.log_loss(sums, True) < metrics.log_loss(sums, False)


def test_temperature_where_nothing_is_wrong_or_nothing_is_there():
    truth = np.array([0, 1, 2])
    assert heads.fit_temperature(np.eye(3), truth) == pytest.approx(heads.BOUNDS[0], rel=1e-3)
    assert heads.fit_temperature(np.empty((0, 3)), truth[:0]) == 1.0
    assert np.isfinite(heads.fit_temperature(np.eye(3) * 1e4, truth[[1, 1, 1]]))


def test_majority():
    shares = baselines.majority(np.array([2, 0, 2, 1, 2]), 4)
    np.testing.assert_allclose(shares, [0.2, 0.2, 0.6, 0])


@pytest.mark.parametrize("channels", [1, 3])
def test_brightness_tells_bright_from_dark_and_nothing_else(channels):
    rng = np.random.default_rng(0)
    levels = np.array([60, 120, 120])[np.arange(60) % 3]
    images = [rng.integers(v - 20, v + 20, (16, 12, channels), dtype=np.uint8) for v in levels]
    features = np.array([baselines.brightness(image) for image in images])
    assert features.shape == (60, 9 * channels)
    np.testing.assert_allclose(features[0, 0], images[0][..., 0].mean())
    np.testing.assert_allclose(features[0, channels], images[0][..., 0].std())
    truth = np.arange(60) % 3
    found = baselines.Brightness(features[:30], truth[:30], 4)(features[30:])
    np.testing.assert_allclose(found.sum(axis=1), 1)
    assert (found[:, 3] == 0).all(), "a class that training lacks"
    right = found.argmax(axis=1) == truth[30:]
    assert right[truth[30:] == 0].all()
    assert right[truth[30:] != 0].mean() < 0.8
    assert baselines.Brightness(features, truth, 3)(features[:0]).shape == (0, 3)


def test_brightness_with_one_class():
    found = baselines.Brightness(np.zeros((5, 2)), np.full(5, 1), 3)(np.ones((2, 2)))
    np.testing.assert_array_equal(found, [[0, 1, 0]] * 2)


def test_the_loss_has_the_penalty_on_weights():
    raw = np.array([[0.7, 0.3], [0.4, 0.6]])
    sums = metrics.statistics(np.array([0, 1]), raw, raw).sum(axis=0)
    (loss,) = (m for m in metrics.classification(2, penalty=0.05) if m.name == "loss")
    assert loss.compute(sums) == pytest.approx(-np.log([0.7, 0.6]).mean() + 0.05)
    assert "loss" not in {m.name for m in metrics.classification(2)}
