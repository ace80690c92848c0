"""95 % confidence intervals over groups of images.

Images of one acquisition group (plate, slide, well) are alike, so that groups are the independent
units. A confidence interval (CI) is computed in four steps:

1. One group at a time is left out, and the metric is computed from the others. The standard error
   is that of the delete-one-group jackknife (Efron and Stein, Annals of Statistics 9, 1981; Shao
   and Tu, *The Jackknife and Bootstrap*, 1995; of clustered data: MacKinnon, Nielsen and Webb,
   "Fast and reliable jackknife and bootstrap methods for cluster-robust inference", Journal of
   Applied Econometrics 38, 2023).
2. It is computed on a scale without ends: the logit of fractions, the logarithm of errors and
   ratios, so that the limits respect the range of the metric and its skewness. Differences and
   biases stay as they are.
3. The half width is the standard error times the 97.5 % quantile of Student's t distribution. Few
   large groups among many small ones count as few: the degrees of freedom are the effective number
   of groups minus 1, where the effective number is `(sum of w)^2 / (sum of w^2)` (Kish, *Survey
   Sampling*, 1965), w what the metric is computed on in each group. That unequal clusters reduce
   the degrees of freedom is shown by Carter, Schnepel and Steigerwald, "Asymptotic behavior of a t
   test robust to cluster heterogeneity", Review of Economics and Statistics 99, 2017. Of metrics
   that are not fractions, whose values by group have long tails, they are halved (`LONG_TAILS`).
4. With fewer than `MIN_GROUPS` groups there is no interval. On the logarithm it would span orders
   of magnitude where the effective number is smaller than that: there is none either.

`benchmarks/interval_coverage.py` measures the coverage of this and of other methods;
`docs/method.md` has its table.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.special import expit, logit, stdtrit

LEVEL = 0.95
"""Nominal coverage of the intervals."""

MIN_GROUPS = 5
"""With fewer groups there is no 95 % CI."""

MAX_BLOCKS = 200
"""More groups than this are left out in so many blocks of groups (Kott, "The delete-a-group
jackknife", Journal of Official Statistics 17, 2001), which bounds memory and time."""

LONG_TAILS = 0.5
"""Factor of the degrees of freedom of errors, ratios and differences: the variance of a variance is
larger where tails are longer (Satterthwaite, Biometrics Bulletin 2, 1946). Chosen by the benchmark.
"""

Bounds = tuple[float, float] | None
"""Range of a metric, such as (0, 1) or (0, inf); None: it can be negative."""


def sum_by_group(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return the sums of `values` (N, ...) over the images of each group, (G, ...) float64.

    Groups are in the order of their sorted names.
    """
    names, codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    flat = np.asarray(values, dtype=np.float64).reshape(len(codes), math.prod(np.shape(values)[1:]))
    sums = np.zeros((len(names), flat.shape[1]))
    np.add.at(sums, codes, flat)
    return sums.reshape(len(names), *np.shape(values)[1:])


def merge_blocks(sums: np.ndarray) -> np.ndarray:
    """Return sums by group (G, ...) in at most `MAX_BLOCKS` blocks; few groups as they are."""
    if len(sums) <= MAX_BLOCKS:
        return sums
    return sum_by_group(sums, np.arange(len(sums)) % MAX_BLOCKS)


def effective_groups(weights: np.ndarray) -> np.ndarray:
    """Return the effective number of groups, (...), of weights (G, ...) >= 0; NaN if all are 0.

    Examples:
        >>> float(effective_groups(np.array([10, 10, 10])))
        3.0
        >>> float(effective_groups(np.array([96, 2, 2])).round(2))
        1.08
    """
    with np.errstate(invalid="ignore"):
        return weights.sum(axis=0) ** 2 / (weights**2.0).sum(axis=0)


def jackknife_interval(
    value: np.ndarray, left_out: np.ndarray, weights: np.ndarray, bounds: Bounds = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the limits of the 95 % CI of a metric, by the delete-one-group jackknife.

    Args:
        value: the metric of all groups, (...).
        left_out: the metric without one group at a time, (G, ...).
        weights: what the metric is computed on in each group (images, pixels, objects), (G,) or
            (G, ...).
        bounds: range of the metric. Where a value without a group is at an end of it, the interval
            is computed without a change of scale and clipped to the range.

    Returns:
        Lower and upper limit, (...); NaN with fewer than two groups, where the metric is undefined
        without one of them, and on the logarithm with fewer than `MIN_GROUPS` groups in effect.
    """
    value, left_out = np.asarray(value, np.float64), np.asarray(left_out, np.float64)
    groups = len(left_out)
    if groups < 2:
        return np.full_like(value, np.nan), np.full_like(value, np.nan)
    effective = effective_groups(np.asarray(weights, np.float64))
    fraction = bounds is not None and np.isfinite(bounds[1])
    degrees = (effective - 1) * (1 if fraction else LONG_TAILS)
    quantile = stdtrit(np.maximum(degrees, 1), (1 + LEVEL) / 2)
    if bounds is not None and not fraction:
        quantile = np.where(effective < MIN_GROUPS - 1e-9, np.nan, quantile)

    def limits_of(values: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        square = ((others - others.mean(axis=0)) ** 2).sum(axis=0)
        half = quantile * np.sqrt((groups - 1) / groups * square)
        return values - half, values + half

    plain = limits_of(value, left_out)
    if bounds is None:
        return plain
    forward, backward = _scale(bounds)
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = limits_of(forward(value), forward(left_out))
        inside = np.isfinite(forward(value)) & np.isfinite(forward(left_out)).all(axis=0)
        low, high = (
            np.where(inside, backward(end), np.clip(flat, *bounds))
            for end, flat in zip(scaled, plain, strict=True)
        )
    return low, high


def _scale(bounds: tuple[float, float]) -> tuple[Callable, Callable]:
    """Return the functions to a scale without ends, and back."""
    low, high = bounds
    if np.isinf(high):
        return lambda values: np.log(values - low), lambda scaled: low + np.exp(scaled)
    width = high - low
    return lambda values: logit((values - low) / width), lambda y: low + width * expit(y)
