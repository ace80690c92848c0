"""Learning-rate schedules."""

import pytest

from coverslip.config.sections import Training
from coverslip.training.schedule import rate


def test_constant():
    assert rate(Training(learning_rate=0.1, schedule="constant"), 49.9) == 0.1


@pytest.mark.parametrize(("progress", "factor"), [(0, 1), (9.99, 1), (10, 0.9), (25.5, 0.81)])
def test_step(progress, factor):
    training = Training(learning_rate=0.1, schedule="step", step_epochs=10, step_factor=0.9)
    assert rate(training, progress) == pytest.approx(0.1 * factor)


@pytest.mark.parametrize(("progress", "factor"), [(0, 1), (10, 0.5), (20, 0), (21, 0)])
def test_cosine(progress, factor):
    training = Training(learning_rate=0.1, schedule="cosine", epochs=20)
    assert rate(training, progress) == pytest.approx(0.1 * factor)


@pytest.mark.parametrize(
    ("progress", "factor"),
    [(0, 1), (3, 0.5), (5.999, 0), (6, 1), (8, 0.5), (9.999, 0), (10, 1), (15, 0.5), (20, 0)],
)
def test_cosine_with_restarts(progress, factor):
    training = Training(learning_rate=0.1, schedule="cosine", epochs=20, warm_restarts=[6, 10])
    assert rate(training, progress) == pytest.approx(0.1 * factor, abs=1e-4)


def test_up_to_the_first_restart_it_is_the_shorter_training():
    short = Training(learning_rate=0.1, schedule="cosine", epochs=6)
    long = Training(learning_rate=0.1, schedule="cosine", epochs=10, warm_restarts=[6])
    for progress in (0, 0.5, 3.25, 5.75):
        assert rate(long, progress) == rate(short, progress)
