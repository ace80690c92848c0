"""Temperature of probabilities."""

import numpy as np
import pytest

from coverslip.models import heads


def test_temperature_is_found_again():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 5))
    shares = heads.calibrated_probabilities(logits)
    truth = (shares.cumsum(axis=1) > rng.random((20_000, 1))).argmax(axis=1)
    for factor in (0.5, 1.0, 3.0):
        assert heads.fit_temperature(factor * logits, truth) == pytest.approx(factor, rel=0.03)


def test_temperature_corrects_overconfidence_alone():
    rng = np.random.default_rng(0)
    truth = rng.choice(4, 2000, p=np.array([16, 9, 4, 1]) / 30)
    logits = rng.normal(0, 1, (2000, 4))
    logits[np.arange(2000), truth] += 1.5
    logits *= 4
    value = heads.fit_temperature(logits[:1000], truth[:1000])
    assert value > 2
    raw = heads.calibrated_probabilities(logits[1000:])
    calibrated = heads.calibrated_probabilities(logits[1000:], value)
    np.testing.assert_array_equal(raw.argmax(axis=1), calibrated.argmax(axis=1))
    np.testing.assert_allclose(calibrated.sum(axis=1), 1)
    correct = raw.argmax(axis=1) == truth[1000:]
    before, after = (abs(p.max(axis=1).mean() - correct.mean()) for p in (raw, calibrated))
    assert after < before / 2


def test_temperature_without_errors_or_without_images():
    truth = np.array([0, 1, 2])
    assert heads.fit_temperature(np.eye(3), truth) == pytest.approx(heads.BOUNDS[0], rel=1e-3)
    assert heads.fit_temperature(np.empty((0, 3)), truth[:0]) == 1.0
    assert np.isfinite(heads.fit_temperature(np.eye(3) * 1e4, truth[[1, 1, 1]]))
