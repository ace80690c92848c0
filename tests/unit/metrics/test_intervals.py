"""95 % confidence intervals over groups."""

import numpy as np
import pytest
from scipy import stats
from scipy.special import logit

from coverslip.metrics.intervals import (
    MAX_BLOCKS,
    effective_groups,
    jackknife_interval,
    merge_blocks,
    sum_by_group,
)


def interval(numbers, groups, bounds=None):
    """The mean of numbers and its interval."""
    sums = sum_by_group(np.stack([numbers, np.ones(len(numbers))], axis=1), groups)
    total = sums.sum(axis=0)
    others = total - sums
    ends = jackknife_interval(total[0] / total[1], others[:, 0] / others[:, 1], sums[:, 1], bounds)
    return tuple(map(float, ends))


@pytest.mark.parametrize(("bounds", "factor"), [((-1e9, 1e9), 1), (None, 0.5)])
def test_is_the_t_interval_for_independent_images(bounds, factor):
    numbers = np.random.default_rng(3).normal(5, 2, 12)
    low, high = interval(numbers, np.arange(12), bounds)
    half = stats.t.ppf(0.975, 11 * factor) * numbers.std(ddof=1) / np.sqrt(12)
    assert (low, high) == pytest.approx((numbers.mean() - half, numbers.mean() + half), abs=1e-4)


def test_images_of_one_group_are_no_independent_evidence():
    of_group = np.random.default_rng(3).normal(0, 1, 20)
    numbers, groups = np.repeat(of_group, 30), np.repeat(np.arange(20), 30)
    low, high = interval(numbers, groups)
    single_low, single_high = interval(numbers, np.arange(600))
    assert high - low > 4 * (single_high - single_low)


def test_one_large_group_among_small_ones_counts_as_few():
    numbers = np.random.default_rng(1).random(60)
    equal = np.repeat(np.arange(6), 10)
    unequal = np.minimum(np.arange(60) // 2, 5)  # 2, 2, 2, 2, 2, 50
    assert effective_groups(np.bincount(equal)) == pytest.approx(6)
    assert effective_groups(np.bincount(unequal)) == pytest.approx(60**2 / (5 * 4 + 2500))
    low, high = interval(numbers, unequal)
    assert high - low > 1.5 * np.subtract(*interval(numbers, equal)[::-1])


def test_an_error_of_few_groups_in_effect_has_none():
    numbers = np.random.default_rng(1).random(60) + 1
    unequal = np.minimum(np.arange(60) // 2, 5)  # 2, 2, 2, 2, 2, 50
    assert np.isnan(interval(numbers, unequal, (0, np.inf))).all()
    assert np.isfinite(interval(numbers, unequal, (0, 3))).all()
    assert np.isfinite(interval(numbers, np.repeat(np.arange(5), 12), (0, np.inf))).all()


def test_limits_stay_in_the_range_of_the_metric():
    numbers = np.array([0.99, 0.97, 1.0, 0.9, 0.99, 0.98])
    low, high = interval(numbers, np.arange(6), (0, 1))
    assert 0 < low < numbers.mean() < high < 1
    assert logit(high) - logit(numbers.mean()) == pytest.approx(
        logit(numbers.mean()) - logit(low)
    ), "symmetric on the scale of the logit"
    low, high = interval(numbers * 3, np.arange(6), (0, np.inf))
    assert high / (3 * numbers.mean()) == pytest.approx(3 * numbers.mean() / low)


def test_at_the_end_of_the_range_limits_are_clipped():
    """All errors are in one group: without it the accuracy is 1, whose logit is infinite."""
    low, high = interval(np.array([1, 1, 1, 1, 1, 0.7]), np.arange(6), (0, 1))
    assert 0.7 < low < 0.95 < high == 1


def test_fewer_than_two_groups_or_an_undefined_value_have_none():
    assert np.isnan(interval(np.ones(4), np.zeros(4))).all()
    left_out = np.array([[0.5, 0.5], [0.6, np.nan], [0.4, 0.5]])
    low, high = jackknife_interval(np.array([0.5, 0.5]), left_out, np.ones((3, 1)), (0, 1))
    assert low[0] < high[0] and np.isnan(low[1]) and np.isnan(high[1])


def test_many_groups_are_left_out_in_blocks():
    sums = np.random.default_rng(0).random((1003, 2, 3))
    merged = merge_blocks(sums)
    assert merged.shape == (MAX_BLOCKS, 2, 3)
    np.testing.assert_allclose(merged.sum(axis=0), sums.sum(axis=0))
    assert len(merge_blocks(sums[:7])) == 7


@pytest.mark.parametrize("sizes", [[8] * 6, [60, 40, 30, 20, 6, 4, 2, 2]])
def test_intervals_cover_the_true_mean(sizes):
    """Beta-like scores that depend on their group, as in `benchmarks/interval_coverage.py`."""
    rng = np.random.default_rng(5)
    groups = np.repeat(np.arange(len(sizes)), sizes)
    inside = []
    for _ in range(400):
        mean = rng.beta(8, 3, len(sizes))[groups]
        low, high = interval(rng.beta(20 * mean, 20 * (1 - mean)), groups, (0, 1))
        inside.append(low <= 8 / 11 <= high)
    assert 0.92 <= np.mean(inside) <= 0.99


def test_no_images_have_no_groups():
    assert sum_by_group(np.zeros((0, 2)), np.array([], dtype=str)).shape == (0, 2)
    assert sum_by_group(np.zeros(0), np.array([], dtype=str)).shape == (0,)
