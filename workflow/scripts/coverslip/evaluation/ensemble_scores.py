"""Scores of the mean of several networks, compared with the single ones: `scores.json`.

Both are scored on the same images, which no member was trained on: those of the validation and
test subset of a fold, by the networks of all seeds of that fold. (Networks of several folds share
no such images: what one fold tests, another one was trained on.) For the 95 % CI of the difference
the same groups are left out for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.errors import CoverslipError
from coverslip.evaluation.per_image import MASKS, SUBSETS, Block, EvaluationInputs, Task
from coverslip.evaluation.runs import ENSEMBLE, fold_and_seed, run_of
from coverslip.evaluation.summary import number, stack
from coverslip.files import write_json
from coverslip.metrics.intervals import (
    MIN_GROUPS,
    Bounds,
    jackknife_interval,
    merge_blocks,
    sum_by_group,
)
from coverslip.models.ensemble import SETTLED

FORMAT = 2

CLASSES_SETTLED = (
    "probabilities of each member after its own temperature are averaged; none after that"
)


def compare(task: Task, inputs: EvaluationInputs, study: str, output: Path) -> None:
    """Score the single networks and the ensembles of a study.

    Args:
        task: `per_image.MASKS` or `per_image.CLASSES`.
        inputs: files and settings, with the predictions of the ensembles and models without them.
        study: name of the study.
        output: `scores.json` to write.

    Raises:
        CoverslipError: a file cannot be read, or a prediction is missing or of another size.
    """
    runs = sorted({run_of(path) for path in inputs.predictions}, key=fold_and_seed)
    # An ensemble has no penalty on weights, so its loss with one is not compared.
    observations = replace(task.observe(inputs, runs), penalty=0.0)
    records = [
        record
        for subset in SUBSETS
        for block in task.blocks(observations, subset, inputs.evaluation)
        for record in differences(block, subset, observations.classes)
    ]
    parts = [fold_and_seed(run) for run in runs]
    seeds = sorted({seed for _, seed in parts} - {ENSEMBLE})
    document = {
        "format": FORMAT,
        "study": study,
        "task": task.name,
        "folds": sorted({fold for fold, _ in parts}),
        "seeds": seeds,
        "settled": SETTLED if task is MASKS else CLASSES_SETTLED,
        "cost": f"{len(seeds)} trainings, and {len(seeds)} networks for each prediction",
        "metrics": records,
    }
    write_json(output, document, allow_nan=False)


def differences(block: Block, subset: str, classes: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield a record for each metric: single networks, ensemble, and their difference.

    Args:
        block: metrics and rows of one subset; rows of ensembles have the seed `runs.ENSEMBLE`. The
            first source is the model, others are not used.
        subset: name of the subset.
        classes: names of the classes.

    Raises:
        CoverslipError: seeds and ensembles have predictions of different images.
    """
    if block.rows.empty:
        return
    seeds = sorted(set(block.rows["seed"]) - {ENSEMBLE})
    if ENSEMBLE not in set(block.rows["seed"]) or not seeds:
        raise CoverslipError("predictions of single networks and of their ensemble are needed")
    model = dict(list(block.sources.items())[:1])
    try:
        values, layout, units = stack(block._replace(sources=model), "group")
    except ValueError as error:
        raise CoverslipError(f"{error}: remove the predictions and run again") from error
    # The ensemble comes first: seeds are sorted.
    by_group = sum_by_group(values[:, :, 0], units)
    total, blocks = by_group.sum(axis=0), merge_blocks(by_group)
    sums, parts, merged = (layout.unpack(array) for array in (total, by_group, blocks))
    left_out = layout.unpack(total - blocks)
    for metric in block.metrics:
        of_seeds = metric.compute(sums)
        groups = int(np.count_nonzero(metric.count(parts)[:, 0]))
        others = metric.compute(left_out) if groups >= MIN_GROUPS else None
        weights = metric.count(merged)[:, 0]
        by_seed = {str(s): number(v) for s, v in zip(seeds, of_seeds[1:], strict=True)}

        yield {
            "name": metric.name,
            "subset": subset,
            "class": None if metric.class_index is None else classes[metric.class_index],
            "single": _with_limits(_single, of_seeds, others, weights, metric.bounds)
            | {"by_seed": by_seed},
            "ensemble": _with_limits(_ensemble, of_seeds, others, weights, metric.bounds),
            "difference": _with_limits(_difference, of_seeds, others, weights, None),
            "support": int(metric.count(sums)[0]),
            "support_unit": metric.support.unit,
            "groups": groups,
            "unit": metric.unit,
            "definition": metric.definition,
            "function": metric.function_name,
        }


def _single(values: np.ndarray) -> np.ndarray:
    return values[..., 1:].mean(axis=-1)


def _ensemble(values: np.ndarray) -> np.ndarray:
    return values[..., 0]


def _difference(values: np.ndarray) -> np.ndarray:
    return _ensemble(values) - _single(values)


def _with_limits(
    function: Callable[[np.ndarray], np.ndarray],
    values: np.ndarray,
    left_out: np.ndarray | None,
    weights: np.ndarray,
    bounds: Bounds,
) -> dict[str, float | None]:
    """Return a function of the values of ensemble and seeds, with its 95 % CI."""
    value = function(values)
    ends = (np.array(np.nan),) * 2
    if left_out is not None:
        ends = jackknife_interval(value, function(left_out), weights, bounds)
    low, high = (number(float(end)) for end in ends)
    return {"value": number(float(value)), "ci_low": low, "ci_high": high}
