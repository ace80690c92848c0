"""Confidence intervals by the cluster bootstrap.

Images of one acquisition group (plate, slide, well) are alike, so that a bootstrap over images
gives intervals that are too narrow. Whole groups are drawn with replacement instead (Davison and
Hinkley, *Bootstrap Methods and their Application*, 1997, section 3.8), and the interval is the
2.5th to 97.5th percentile of the statistic over the resamples (Efron, 1979). With few groups
(fewer than about ten) a percentile interval is still too narrow; therefore the number of groups is
printed with every interval.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

LEVEL = 0.95
"""Nominal coverage of the intervals."""


def bootstrap(
    values_by_image: np.ndarray,
    groups: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    resamples: int,
    seed: int,
) -> tuple[float, float]:
    """Return the 95 % percentile interval of a statistic of sums over images, by whole groups.

    Args:
        values_by_image: (N, ...) sufficient statistics, one row for each image.
        groups: (N,) group of each image.
        statistic: maps sums over images, (R, ...), to values, (R,).
        resamples: number of resamples R.
        seed: seed of the draw.

    Returns:
        Lower and upper limit; both NaN with fewer than two groups.
    """
    if len(set(groups)) < 2:
        return float("nan"), float("nan")
    samples = statistic(resampled_sums(values_by_image, groups, resamples, seed))
    low, high = limits(samples)
    return float(low), float(high)


def resampled_sums(values: np.ndarray, groups: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Return the sums of `values` (N, ...) over resamples of whole groups: (R, ...) float64.

    A resample draws as many groups as there are, with replacement; the draw depends only on the
    seed and on the number of groups in sorted order.
    """
    names, codes = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    flat = np.asarray(values, dtype=np.float64).reshape(len(codes), -1)
    sums = np.zeros((len(names), flat.shape[1]))
    np.add.at(sums, codes, flat)
    rng = np.random.default_rng(seed)
    times = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=resamples)
    return (times @ sums).reshape(resamples, *np.shape(values)[1:])


def limits(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower and upper 95 % percentile of `samples` (R, ...) along the first axis.

    Resamples in which the statistic is undefined (NaN) are left out; the limits are NaN where none
    is left.
    """
    tail = 100 * (1 - LEVEL) / 2
    undefined = np.isnan(samples).all(axis=0)
    filled = np.where(undefined, 0.0, samples)
    low, high = np.nanpercentile(filled, [tail, 100 - tail], axis=0)
    return np.where(undefined, np.nan, low), np.where(undefined, np.nan, high)
