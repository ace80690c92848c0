"""Coverage of confidence intervals over groups of images: `python benchmarks/interval_coverage.py`.

Simulates studies with few or many groups of images, of which the true value is known, and counts
how often the interval of each method contains it. Prints a table in Markdown: coverage in percent,
and the median width in brackets; `of 35` says that 35 % of the studies have an interval.
`--repeats N` sets the number of simulated studies of each row.

The simulated images are like those of DSB 2018 (BBBC038, corrected copy: 664 images): acquisition
groups of the same sizes, and scores with the same mean, standard deviation, intraclass correlation
(ICC) and rank correlations with the size of a group and of its images. The constants below were
printed by

    python benchmarks/interval_coverage.py --measure ARCHIVE

which reads the archive by the package's own ingest, groups and baselines: the IoU of Otsu's
threshold of each image, no training. Scores are beta distributed, within groups and between them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

from coverslip.metrics.intervals import Bounds, jackknife_interval
from coverslip.runtime.run_record import processor

# --- Measured, see above

SIZES = (1, 1, 2, 2, 3, 4, 4, 6, 8, 9, 15, 16, 17, 23, 26, 32, 33, 37, 38, 58, 76, 77, 86, 90)
"""Images of each acquisition group."""

MEAN, DEVIATION, ICC = 0.786, 0.183, 0.737
"""IoU of Otsu's threshold: mean and standard deviation over images, intraclass correlation."""

DIFFERENCE_DEVIATION, DIFFERENCE_ICC, DIFFERENCE_SKEWNESS = 0.203, 0.653, -1.64
"""Difference of two baselines (Otsu's threshold on grey values and on local deviation)."""

ERROR_DEVIATION, ERROR_ICC = 5.45, 0.696
"""Error of the area of Otsu's foreground in percentage points of the image."""

AREA_BETWEEN, AREA_WITHIN = 0.76, 0.0
"""Standard deviation of the logarithm of an image's pixels, between and within groups."""

FOREGROUND_BETWEEN, FOREGROUND_WITHIN = 0.89, 0.63
"""The same of the fraction of them that is foreground, annotated or predicted."""

OBJECTS_BETWEEN, OBJECTS_WITHIN = 0.74, 0.57
"""The same of the number of objects, annotated and predicted together."""

RANKS = {("size", "score"): 0.33, ("size", "area"): -0.52, ("score", "area"): 0.01}
"""Spearman's correlation over groups of images in a group, mean score, pixels of an image."""

GROUPS = (2, 3, 4, 5, 6, 8, 12, 24, 50)

RESAMPLES = 400

SEED = 1


# --- Simulated studies

COLUMNS: tuple[str, ...] = (
    "images",
    "score",
    "pixels",
    "tp",
    "union",
    "matched",
    "objects",
    "difference",
)
COLUMNS += ("square", "absolute", "error")


class Statistic(NamedTuple):
    """A metric of sums over images (..., `COLUMNS`)."""

    function: Callable[[np.ndarray], np.ndarray]
    support: str
    """Column of what it is computed on, as in `coverslip.metrics.definitions`."""
    bounds: Bounds


def _ratio(top: str, bottom: str) -> Callable[[np.ndarray], np.ndarray]:
    above, below = COLUMNS.index(top), COLUMNS.index(bottom)
    return lambda sums: sums[..., above] / sums[..., below]


STATISTICS = {
    "mean over images (IoU)": Statistic(_ratio("score", "images"), "images", (0, 1)),
    "IoU of all pixels": Statistic(_ratio("tp", "union"), "pixels", (0, 1)),
    "F1 of all objects": Statistic(_ratio("matched", "objects"), "objects", (0, 1)),
    "MAE": Statistic(_ratio("absolute", "images"), "images", (0, np.inf)),
    "RMSE": Statistic(lambda s: np.sqrt(_ratio("square", "images")(s)), "images", (0, np.inf)),
    "bias": Statistic(_ratio("error", "images"), "images", None),
    "difference to a baseline": Statistic(_ratio("difference", "images"), "images", None),
}


def simulate(studies: int, groups: int, equal: bool, rng: np.random.Generator) -> np.ndarray:
    """Return the sums over the images of each group of simulated studies.

    Args:
        studies: number of studies S.
        groups: groups of each study G.
        equal: whether all groups have eight images, or sizes as in DSB 2018.
        rng: random numbers.

    Returns:
        (S, G, COLUMNS) float64.
    """
    correlation = np.eye(3)
    for at, value in zip(((0, 1), (0, 2), (1, 2)), RANKS.values(), strict=True):
        # Pearson's correlation of normal variables with this rank correlation.
        correlation[at] = correlation[at[::-1]] = 2 * np.sin(np.pi / 6 * value)
    normal = rng.standard_normal((studies * groups, 3)) @ np.linalg.cholesky(correlation).T
    size, quality, area = normal.T
    place = (stats.norm.cdf(size) * len(SIZES)).astype(int)
    images = np.full(len(size), 8) if equal else np.array(SIZES)[place]
    of = np.repeat(np.arange(len(size)), images)

    def hierarchical(deviation: float, icc: float, skewness: float = 0.0) -> np.ndarray:
        between = rng.standard_normal(len(size))
        if skewness:  # a gamma variable with this skewness
            shape = 4 / skewness**2
            between = np.sign(skewness) * (rng.gamma(shape, 1, len(size)) - shape) / shape**0.5
        within = rng.standard_normal(len(of))
        return deviation * (np.sqrt(icc) * between[of] + np.sqrt(1 - icc) * within)

    def lognormal(between: np.ndarray, spread: float, within: float) -> np.ndarray:
        return np.exp(spread * between[of] + within * rng.standard_normal(len(of)))

    mean = _beta_quantile(stats.norm.cdf(quality), MEAN, ICC * DEVIATION**2)
    mean = np.clip(mean, 0.02, 0.98)[of]
    variance = np.minimum((1 - ICC) * DEVIATION**2, 0.5 * mean * (1 - mean))
    score = rng.beta(*_beta_shape(mean, variance))
    pixels = lognormal(area, AREA_BETWEEN, AREA_WITHIN)
    fraction = lognormal(rng.standard_normal(len(size)), FOREGROUND_BETWEEN, FOREGROUND_WITHIN)
    objects = lognormal(area, OBJECTS_BETWEEN, OBJECTS_WITHIN)
    union = pixels * fraction
    error = hierarchical(ERROR_DEVIATION, ERROR_ICC)
    difference = 0.05 + hierarchical(DIFFERENCE_DEVIATION, DIFFERENCE_ICC, DIFFERENCE_SKEWNESS)
    columns = [np.ones(len(of)), score, pixels, score * union, union, score * objects, objects]
    columns += [difference, error**2, np.abs(error), error]
    sums = [np.bincount(of, weights=column, minlength=len(size)) for column in columns]
    return np.stack(sums, axis=-1).reshape(studies, groups, len(COLUMNS))


def _beta_shape(mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    precision = mean * (1 - mean) / variance - 1
    return mean * precision, (1 - mean) * precision


def _beta_quantile(probability: np.ndarray, mean: float, variance: float) -> np.ndarray:
    return stats.beta.ppf(probability, *_beta_shape(np.array(mean), np.array(variance)))


# --- Methods: from sums (S, G, COLUMNS) to limits (S,), (S,)

Limits = tuple[np.ndarray, np.ndarray]


def leave_one_out(sums: np.ndarray, function: Callable) -> tuple[np.ndarray, np.ndarray]:
    """Return the value (S,) and those without each group (G, S)."""
    total = sums.sum(axis=1)
    return function(total), function(total[None] - sums.transpose(1, 0, 2))


def group_means_t(sums: np.ndarray, statistic: Statistic, times: np.ndarray) -> Limits:
    """The mean of the values of the groups and Student's t with G - 1 degrees of freedom."""
    values = statistic.function(sums)
    half = stats.t.ppf(0.975, sums.shape[1] - 1) * stats.sem(values, axis=1)
    return values.mean(axis=1) - half, values.mean(axis=1) + half


def jackknife_t(sums: np.ndarray, statistic: Statistic, times: np.ndarray) -> Limits:
    """The delete-one-group jackknife with Student's t, G - 1 degrees of freedom, as it is."""
    value, left_out = leave_one_out(sums, statistic.function)
    return jackknife_interval_plain(value, left_out)


def jackknife_interval_plain(value: np.ndarray, left_out: np.ndarray) -> Limits:
    """Return value -/+ t times the standard error of the jackknife."""
    groups = len(left_out)
    error = np.sqrt((groups - 1) * left_out.var(axis=0))
    half = stats.t.ppf(0.975, groups - 1) * error
    return value - half, value + half


def coverslip(sums: np.ndarray, statistic: Statistic, times: np.ndarray) -> Limits:
    """`coverslip.metrics.intervals.jackknife_interval`."""
    value, left_out = leave_one_out(sums, statistic.function)
    weights = sums[..., COLUMNS.index(statistic.support)].T
    return jackknife_interval(value, left_out, weights, statistic.bounds)


def percentile(sums: np.ndarray, statistic: Statistic, times: np.ndarray) -> Limits:
    """The percentile bootstrap over whole groups (Efron, 1979)."""
    low, high = np.percentile(_resampled(sums, statistic, times), [2.5, 97.5], axis=1)
    return low, high


def bca(sums: np.ndarray, statistic: Statistic, times: np.ndarray) -> Limits:
    """The bias-corrected and accelerated bootstrap (Efron, JASA 82, 1987)."""
    value, left_out = leave_one_out(sums, statistic.function)
    drawn = np.sort(_resampled(sums, statistic, times), axis=1)
    below = (drawn < value[:, None]).mean(axis=1)
    bias = stats.norm.ppf(np.clip(below, 1 / len(times), 1 - 1 / len(times)))
    away = left_out.mean(axis=0) - left_out
    acceleration = (away**3).sum(axis=0) / (6 * (away**2).sum(axis=0) ** 1.5)
    ends = []
    for z in stats.norm.ppf([0.025, 0.975]):
        level = stats.norm.cdf(bias + (bias + z) / (1 - acceleration * (bias + z)))
        at = np.clip((np.nan_to_num(level) * len(times)).astype(int), 0, len(times) - 1)
        ends.append(np.take_along_axis(drawn, at[:, None], axis=1)[:, 0])
    return ends[0], ends[1]


def bootstrap_t(sums: np.ndarray, statistic: Statistic, times: np.ndarray) -> Limits:
    """The studentized bootstrap over groups, with linearized standard errors (Hall, 1992)."""
    value, left_out = leave_one_out(sums, statistic.function)
    groups = sums.shape[1]
    influence = ((groups - 1) * (value - left_out)).T  # (S, G)
    mean, square = influence @ times.T / groups, influence**2 @ times.T / groups
    error = np.sqrt(np.maximum(square - mean**2, 0) / (groups - 1))
    drawn = _resampled(sums, statistic, times) - value[:, None]
    studentized = np.where(error > 0, drawn / np.where(error > 0, error, 1), np.sign(drawn) * 1e3)
    low, high = np.percentile(studentized, [2.5, 97.5], axis=1)
    own = np.sqrt((groups - 1) * left_out.var(axis=0))
    return value - high * own, value - low * own


def _resampled(sums: np.ndarray, statistic: Statistic, times: np.ndarray) -> np.ndarray:
    return statistic.function(np.einsum("rg,sgc->src", times, sums))


METHODS: Mapping[str, Callable[[np.ndarray, Statistic, np.ndarray], Limits]] = {
    "percentile bootstrap": percentile,
    "BCa bootstrap": bca,
    "bootstrap-t": bootstrap_t,
    "t of group values": group_means_t,
    "jackknife, t": jackknife_t,
    "coverslip": coverslip,
}


def cover(repeats: int, equal: bool) -> list[list[str]]:
    """Return a row for each statistic and number of groups: coverage and width of each method."""
    rng = np.random.default_rng(SEED)
    population = simulate(20_000, 10, equal, rng).reshape(-1, len(COLUMNS)).sum(axis=0)
    truth = {name: statistic.function(population) for name, statistic in STATISTICS.items()}
    cells: dict[tuple[str, int], list[str]] = {}
    for groups in GROUPS:
        sums = simulate(repeats, groups, equal, rng)
        even = np.full(groups, 1 / groups)
        times = rng.multinomial(groups, even, size=RESAMPLES).astype(float)
        for name, statistic in STATISTICS.items():
            for method in METHODS.values():
                with np.errstate(divide="ignore", invalid="ignore"):
                    low, high = method(sums, statistic, times)
                known = ~np.isnan(low) if method is coverslip else np.full(repeats, True)
                inside = (low <= truth[name]) & (truth[name] <= high)
                text = "none"
                if known.any():
                    width = np.median((high - low)[known])
                    text = f"{100 * inside[known].mean():.0f} ({width:.2g})"
                if 0 < known.mean() < 1:
                    text += f" of {100 * known.mean():.0f}"
                cells.setdefault((name, groups), []).append(text)
    order = sorted(cells, key=lambda key: (list(STATISTICS).index(key[0]), key[1]))
    return [[name, str(groups), *cells[name, groups]] for name, groups in order]


# --- The constants, measured


def measure(archive: Path) -> None:
    """Print the constants of this file, measured on the archive of DSB 2018."""
    table = _image_table(archive)
    score = table["tp"] / table["union"]
    difference = score - table["other"]
    error = 100 * table["excess"] / table["pixels"]
    groups = table["group"]
    of_groups = table.assign(score=score, area=np.log(table["pixels"])).groupby("group")
    means = of_groups[["score", "area"]].mean().assign(size=of_groups.size())
    print("SIZES =", tuple(sorted(int(size) for size in means["size"])))
    icc = intraclass(score, groups)[0]
    print(f"MEAN, DEVIATION, ICC = {score.mean():.3f}, {score.std():.3f}, {icc:.3f}")
    icc = intraclass(difference, groups)[0]
    print(f"DIFFERENCE_... = {difference.std():.3f}, {icc:.3f}, {difference.skew():.2f}")
    print(f"ERROR_... = {error.std():.2f}, {intraclass(error, groups)[0]:.3f}")
    fraction = table["union"] / table["pixels"]
    for name, values in {
        "AREA": table["pixels"],
        "FOREGROUND": fraction,
        "OBJECTS": table["n"],
    }.items():
        _, between, within = intraclass(np.log(values), groups)
        print(f"{name}_BETWEEN, {name}_WITHIN = {between**0.5:.2f}, {within**0.5:.2f}")
    print(means.corr("spearman").round(2))


def intraclass(values: pd.Series, groups: pd.Series) -> tuple[float, float, float]:
    """Return the intraclass correlation, and the variance between and within groups.

    The estimator of a one-way analysis of variance with groups of unequal size (Donner, "A review
    of inference procedures for the intraclass correlation coefficient in the one-way random effects
    model", International Statistical Review 54, 1986).
    """
    by_group = values.groupby(groups)
    sizes, total, count = by_group.size(), len(values), by_group.ngroups
    between = (sizes * (by_group.mean() - values.mean()) ** 2).sum() / (count - 1)
    within = ((values - by_group.transform("mean")) ** 2).sum() / (total - count)
    typical = (total - (sizes**2).sum() / total) / (count - 1)
    variance = max((between - within) / typical, 0.0)
    return variance / (variance + within), variance, within


def _image_table(archive: Path) -> pd.DataFrame:
    """Return a row an image: group, pixels, and what Otsu's threshold finds."""
    from coverslip.config.sections import Dataset, Limits, Source
    from coverslip.data.group_images import group_images
    from coverslip.data.image_store import ImageStore
    from coverslip.data.ingest import ingest
    from coverslip.data.tables import read_groups
    from coverslip.metrics import baselines
    from coverslip.metrics.instances import count_components, count_labels
    from coverslip.metrics.pixels import pixel_counts

    source = Source(kind="path", path=str(archive), limits=Limits())
    dataset = Dataset(title="", source=source, format="dsb2018", group_by="acquisition")
    rows = []
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        store, manifest, groups = (home / name for name in ("images.h5", "m.csv", "groups.csv"))
        ingest(archive, dataset, store, manifest, home / "summary.json", processes=1)
        group_images(store, manifest, dataset, groups, home / "duplicates.csv")
        group_of = read_groups(groups)["group"]
        with ImageStore(store) as images:
            for name in images.ids():
                image, label = images.image(name), images.label(name)
                field = np.ones(label.shape, bool)
                found = baselines.otsu(image)
                _, fp, fn, tp = pixel_counts(label > 0, found)
                _, *wrong, both = pixel_counts(label > 0, baselines.otsu_of_deviation(image, field))
                rows.append(
                    {
                        "group": group_of[name],
                        "pixels": label.size,
                        "tp": tp,
                        "union": tp + fp + fn,
                        "excess": fp - fn,
                        "other": both / max(sum(wrong) + both, 1),
                        "n": count_labels(label) + count_components(found, 5),
                    }
                )
    return pd.DataFrame(rows)


def main() -> None:
    """Print the table, or the constants."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--measure", type=Path, metavar="ARCHIVE")
    options = parser.parse_args()
    if options.measure:
        measure(options.measure)
        return
    print(f"{options.repeats} simulated studies a row, on {processor()}.")
    for equal in (False, True):
        print(f"\n{'Eight images in each group' if equal else 'Group sizes of DSB 2018'}:\n")
        print("| statistic | groups | " + " | ".join(METHODS) + " |")
        print("| --- | ---: |" + " ---: |" * len(METHODS))
        for row in cover(options.repeats, equal):
            print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
