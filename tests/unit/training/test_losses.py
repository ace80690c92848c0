"""Losses and metrics against the same formulas in numpy."""

import numpy as np
import pytest

from coverslip.config.sections import Augmentation, Training
from coverslip.models.heads import calibrated_probabilities
from coverslip.runtime import device
from coverslip.training import losses

device.prepare(threads=1)


RNG = np.random.default_rng(0)


def batch(outputs: int) -> tuple[np.ndarray, np.ndarray]:
    truth = RNG.integers(0, max(outputs, 2), (2, 4, 5), dtype=np.uint8)
    return truth, RNG.normal(0, 2, (2, 4, 5, outputs)).astype(np.float32)


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Of all classes, background first."""
    if logits.shape[-1] == 1:
        p = 1 / (1 + np.exp(-logits[..., 0]))
        return np.stack([1 - p, p], axis=-1)
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def expected_crossentropy(truth, logits, weights=None) -> float:
    p = np.take_along_axis(probabilities(logits), truth[..., None].astype(int), axis=-1)[..., 0]
    return float(np.mean(-np.log(p) * (1 if weights is None else np.array(weights)[truth])))


def expected_dice(truth, logits) -> float:
    p = probabilities(logits)
    scores = []
    for number in range(1, p.shape[-1]):
        q, g = p[..., number], truth == number
        scores.append((2 * (q * g).sum() + 1) / ((q**2).sum() + g.sum() + 1))
    return 1 - float(np.mean(scores))


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_losses(outputs):
    truth, logits = batch(outputs)

    def loss(name, weights=None) -> float:
        return float(
            losses.make(
                Training(
                    loss=name,
                    schedule="constant",
                    augmentation=Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)),
                ),
                "semantic",
                weights,
            )(truth, logits)
        )

    crossentropy, dice = expected_crossentropy(truth, logits), expected_dice(truth, logits)
    assert loss("crossentropy") == pytest.approx(crossentropy, rel=1e-5)
    assert loss("dice") == pytest.approx(dice, rel=1e-5)
    assert loss("crossentropy+dice") == pytest.approx(crossentropy + dice, rel=1e-5)
    weights = [0.5, 2.0, 3.0][: max(outputs, 2)]
    assert loss("crossentropy", weights) == pytest.approx(
        expected_crossentropy(truth, logits, weights), rel=1e-5
    )
    assert loss("dice", weights) == pytest.approx(dice, rel=1e-5)


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_perfect_and_an_empty_batch(outputs):
    truth = np.zeros((1, 4, 4), np.uint8)
    truth[0, :2] = 1
    logits = np.where(truth[..., None] > 0, 30.0, -30.0).astype(np.float32)
    if outputs == 2:
        logits = np.concatenate([-logits, logits], axis=-1)
    dice = losses.make(
        Training(
            loss="dice",
            schedule="constant",
            augmentation=Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)),
        )
    )
    assert float(dice(truth, logits)) == pytest.approx(0, abs=1e-6)
    assert float(losses.crossentropy(truth, logits)) == pytest.approx(0, abs=1e-6)
    empty, background = np.zeros_like(truth), -np.abs(logits)
    if outputs == 2:
        background[..., 0] *= -1
    assert float(dice(empty, background)) == pytest.approx(0, abs=1e-6)


def test_extreme_logits_are_finite():
    truth = np.array([[[0, 1]]], np.uint8)
    logits = np.array([[[[500.0], [-500.0]]]], np.float32)
    assert float(losses.crossentropy(truth, logits)) == pytest.approx(500, rel=1e-5)


def test_dice_of_each_patch_is_averaged():
    truth, logits = batch(1)
    truth[0, 1:] = 0
    one, two = (expected_dice(truth[i : i + 1], logits[i : i + 1]) for i in (0, 1))
    found = float(
        losses.make(
            Training(
                loss="dice",
                dice="patch",
                schedule="constant",
                augmentation=Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)),
            )
        )(truth, logits)
    )
    assert found == pytest.approx((one + two) / 2, rel=1e-5)
    assert found != pytest.approx(expected_dice(truth, logits), rel=1e-2)


def test_loss_and_metrics_of_instances():
    classes, logits = batch(3)
    depth = RNG.integers(0, 256, classes.shape, dtype=np.uint8)
    depth_logit = RNG.normal(0, 2, (*classes.shape, 1)).astype(np.float32)
    truth = np.stack([classes, depth], axis=-1)
    found = np.concatenate([logits, depth_logit], axis=-1)
    p, g = 1 / (1 + np.exp(-depth_logit[..., 0])), depth / 255
    expected = -np.mean(g * np.log(p) + (1 - g) * np.log(1 - p))
    expected += expected_crossentropy(classes, logits)
    inside, q = classes > 0, 1 - probabilities(logits)[..., 0]
    expected += 1 - (2 * (q * inside).sum() + 1) / ((q**2).sum() + inside.sum() + 1)
    loss = losses.make(
        Training(
            loss="crossentropy+dice",
            schedule="constant",
            augmentation=Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)),
        ),
        "instance",
    )
    assert float(loss(truth, found)) == pytest.approx(expected, rel=1e-5)
    accuracy, iou = losses.metrics("instance")
    accuracy.update_state(truth, found)
    iou.update_state(truth, found)
    predicted = logits.argmax(axis=-1)
    assert float(accuracy.result()) == pytest.approx((predicted == classes).mean())
    both = (inside & (predicted > 0)).sum() / (inside | (predicted > 0)).sum()
    assert float(iou.result()) == pytest.approx(both)


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_metrics_count_over_the_epoch(outputs):
    accuracy, iou = losses.PixelAccuracy(), losses.ForegroundIoU()
    truths, found = [], []
    for size in (2, 1):
        truth, logits = batch(outputs)
        truth, logits = truth[:size], logits[:size]
        accuracy.update_state(truth, logits)
        iou.update_state(truth, logits)
        truths.append(truth)
        found.append(probabilities(logits).argmax(axis=-1))
    truth, predicted = np.concatenate(truths), np.concatenate(found)
    assert float(accuracy.result()) == pytest.approx((truth == predicted).mean())
    both = ((truth > 0) & (predicted > 0)).sum() / ((truth > 0) | (predicted > 0)).sum()
    assert float(iou.result()) == pytest.approx(both)
    iou.reset_state()
    assert float(iou.result()) == 0


def test_what_has_weight_zero_is_not_counted():
    truth = np.array([[[1, 0]], [[1, 1]], [[0, 0]]], np.uint8)
    logits = np.array([[[1.0, 1]], [[1, -1]], [[1, 1]]], np.float32)[..., None]
    accuracy, iou = losses.metrics()
    for metric in (accuracy, iou):
        metric.update_state(truth, logits, sample_weight=np.array([1.5, 0.5, 0], np.float32))
    assert float(accuracy.result()) == 0.5
    assert float(iou.result()) == 0.5


def test_loss_and_accuracy_of_classes():
    logits = np.array([[2.0, 0, 0], [0, 1.0, 0]], np.float32)
    truth = np.array([0, 2], np.int32)
    expected = -np.log(calibrated_probabilities(logits)[[0, 1], truth])
    loss = losses.make(
        Training(
            loss="crossentropy",
            schedule="constant",
            augmentation=Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)),
        ),
        "classification",
    )
    assert float(loss(truth, logits)) == pytest.approx(expected.mean(), rel=1e-5)
    weighted = losses.make(
        Training(
            loss="crossentropy",
            schedule="constant",
            augmentation=Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)),
        ),
        "classification",
        [1.0, 1.0, 3.0],
    )
    assert float(weighted(truth, logits)) == pytest.approx((expected * [1, 3]).mean(), rel=1e-5)
    (accuracy,) = losses.metrics("classification")
    accuracy.update_state(truth, logits)
    assert float(accuracy.result()) == 0.5
    assert losses.metric_names("classification") == ["loss", "accuracy"]
    assert losses.metric_names("semantic") == ["loss", "accuracy", "iou"]
