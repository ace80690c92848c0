"""Scores of instances in `metrics.json`: with their baselines, by modality and by group."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from coverslip.evaluation.instance_metrics import HEADLINES, instances
from coverslip.evaluation.observations import INSTANCES, instance_columns
from coverslip.evaluation.records import Estimate, Sources, estimates, number

UNITS = {"modality": ("group", "groups"), "group": ("id", "pictures")}
"""What the bootstrap draws, as a column and in words: groups within a modality; within one group
only pictures are left."""


def instance_sources() -> Sources:
    """What instances are compared with: those of Otsu's threshold, uncut and cut by watershed."""
    return {source: partial(_columns, source=source) for source in ("model", *INSTANCES)}


def _columns(rows: pd.DataFrame, source: str) -> np.ndarray:
    return rows[instance_columns(source)].to_numpy(dtype=np.float64)


def breakdown(observed: pd.DataFrame, resamples: int) -> dict[str, list[dict[str, Any]]]:
    """Scores of `HEADLINES` by modality and by group, of all runs together.

    Intervals within a group are over its pictures, which are alike: they tell how steady the
    model is on pictures like these, and nothing of other groups.

    Args:
        observed: rows of `observations.observe` with instances.
        resamples: resamples of the bootstrap.

    Returns:
        For `modality` and `group` a record for each subset and each of them: its name, numbers of
        groups, pictures and true objects, what the intervals are over and why there may be none,
        and `scores` by name of the metric, whose definition stands with the metrics of all
        pictures.
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
        "pictures": rows["id"].nunique(),
        "objects_true": int(rows.drop_duplicates("id")["objects_true"].sum()),
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
