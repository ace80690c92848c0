"""Intervals by the bootstrap over groups."""

import numpy as np
import pytest

from coverslip.metrics.intervals import bootstrap, limits, resampled_sums


def mean(sums):
    return sums[..., 0] / sums[..., 1]


def values(numbers):
    return np.stack([numbers, np.ones(len(numbers))], axis=1)


def test_is_the_textbook_interval_for_independent_images():
    rng = np.random.default_rng(3)
    numbers = rng.normal(5, 2, 400)
    groups = np.arange(400).astype(str)
    low, high = bootstrap(values(numbers), groups, mean, 4000, 1)
    error = numbers.std() / np.sqrt(400)
    assert low == pytest.approx(numbers.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(numbers.mean() + 1.96 * error, abs=0.15 * error)


def test_images_of_one_group_are_no_independent_evidence():
    rng = np.random.default_rng(3)
    of_group = rng.normal(0, 1, 20)
    numbers, groups = np.repeat(of_group, 30), np.repeat(np.arange(20), 30)
    low, high = bootstrap(values(numbers), groups, mean, 2000, 1)
    single_low, single_high = bootstrap(values(numbers), np.arange(600), mean, 2000, 1)
    assert high - low > 4 * (single_high - single_low)


def test_equals_a_loop_over_resampled_rows():
    rng = np.random.default_rng(0)
    table, groups = rng.random((12, 2, 3)), np.array(list("aaabbcccdddd"))
    sums = resampled_sums(table, groups, 5, 9)
    times = np.random.default_rng(9).multinomial(4, [0.25] * 4, size=5)
    for at, chosen in enumerate(times):
        rows = sum(n * table[groups == g].sum(axis=0) for n, g in zip(chosen, "abcd", strict=True))
        np.testing.assert_allclose(sums[at], rows)


def test_one_group_has_no_interval():
    assert np.isnan(bootstrap(values(np.ones(4)), np.zeros(4), mean, 100, 1)).all()


def test_undefined_resamples_are_left_out():
    samples = np.array([[1.0, np.nan], [2.0, np.nan], [np.nan, np.nan]])
    low, high = limits(samples)
    assert 1 <= low[0] < high[0] <= 2
    assert np.isnan(low[1]) and np.isnan(high[1])


def test_same_seed_same_interval():
    numbers, groups = np.arange(20.0), np.arange(20) // 2
    first = bootstrap(values(numbers), groups, mean, 200, 4)
    assert first == bootstrap(values(numbers), groups, mean, 200, 4)
    assert first != bootstrap(values(numbers), groups, mean, 200, 5)
