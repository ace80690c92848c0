"""Scores of the mean of several networks, compared with the single ones: `scores.json`.

Both are scored on the same images, which no member was trained on: those of the validation and
test subset of a fold, by the networks of all seeds of that fold. (Networks of several folds share
no such images: what one fold tests, another one was trained on.) The difference has its interval
by the paired bootstrap: the same groups are drawn for both.
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
from coverslip.evaluation.summary import SEED, number, stack
from coverslip.files import write_json
from coverslip.metrics.intervals import limits, resampled_sums
from coverslip.models.ensemble import SETTLED

FORMAT = 1

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
        for record in gains(block, subset, observations.classes, inputs.evaluation.bootstrap)
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


def gains(
    block: Block, subset: str, classes: Sequence[str], resamples: int
) -> Iterator[dict[str, Any]]:
    """Yield a record for each metric: single networks, ensemble, and their difference.

    Args:
        block: metrics and rows of one subset; rows of ensembles have the seed `runs.ENSEMBLE`. The
            first source is the model, others are not used.
        subset: name of the subset.
        classes: names of the classes.
        resamples: resamples of the bootstrap.

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
    values = values[:, :, 0]
    count = len(set(units))
    sums, resampled = layout.unpack(values.sum(axis=0)), None
    if count > 1:
        resampled = layout.unpack(resampled_sums(values, units, resamples, SEED))
    for metric in block.metrics:
        of_seeds = metric.compute(sums)
        drawn = None if resampled is None else metric.compute(resampled)
        by_seed = {str(s): number(v) for s, v in zip(seeds, of_seeds[1:], strict=True)}
        yield {
            "name": metric.name,
            "subset": subset,
            "class": None if metric.class_index is None else classes[metric.class_index],
            "single": _with_limits(_single, of_seeds, drawn) | {"by_seed": by_seed},
            "ensemble": _with_limits(_ensemble, of_seeds, drawn),
            "gain": _with_limits(lambda v: _ensemble(v) - _single(v), of_seeds, drawn),
            "support": int(metric.count(sums)[0]),
            "support_unit": metric.support.unit,
            "groups": count,
            "unit": metric.unit,
            "definition": metric.definition,
            "function": metric.function_name,
        }


def _single(values: np.ndarray) -> np.ndarray:
    return values[..., 1:].mean(axis=-1)


def _ensemble(values: np.ndarray) -> np.ndarray:
    return values[..., 0]


def _with_limits(
    function: Callable[[np.ndarray], np.ndarray], values: np.ndarray, drawn: np.ndarray | None
) -> dict[str, float | None]:
    """Return a function of the values of ensemble and seeds, with its interval."""
    low, high = (np.nan, np.nan) if drawn is None else limits(function(drawn))
    value = float(function(values))
    return {"value": number(value), "low": number(float(low)), "high": number(float(high))}
