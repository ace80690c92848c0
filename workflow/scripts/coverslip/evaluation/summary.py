"""Records of `metrics.json`: each metric with its interval, support and baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from coverslip.evaluation.per_image import INSTANCES, instance_columns
from coverslip.evaluation.runs import (
    at_epoch,
    fold_and_seed,
    read_history,
    read_info,
    run_name,
    run_of,
)
from coverslip.metrics.instances import HEADLINES, instances
from coverslip.metrics.intervals import limits, resampled_sums
from coverslip.metrics.pixels import Metric, pixel_accuracy, statistics

Statistics = Callable[[pd.DataFrame], np.ndarray]
"""From rows of `observations.observe` to their sufficient statistics, (N, S)."""

Sources = Mapping[str, Statistics]
"""The model first, then the baselines: from rows of `observations.observe` to their sufficient
statistics, (N, S)."""

Limits = tuple[np.ndarray, np.ndarray]
"""Lower and upper limit of each source, (sources,)."""

ALL_RUNS = "all"
"""Name of all runs together: folds pooled, then the mean over seeds."""

SEED = 1
"""Seed of the bootstrap."""

DIGITS = 6

ONE_GROUP = "one group only: an interval over groups needs at least two"

UNDEFINED = "undefined: there is nothing to divide by"

TRAIN_ACCURACY = {
    "network": "Share of right pixels over the augmented training patches while the weights still "
    "changed, in the epoch whose weights were kept (mean over runs).",
    "kmeans": "Share of right pixels over the training images, with the number of clusters that "
    "was kept (mean over runs).",
}

FROM_HISTORY = "taken from the history of the training, which keeps no counts of single images"


class Estimate(NamedTuple):
    """A metric of the model and of each baseline, in the order of the sources."""

    metric: Metric
    value: np.ndarray
    """(sources,) float64."""
    low: np.ndarray
    """Lower limit of the interval, (sources,); NaN where there is none."""
    high: np.ndarray
    gain_low: np.ndarray
    """Lower limit of the interval of the model's value less that of each source, (sources,). The
    bootstrap is paired: the same units are drawn for both."""
    gain_high: np.ndarray
    support: int
    """What the metric is counted on, for the model."""
    units: int
    """Number of groups, or of whatever the bootstrap draws."""


def mask_sources() -> Sources:
    """What masks are compared with: nothing found, and Otsu's threshold on the grey values and on
    the local deviation."""
    return {
        "model": _model,
        "all background": _all_background,
        "otsu": partial(_trivial, name="otsu"),
        "otsu of deviation": partial(_trivial, name="deviation"),
    }


def metric_records(
    wanted: Sequence[Metric],
    observed: pd.DataFrame,
    subset: str,
    classes: Sequence[str],
    resamples: int,
    sources: Sources,
) -> list[dict[str, Any]]:
    """Records of all metrics on one subset, for all runs together and for each run.

    Args:
        wanted: the metrics, as functions of the statistics that `sources` give.
        observed: the subset's rows of `observations.observe`.
        subset: name of the subset.
        classes: names of background and foreground.
        resamples: resamples of the bootstrap.
        sources: the model and its baselines.
    """
    baselines = list(enumerate(sources))[1:]
    return [
        {
            "name": found.metric.name,
            "subset": subset,
            "class": None
            if found.metric.class_index is None
            else classes[found.metric.class_index],
            "run": run,
            "value": number(found.value[0]),
            "low": number(found.low[0]),
            "high": number(found.high[0]),
            "interval_reason": _reason(found.value[0], found.units),
            "support": found.support,
            "support_unit": found.metric.support_unit,
            "groups": found.units,
            "unit": found.metric.unit,
            "definition": found.metric.definition,
            "baselines": {name: number(found.value[at]) for at, name in baselines},
            "baseline_intervals": {
                name: [number(found.low[at]), number(found.high[at])] for at, name in baselines
            },
            "gains": {
                name: {
                    "value": number(found.value[0] - found.value[at]),
                    "low": number(found.gain_low[at]),
                    "high": number(found.gain_high[at]),
                }
                for at, name in baselines
            },
        }
        for run, rows in _by_run(observed)
        for found in estimates(wanted, rows, sources, resamples)
    ]


def estimates(
    wanted: Sequence[Metric],
    rows: pd.DataFrame,
    sources: Sources,
    resamples: int,
    unit: str = "group",
) -> Iterator[Estimate]:
    """Estimate each metric with its interval; the bootstrap draws whole groups, or other units.

    Args:
        wanted: the metrics.
        rows: rows of `observations.observe`.
        sources: the model and its baselines.
        resamples: resamples of the bootstrap.
        unit: the column of `rows` whose values are drawn.
    """
    values, units = stacked(rows, sources, unit)
    count = len(set(units))
    sums = values.sum(axis=0)
    resampled = resampled_sums(values, units, resamples, SEED) if count > 1 else None
    for metric in wanted:
        value, (low, high), (gain_low, gain_high) = _estimate(metric, sums, resampled)
        support = int(metric.support(sums)[0, 0])
        yield Estimate(metric, value, low, high, gain_low, gain_high, support, count)


def stacked(rows: pd.DataFrame, sources: Sources, unit: str) -> tuple[np.ndarray, np.ndarray]:
    """Statistics of model and baselines: (N, seeds, sources, S), and the unit of each row (N,).

    A row is an image in a fold; all seeds must have the same ones.

    Raises:
        ValueError: the seeds have different images.
    """
    by_seed, first = [], None
    for _, part in rows.groupby("seed", sort=True):
        part = part.sort_values(["fold", "id"])
        keys = part[["fold", "id"]].to_numpy().tolist()
        if first is None:
            first, units = keys, part[unit].to_numpy(dtype=str)
        elif keys != first:
            raise ValueError("the seeds of a study have predictions of different images")
        by_seed.append(np.stack([statistics_of(part) for statistics_of in sources.values()], 1))
    return np.stack(by_seed, axis=1), units


def confusion_records(observed: pd.DataFrame, classes: Sequence[str]) -> dict[str, Any]:
    """Confusion matrix of pixels a subset: rows truth, columns prediction, summed over all runs."""
    found = {}
    for subset, rows in observed.groupby("subset", sort=True):
        tn, fp, fn, tp = (int(rows[name].sum()) for name in ("tn", "fp", "fn", "tp"))
        runs = len(rows[["fold", "seed"]].drop_duplicates())
        found[subset] = {"classes": list(classes), "counts": [[tn, fp], [fn, tp]], "runs": runs}
    return found


def train_records(models: Sequence[Path], facts: pd.DataFrame) -> list[dict[str, Any]]:
    """Pixel accuracy on the training patches at the epoch whose weights are kept.

    Args:
        models: model folders of all runs.
        facts: one row an image of the split and fold, with the counts of truth and baselines.
    """
    parts = []
    for model in sorted(models, key=lambda path: fold_and_seed(run_of(path))):
        run = run_of(model)
        info = read_info(model)
        row = at_epoch(read_history(model), info["kept_epoch"])
        fold = facts["fold"] == fold_and_seed(run)[0]
        rows = facts[fold & (facts["subset"] == "train")]
        baselines = {
            name: float(pixel_accuracy(statistics_of(rows).sum(axis=0)))
            for name, statistics_of in list(mask_sources().items())[1:]
        }
        support = (len(rows), rows["group"].nunique())
        parts.append((run, float(row["accuracy"]), baselines, support))
    value = float(np.mean([accuracy for _, accuracy, _, _ in parts]))
    mean = {name: float(np.mean([part[2][name] for part in parts])) for name in parts[0][2]}
    told = TRAIN_ACCURACY[info.get("kind", "network")]
    parts = [(ALL_RUNS, value, mean, parts[0][3]), *parts]
    return [_train_record(*part) | {"definition": told} for part in parts]


def number(value: float) -> float | None:
    """A number for JSON: rounded, none for NaN."""
    return None if np.isnan(value) else round(float(value), DIGITS)


def _train_record(
    run: str, value: float, baselines: Mapping[str, float], support: tuple[int, int]
) -> dict[str, Any]:
    return {
        "name": "pixel_accuracy",
        "subset": "train",
        "class": None,
        "run": run,
        "value": number(value),
        "low": None,
        "high": None,
        "interval_reason": FROM_HISTORY,
        "support": support[0],
        "support_unit": "images",
        "groups": support[1],
        "unit": "share",
        "baselines": {name: number(share) for name, share in baselines.items()},
        "baseline_intervals": {name: [None, None] for name in baselines},
        "gains": {},
    }


def _by_run(observed: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    if observed.empty:
        return []
    parts = observed.groupby(["fold", "seed"], sort=True)
    return [(ALL_RUNS, observed), *((run_name(*key), rows) for key, rows in parts)]


def _estimate(
    metric: Metric, sums: np.ndarray, resampled: np.ndarray | None
) -> tuple[np.ndarray, Limits, Limits]:
    """Value, limits, and limits of what the model gains, of each source: the mean over seeds of
    `sums` (seeds, sources, S)."""
    value = metric.compute(sums).mean(axis=0)
    if resampled is None:
        none = np.full_like(value, np.nan), np.full_like(value, np.nan)
        return value, none, none
    drawn = metric.compute(resampled).mean(axis=1)
    return value, limits(drawn), limits(drawn[:, :1] - drawn)


def _reason(value: float, groups: int) -> str | None:
    if np.isnan(value):
        return UNDEFINED
    return ONE_GROUP if groups < 2 else None


def _model(rows: pd.DataFrame) -> np.ndarray:
    counts = rows[["tn", "fp", "fn", "tp"]].to_numpy()
    return statistics(counts, rows["n_true"], rows["n_predicted"])


def _trivial(rows: pd.DataFrame, name: str) -> np.ndarray:
    counts = rows[[f"{name}_{count}" for count in ("tn", "fp", "fn", "tp")]].to_numpy()
    return statistics(counts, rows["n_true"], rows[f"{name}_n_objects"])


def _all_background(rows: pd.DataFrame) -> np.ndarray:
    tn, fp, fn, tp = rows[["otsu_tn", "otsu_fp", "otsu_fn", "otsu_tp"]].to_numpy().T
    nothing = np.zeros_like(tn)
    counts = np.stack([tn + fp, nothing, fn + tp, nothing], axis=1)
    return statistics(counts, rows["n_true"], nothing)


# --- Scores of instances in `metrics.json`: with their baselines, by modality and by group

UNITS = {"modality": ("group", "groups"), "group": ("id", "images")}
"""What the bootstrap draws, as a column and in words: groups within a modality; within one group
only images are left."""


def instance_sources() -> Sources:
    """What instances are compared with: those of Otsu's threshold, uncut and cut by watershed."""
    return {source: partial(_columns, source=source) for source in ("model", *INSTANCES)}


def _columns(rows: pd.DataFrame, source: str) -> np.ndarray:
    return rows[instance_columns(source)].to_numpy(dtype=np.float64)


def breakdown(observed: pd.DataFrame, resamples: int) -> dict[str, list[dict[str, Any]]]:
    """Scores of `HEADLINES` by modality and by group, of all runs together.

    Intervals within a group are over its images, which are alike: they tell how steady the
    model is on images like these, and nothing of other groups.

    Args:
        observed: rows of `observations.observe` with instances.
        resamples: resamples of the bootstrap.

    Returns:
        For `modality` and `group` a record for each subset and each of them: its name, numbers of
        groups, images and true objects, what the intervals are over and why there may be none,
        and `scores` by name of the metric, whose definition stands with the metrics of all
        images.
    """
    return {
        by: [
            {"subset": subset, by: name, **_record(rows, by, resamples)}
            for (subset, name), rows in observed.groupby(["subset", by], sort=True)
        ]
        for by in UNITS
    }


def _record(rows: pd.DataFrame, by: str, resamples: int) -> dict[str, Any]:
    unit, units = UNITS[by]
    wanted = [metric for metric in instances() if metric.name in HEADLINES]
    found = list(estimates(wanted, rows, instance_sources(), resamples, unit))
    return {
        "modalities": sorted(set(rows["modality"])),
        "groups": rows["group"].nunique(),
        "images": rows["id"].nunique(),
        "n_true": int(rows.drop_duplicates("id")["n_true"].sum()),
        "intervals_over": units,
        "interval_reason": None if found[0].units > 1 else f"fewer than two {units}",
        "scores": {each.metric.name: _score(each) for each in found},
    }


def _score(found: Estimate) -> dict[str, Any]:
    return {
        "value": number(found.value[0]),
        "low": number(found.low[0]),
        "high": number(found.high[0]),
        "baselines": {name: number(found.value[at]) for at, name in enumerate(INSTANCES, start=1)},
    }
