"""Learning-rate schedules."""

import pytest

from coverslip.configuration.config import Training
from coverslip.learning.schedules import rate


def test_constant():
    assert rate(Training(learning_rate=0.1), 49.9) == 0.1


@pytest.mark.parametrize(("progress", "factor"), [(0, 1), (9.99, 1), (10, 0.9), (25.5, 0.81)])
def test_step(progress, factor):
    training = Training(learning_rate=0.1, schedule="step", step_epochs=10, step_factor=0.9)
    assert rate(training, progress) == pytest.approx(0.1 * factor)


@pytest.mark.parametrize(("progress", "factor"), [(0, 1), (10, 0.5), (20, 0), (21, 0)])
def test_cosine(progress, factor):
    training = Training(learning_rate=0.1, schedule="cosine", epochs=20)
    assert rate(training, progress) == pytest.approx(0.1 * factor)
