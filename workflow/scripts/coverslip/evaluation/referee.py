"""Compare tools on the same test images: scores, and paired differences to the best of them.

Everything is computed from `images.csv` of the studies, which has the counts of each image. Groups
are left out for all tools at once, so that a difference is paired
(`coverslip.metrics.intervals`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from coverslip.evaluation.per_image import Block
from coverslip.evaluation.summary import estimates
from coverslip.metrics import instances
from coverslip.metrics.definitions import INSTANCES
from coverslip.metrics.metric import Metric, Statistics

HEADLINE = "f1_50_pooled"
"""Metric that decides which tool is best."""

OF_PARTS = (HEADLINE, "mean_ap", "pq_pooled", "object_count_ratio")
"""Metrics that are also computed by modality and by group."""

BY = {"modality": "group", "group": "id"}
"""What images are divided by, and what is left out in turn within a part."""


class Score(NamedTuple):
    """A metric of one tool, and its difference to the best tool."""

    value: float
    low: float
    """Lower limit of the 95 % CI; NaN with fewer than five groups."""
    high: float
    difference: float
    """Value minus that of the best tool; 0 of the best tool itself."""
    difference_low: float
    """Lower limit of the 95 % CI of the difference; NaN with fewer than five groups."""
    difference_high: float


class Part(NamedTuple):
    """Some of the images: those of one modality or group, or all of them."""

    by: str
    """`all`, `modality` or `group`."""
    name: str
    images: int
    groups: int
    n_true: int
    """Annotated objects."""
    scores: dict[str, dict[str, Score]]
    """By metric, then by study, the best study first."""


class Comparison(NamedTuple):
    """Tools that were scored on the same images."""

    studies: list[str]
    """By the headline metric, the best first."""
    rows: pd.DataFrame
    """One row for each image and seed: `id`, `group`, `modality`, and counts of each study."""
    whole: Part
    parts: list[Part]
    """By modality, then by group."""


def same_images(tables: Mapping[str, pd.DataFrame]) -> list[list[str]]:
    """Return the studies that have the same test images, in lists, in their order.

    Args:
        tables: test rows of `images.csv`, by study.

    Examples:
        >>> a, b = pd.DataFrame({"id": ["1", "2"]}), pd.DataFrame({"id": ["2"]})
        >>> same_images({"x": a, "y": b, "z": a})
        [['x', 'z'], ['y']]
    """
    found: dict[frozenset[str], list[str]] = {}
    for study, table in tables.items():
        found.setdefault(frozenset(table["id"]), []).append(study)
    return list(found.values())


def compare(tables: Mapping[str, pd.DataFrame]) -> Comparison:
    """Compare studies of the same test images.

    Args:
        tables: test rows of `images.csv` with the columns of instances, by study; all have the
            same images. Where studies differ in the number of seeds, those with fewer are repeated.
    """
    rows = _side_by_side(tables)
    headline = [metric for metric in INSTANCES if metric.name == HEADLINE]
    values = next(estimates(Block(headline, _sources(list(tables)), rows))).value
    order = np.argsort(-np.nan_to_num(values, nan=-1.0), kind="stable")
    studies = [list(tables)[at] for at in order]
    of_parts = [metric for metric in INSTANCES if metric.name in OF_PARTS]
    parts = [
        _part(studies, part, by, str(name), of_parts, unit)
        for by, unit in BY.items()
        for name, part in rows.groupby(by, sort=True)
    ]
    return Comparison(studies, rows, _part(studies, rows, "all", "", INSTANCES, "group"), parts)


def clearly_worse(score: Score) -> bool:
    """Return whether the 95 % CI of the difference to the best tool is below 0."""
    return bool(score.difference_high < 0)


def worst_images(comparison: Comparison, each: int) -> list[str]:
    """Return the images on which each tool has its lowest F1 of objects, without repeats.

    Of equal F1 the lower AP counts, then the id. A tool gives `each` images that no better tool
    gave, as far as there are enough images.
    """
    chosen: list[str] = []
    for study in comparison.studies:
        numbers = _statistics(comparison.rows, study)
        counts = numbers["n_true"], numbers["n_predicted"]
        scores = pd.DataFrame(
            {
                "id": comparison.rows["id"].to_numpy(),
                "f1": instances.image_f1(numbers["tp_50"], *counts),
                "ap": instances.image_mean_average_precision(numbers["tp"], *counts),
            }
        )
        ranked = scores.groupby("id", as_index=False).mean().sort_values(["f1", "ap", "id"])
        chosen += [id for id in ranked["id"] if id not in chosen][:each]
    return chosen


def image_scores(comparison: Comparison, study: str) -> pd.Series:
    """Return the F1 of objects of each image (mean over seeds), by id."""
    numbers = _statistics(comparison.rows, study)
    scores = instances.image_f1(numbers["tp_50"], numbers["n_true"], numbers["n_predicted"])
    return pd.Series(scores, comparison.rows["id"].to_numpy()).groupby(level=0).mean()


def _part(
    studies: Sequence[str],
    rows: pd.DataFrame,
    by: str,
    name: str,
    metrics: Sequence[Metric],
    unit: str,
) -> Part:
    scores: dict[str, dict[str, Score]] = {}
    sources = _sources(studies)
    # Weights of groups in an interval are those of the first source.
    alone = [estimates(Block(list(metrics), {s: sources[s]}, rows), unit) for s in studies]
    together = estimates(Block(list(metrics), sources, rows), unit)
    for estimate, *own in zip(together, *alone, strict=True):
        difference = estimate.value - estimate.value[0]
        # The intervals are of the best minus another.
        low, high = -estimate.difference_high, -estimate.difference_low
        scores[estimate.metric.name] = {
            study: Score(
                *(float(number[0]) for number in (one.value, one.low, one.high)),
                *(float(column[at]) for column in (difference, low, high)),
            )
            for at, (study, one) in enumerate(zip(studies, own, strict=True))
        }
    first = rows.drop_duplicates("id")
    true = int(first[f"{studies[0]}: n_true"].sum())
    return Part(by, name, len(first), first["group"].nunique(), true, scores)


def _side_by_side(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return one row for each image and seed with the counts of all studies."""
    seeds = max(table["seed"].nunique() for table in tables.values())
    joined: pd.DataFrame | None = None
    for study, table in tables.items():
        counts = _counts(table).rename(columns=lambda name, study=study: f"{study}: {name}")
        own = pd.concat([table[["id", "group", "modality"]], counts], axis=1)
        by_seed = [part for _, part in own.groupby(table["seed"], sort=True)]
        rows = pd.concat(
            [by_seed[seed % len(by_seed)].assign(seed=seed, fold=0) for seed in range(seeds)]
        )
        if joined is None:
            joined = rows
        else:
            joined = joined.merge(
                rows.drop(columns=["group", "modality", "fold"]), on=["id", "seed"]
            )
    assert joined is not None
    return joined.sort_values(["seed", "id"], ignore_index=True)


def _counts(table: pd.DataFrame) -> pd.DataFrame:
    """Return `instances.STATISTICS` of each row of `images.csv`."""
    objects = table["n_true"] + table["n_predicted"]
    return table.assign(iou_50=table["pq"] * objects / 2)[list(instances.STATISTICS)]


def _statistics(rows: pd.DataFrame, study: str) -> Statistics:
    columns = [f"{study}: {name}" for name in instances.STATISTICS]
    return instances.inputs(rows[columns].to_numpy(float))


def _sources(studies: Sequence[str]) -> dict[str, partial]:
    return {study: partial(_statistics, study=study) for study in studies}
