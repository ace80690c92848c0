"""Records of `metrics.json`: each metric with its interval, support and baselines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from coverslip.intervals import limits, resampled_sums
from coverslip.metrics import Metric, pixel_accuracy, statistics
from coverslip.runs import at_epoch, fold_and_seed, read_history, read_info, run_name, run_of

SOURCES = ("model", "all background", "otsu")
"""The model first, then the baselines, in the order of the arrays' axis."""
ALL = "all"
"""Name of all runs together: folds pooled, then the mean over seeds."""
SEED = 1
"""Seed of the bootstrap."""
DIGITS = 6
ONE_GROUP = "one group only: an interval over groups needs at least two"
UNDEFINED = "undefined: there is nothing to divide by"
FROM_HISTORY = "taken from the history of the training, which keeps no counts of single pictures"


def metric_records(
    wanted: Sequence[Metric],
    observed: pd.DataFrame,
    subset: str,
    classes: Sequence[str],
    resamples: int,
) -> list[dict[str, Any]]:
    """Records of all metrics on one subset, for all runs together and for each run.

    Args:
        wanted: the metrics.
        observed: the subset's rows of `evaluate.observe`.
        subset: name of the subset.
        classes: names of background and foreground.
        resamples: resamples of the bootstrap.
    """
    records = []
    for run, rows in _by_run(observed):
        values, groups = sources(rows)
        count = len(set(groups))
        sums = values.sum(axis=0)
        resampled = resampled_sums(values, groups, resamples, SEED) if count > 1 else None
        for metric in wanted:
            value, low, high = _estimate(metric, sums, resampled)
            records.append(
                {
                    "name": metric.name,
                    "subset": subset,
                    "class": None if metric.class_index is None else classes[metric.class_index],
                    "run": run,
                    "value": number(value[0]),
                    "low": number(low[0]),
                    "high": number(high[0]),
                    "interval_reason": _reason(value[0], count),
                    "support": int(metric.support(sums)[0, 0]),
                    "support_unit": metric.support_unit,
                    "groups": count,
                    "unit": metric.unit,
                    "definition": metric.definition,
                    "baselines": {name: number(value[at]) for at, name in _baselines()},
                    "baseline_intervals": {
                        name: [number(low[at]), number(high[at])] for at, name in _baselines()
                    },
                }
            )
    return records


def sources(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Statistics of model and baselines: (N, seeds, sources, S), and the group of each row (N,).

    A row is a picture in a fold; all seeds must have the same ones.

    Raises:
        ValueError: the seeds have different pictures.
    """
    by_seed, first = [], None
    for _, part in rows.groupby("seed", sort=True):
        part = part.sort_values(["fold", "id"])
        keys = part[["fold", "id"]].to_numpy().tolist()
        if first is None:
            first, groups = keys, part["group"].to_numpy(dtype=str)
        elif keys != first:
            raise ValueError("the seeds of a study have predictions of different pictures")
        by_seed.append(np.stack([_model(part), _all_background(part), _otsu(part)], axis=1))
    return np.stack(by_seed, axis=1), groups


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
        facts: one row a picture of the split and fold, with the counts of truth and Otsu.
    """
    parts = []
    for model in sorted(models, key=lambda path: fold_and_seed(run_of(path))):
        run = run_of(model)
        row = at_epoch(read_history(model), read_info(model)["kept_epoch"])
        fold = facts["fold"] == fold_and_seed(run)[0]
        rows = facts[fold & (facts["subset"] == "train")]
        blank = pixel_accuracy(_all_background(rows).sum(axis=0))
        otsu = pixel_accuracy(_otsu(rows).sum(axis=0))
        support = (len(rows), rows["group"].nunique())
        parts.append((run, float(row["accuracy"]), float(blank), float(otsu), support))
    mean = [float(np.mean([part[at] for part in parts])) for at in (1, 2, 3)]
    return [
        _train_record(ALL, *mean, (parts[0][4][0], parts[0][4][1])),
        *(_train_record(*part) for part in parts),
    ]


def number(value: float) -> float | None:
    """A number for JSON: rounded, none for NaN."""
    return None if np.isnan(value) else round(float(value), DIGITS)


def _train_record(
    run: str, value: float, blank: float, otsu: float, support: tuple[int, int]
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
        "support_unit": "pictures",
        "groups": support[1],
        "unit": "share",
        "definition": "Share of right pixels over the augmented training patches while the weights "
        "still changed, in the epoch whose weights were kept (mean over runs).",
        "baselines": {"all background": number(blank), "otsu": number(otsu)},
        "baseline_intervals": {"all background": [None, None], "otsu": [None, None]},
    }


def _by_run(observed: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    if observed.empty:
        return []
    parts = observed.groupby(["fold", "seed"], sort=True)
    return [(ALL, observed), *((run_name(*key), rows) for key, rows in parts)]


def _baselines() -> list[tuple[int, str]]:
    return list(enumerate(SOURCES))[1:]


def _estimate(
    metric: Metric, sums: np.ndarray, resampled: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value and limits of each source (3,): the mean over seeds of (seeds, 3, S)."""
    value = metric.compute(sums).mean(axis=0)
    if resampled is None:
        return value, np.full_like(value, np.nan), np.full_like(value, np.nan)
    low, high = limits(metric.compute(resampled).mean(axis=1))
    return value, low, high


def _reason(value: float, groups: int) -> str | None:
    if np.isnan(value):
        return UNDEFINED
    return ONE_GROUP if groups < 2 else None


def _model(rows: pd.DataFrame) -> np.ndarray:
    counts = rows[["tn", "fp", "fn", "tp"]].to_numpy()
    return statistics(counts, rows["objects_true"], rows["objects_predicted"])


def _otsu(rows: pd.DataFrame) -> np.ndarray:
    counts = rows[["otsu_tn", "otsu_fp", "otsu_fn", "otsu_tp"]].to_numpy()
    return statistics(counts, rows["objects_true"], rows["otsu_objects"])


def _all_background(rows: pd.DataFrame) -> np.ndarray:
    tn, fp, fn, tp = rows[["otsu_tn", "otsu_fp", "otsu_fn", "otsu_tp"]].to_numpy().T
    nothing = np.zeros_like(tn)
    counts = np.stack([tn + fp, nothing, fn + tp, nothing], axis=1)
    return statistics(counts, rows["objects_true"], nothing)
