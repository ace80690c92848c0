"""Learning-rate schedules."""

from types import SimpleNamespace

import numpy as np
import pytest

from coverslip.config.sections import Augmentation, Training
from coverslip.training.schedule import LearningRateSchedule, rate


def test_constant():
    assert (
        rate(
            Training(
                learning_rate=0.1,
                schedule="constant",
                loss="crossentropy",
                augmentation=Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)),
            ),
            49.9,
        )
        == 0.1
    )


@pytest.mark.parametrize(("progress", "factor"), [(0, 1), (9.99, 1), (10, 0.9), (25.5, 0.81)])
def test_step(progress, factor):
    training = Training(
        learning_rate=0.1,
        schedule="step",
        step_epochs=10,
        step_factor=0.9,
        loss="crossentropy",
        augmentation=Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)),
    )
    assert rate(training, progress) == pytest.approx(0.1 * factor)


@pytest.mark.parametrize(("progress", "factor"), [(0, 1), (10, 0.5), (20, 0), (21, 0)])
def test_cosine(progress, factor):
    training = Training(
        learning_rate=0.1,
        schedule="cosine",
        epochs=20,
        loss="crossentropy",
        augmentation=Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)),
    )
    assert rate(training, progress) == pytest.approx(0.1 * factor)


@pytest.mark.parametrize(
    ("progress", "factor"),
    [(0, 1), (3, 0.5), (5.999, 0), (6, 1), (8, 0.5), (9.999, 0), (10, 1), (15, 0.5), (20, 0)],
)
def test_cosine_with_restarts(progress, factor):
    training = Training(
        learning_rate=0.1,
        schedule="cosine",
        epochs=20,
        warm_restarts=[6, 10],
        loss="crossentropy",
        augmentation=Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)),
    )
    assert rate(training, progress) == pytest.approx(0.1 * factor, abs=1e-4)


def test_up_to_the_first_restart_it_is_the_shorter_training():
    short = Training(
        learning_rate=0.1,
        schedule="cosine",
        epochs=6,
        loss="crossentropy",
        augmentation=Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)),
    )
    long = Training(
        learning_rate=0.1,
        schedule="cosine",
        epochs=10,
        warm_restarts=[6],
        loss="crossentropy",
        augmentation=Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)),
    )
    for progress in (0, 0.5, 3.25, 5.75):
        assert rate(long, progress) == rate(short, progress)


class TenBatches(list):
    """Batches of an epoch, each in so many parts."""

    def __init__(self, parts: int):
        super().__init__([None] * 10 * parts)
        self.parts = parts


@pytest.mark.parametrize("parts", [1, 3])
def test_the_learning_rate_is_set_before_each_step(parts):
    fast = Training(
        epochs=4,
        learning_rate=0.1,
        schedule="cosine",
        loss="crossentropy",
        augmentation=Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)),
    )
    steps = LearningRateSchedule(fast, epoch=2, batches=TenBatches(parts), stop=None, report=print)
    optimizer = SimpleNamespace(learning_rate=None)
    steps.set_model(SimpleNamespace(optimizer=optimizer))
    rates = []
    for step in range(10 * parts):
        steps.on_train_batch_begin(step)
        rates.append(optimizer.learning_rate)
    assert rates == [rate for rate in rates[::parts] for _ in range(parts)]
    rates = rates[::parts]
    assert rates[0] == pytest.approx(0.05)
    assert rates[5] == pytest.approx(0.1 * 0.5 * (1 + np.cos(np.pi * 2.5 / 4)))
    assert rates == sorted(rates, reverse=True)
