"""Records of `metrics.json`: each metric with its interval, support and baselines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from coverslip.evaluation.per_image import INSTANCE_SOURCES, Block, Observations, Task
from coverslip.evaluation.runs import (
    at_epoch,
    fold_and_seed,
    is_untrained,
    read_history,
    read_info,
    run_name,
    run_of,
)
from coverslip.metrics.definitions import BY_MODALITY, INSTANCES
from coverslip.metrics.intervals import (
    MIN_GROUPS,
    jackknife_interval,
    merge_blocks,
    sum_by_group,
)
from coverslip.metrics.metric import Layout, Metric, image_statistics

ALL_RUNS = "all"
"""Name of all runs together: folds pooled, then the mean over seeds."""

DIGITS = 6

FEW_GROUPS = "fewer than {least} {units}: too few for a 95 % CI"

NOT_WITHOUT = "undefined without one of the {units}, or most is in a few of them"

UNDEFINED = "undefined: there is nothing to divide by"

FROM_HISTORY = "taken from the history of the training, which has no counts of single images"

TRAIN_DEFINITIONS = {
    ("pixel_accuracy", "network"): (
        "coverslip.training.losses.PixelAccuracy",
        "Fraction of correct pixels over the augmented training patches while the weights still "
        "changed, in the epoch whose weights were selected (mean over runs).",
    ),
    ("pixel_accuracy", "kmeans"): (
        "coverslip.training.kmeans.scores",
        "Fraction of correct pixels over the training images, with the selected number of clusters "
        "(mean over runs).",
    ),
    ("accuracy", "network"): (
        "coverslip.training.losses.PixelAccuracy",
        "Fraction of the training images whose class is correct, in the epoch whose weights are "
        "selected, while they were still changing and with augmentation and dropout.",
    ),
}
"""Function and definition of the training accuracy, by metric and kind of model."""


class Estimate(NamedTuple):
    """A metric of the model and of each baseline, in the order of the sources."""

    metric: Metric
    value: np.ndarray
    """(sources,) float64."""
    low: np.ndarray
    """Lower limit of the 95 % CI, (sources,); NaN where there is none."""
    high: np.ndarray
    difference_low: np.ndarray
    """Lower limit of the 95 % CI of the model's value minus that of each source, (sources,); the
    same groups are left out for both."""
    difference_high: np.ndarray
    support: int
    """What the metric is computed on, for the model."""
    units: int
    """Number of groups that the metric is computed on (or of images, within one group)."""
    unit_values: np.ndarray
    """The metric of the model in each of them, sorted."""


def metric_records(block: Block, subset: str, classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return the records of all metrics of a block, for all runs together and for each run.

    Args:
        block: metrics, sources and rows of one subset.
        subset: name of the subset.
        classes: names of the classes.
    """
    baselines = list(enumerate(block.sources))[1:]
    records = []
    for run, rows in _by_run(block.rows):
        for estimate in estimates(block._replace(rows=rows)):
            metric = estimate.metric
            few = 1 < estimate.units < MIN_GROUPS and run == ALL_RUNS
            record = {
                "name": metric.name,
                "subset": subset,
                "class": None if metric.class_index is None else classes[metric.class_index],
                "run": run,
                "value": number(estimate.value[0]),
                "ci_low": number(estimate.low[0]),
                "ci_high": number(estimate.high[0]),
                "interval_reason": interval_reason(
                    estimate.value[0], estimate.low[0], estimate.units
                ),
                "support": estimate.support,
                "support_unit": metric.support.unit,
                "groups": estimate.units,
                "group_values": [number(v) for v in estimate.unit_values] if few else None,
                "unit": metric.unit,
                "definition": metric.definition,
                "function": metric.function_name,
                "baselines": {name: number(estimate.value[at]) for at, name in baselines},
                "baseline_intervals": {
                    name: [number(estimate.low[at]), number(estimate.high[at])]
                    for at, name in baselines
                },
                "difference_to_baseline": {
                    name: {
                        "value": number(estimate.value[0] - estimate.value[at]),
                        "ci_low": number(estimate.difference_low[at]),
                        "ci_high": number(estimate.difference_high[at]),
                    }
                    for at, name in baselines
                },
            }
            records.append(record)
    return records


def estimates(block: Block, unit: str = "group") -> Iterator[Estimate]:
    """Yield each metric with its 95 % CI over whole groups, or other units.

    Args:
        block: metrics, sources and rows.
        unit: the column of the rows that names the units.
    """
    values, layout, units = stack(block, unit)
    by_unit = sum_by_group(values, units)
    blocks = merge_blocks(by_unit)
    total = by_unit.sum(axis=0)
    sums, parts, merged = (layout.unpack(array) for array in (total, by_unit, blocks))
    left_out = layout.unpack(total - blocks)
    for metric in block.metrics:
        # The mean over seeds of (seeds, sources).
        value = metric.compute(sums).mean(axis=0)
        count = metric.count(parts)[:, 0, 0]
        low = high = difference_low = difference_high = np.full_like(value, np.nan)
        if np.count_nonzero(count) >= MIN_GROUPS:
            others = metric.compute(left_out).mean(axis=1)
            weights = metric.count(merged)[:, 0, 0]
            low, high = jackknife_interval(value, others, weights[:, None], metric.bounds)
            differences = value[:1] - value, others[:, :1] - others
            difference_low, difference_high = jackknife_interval(*differences, weights[:, None])
        of_units = metric.compute(parts).mean(axis=1)[count > 0, 0]
        yield Estimate(
            metric,
            value,
            low,
            high,
            difference_low,
            difference_high,
            int(metric.count(sums)[0, 0]),
            int(np.count_nonzero(count)),
            np.sort(of_units[~np.isnan(of_units)]),
        )


def stack(block: Block, unit: str) -> tuple[np.ndarray, Layout, np.ndarray]:
    """Return the statistics of model and baselines for all seeds.

    Returns:
        Statistics (N, seeds, sources, S), a row for each image in a fold; how they are laid out
        along the last axis; and the unit of each row (N,).

    Raises:
        ValueError: the seeds have different images.
    """
    by_seed, keys = [], None
    for _, rows in block.rows.groupby("seed", sort=True):
        rows = rows.sort_values(["fold", "id"])
        if keys is None:
            keys, units = rows[["fold", "id"]].to_numpy().tolist(), rows[unit].to_numpy(dtype=str)
        elif keys != rows[["fold", "id"]].to_numpy().tolist():
            raise ValueError("the seeds of a study have predictions of different images")
        parts = [image_statistics(block.metrics, of(rows)) for of in block.sources.values()]
        layout = Layout(parts[0])
        by_seed.append(np.stack([layout.pack(part) for part in parts], axis=1))
    return np.stack(by_seed, axis=1), layout, units


def train_records(
    task: Task, observations: Observations, models: Sequence[Path]
) -> list[dict[str, Any]]:
    """Return the accuracy on the training images at the epoch whose weights are selected.

    There is none of label images of another program.
    """
    parts = []
    images = observations.images[observations.images["subset"] == "train"]
    if all(is_untrained(read_info(model)) for model in models):
        return []
    for model in sorted(models, key=lambda path: fold_and_seed(run_of(path))):
        run, info = run_of(model), read_info(model)
        accuracy = float(at_epoch(read_history(model), info["kept_epoch"])["accuracy"])
        rows = images[images["fold"] == fold_and_seed(run)[0]]
        parts.append((run, accuracy, task.train_baselines(rows), rows))
    value = float(np.mean([accuracy for _, accuracy, _, _ in parts]))
    means = {name: float(np.mean([part[2][name] for part in parts])) for name in parts[0][2]}
    key = task.train_metric, info.get("kind", "network")
    return [
        _train_record(*key, run, accuracy, baselines, rows)
        for run, accuracy, baselines, rows in [(ALL_RUNS, value, means, parts[0][3]), *parts]
    ]


def number(value: float) -> float | None:
    """Return a number for JSON: rounded, None for NaN."""
    return None if np.isnan(value) else round(float(value), DIGITS)


def _train_record(
    name: str,
    kind: str,
    run: str,
    value: float,
    baselines: Mapping[str, float],
    rows: pd.DataFrame,
) -> dict[str, Any]:
    function, definition = TRAIN_DEFINITIONS[name, kind]
    return {
        "name": name,
        "subset": "train",
        "class": None,
        "run": run,
        "value": number(value),
        "ci_low": None,
        "ci_high": None,
        "interval_reason": FROM_HISTORY,
        "support": len(rows),
        "support_unit": "images",
        "groups": int(rows["group"].nunique()),
        "group_values": None,
        "unit": "fraction",
        "definition": definition,
        "function": function,
        "baselines": {name: number(value) for name, value in baselines.items()},
        "baseline_intervals": {name: [None, None] for name in baselines},
        "difference_to_baseline": {},
    }


def _by_run(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    if rows.empty:
        return []
    parts = rows.groupby(["fold", "seed"], sort=True)
    return [(ALL_RUNS, rows), *((run_name(*key), part) for key, part in parts)]


def interval_reason(value: float, low: float, count: int, units: str = "groups") -> str | None:
    """Return why a value over so many groups has no 95 % CI; None if it has one."""
    if np.isnan(value):
        return UNDEFINED
    if count < MIN_GROUPS:
        return FEW_GROUPS.format(least=MIN_GROUPS, units=units)
    return NOT_WITHOUT.format(units=units) if np.isnan(low) else None


# --- Scores of instances by modality and by group

UNITS = {"modality": ("group", "groups"), "group": ("id", "images")}
"""What is left out in turn, as a column and in words: groups within a modality; within one group
there are only images."""


def breakdown(rows: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """Return the scores `BY_MODALITY` by modality and by group, of all runs together.

    Intervals within a group are over its images, which are alike: they show how precise the value
    is for images like these, and nothing about other groups.

    Args:
        rows: of `Observations` with instances.

    Returns:
        For `modality` and `group` a record for each subset and each of them: its name, numbers of
        groups, images and true objects, what the intervals are over and why there may be none,
        and `scores` by name of the metric, whose definition is with the metrics of all images.
    """
    return {
        by: [
            {"subset": subset, by: name, **_breakdown_record(part, by)}
            for (subset, name), part in rows.groupby(["subset", by], sort=True)
        ]
        for by in UNITS
    }


def _breakdown_record(rows: pd.DataFrame, by: str) -> dict[str, Any]:
    unit, units = UNITS[by]
    wanted = [metric for metric in INSTANCES if metric.name in BY_MODALITY]
    scores = list(estimates(Block(wanted, INSTANCE_SOURCES, rows), unit))
    count = rows[unit].nunique()
    return {
        "modalities": sorted(set(rows["modality"])),
        "groups": rows["group"].nunique(),
        "images": rows["id"].nunique(),
        "n_true": int(rows.drop_duplicates("id")["n_true"].sum()),
        "intervals_over": units,
        "interval_reason": interval_reason(0.0, 0.0, count, units),
        "scores": {
            score.metric.name: {
                "value": number(score.value[0]),
                "ci_low": number(score.low[0]),
                "ci_high": number(score.high[0]),
                "baselines": {
                    name: number(value)
                    for name, value in list(zip(INSTANCE_SOURCES, score.value, strict=True))[1:]
                },
            }
            for score in scores
        },
    }
