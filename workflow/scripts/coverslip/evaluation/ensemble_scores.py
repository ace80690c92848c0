"""Scores of the mean of several networks beside those of the single ones: `scores.json`.

Both are judged on the same images, which no member was trained on: those of the validation and
test subset of a fold, by the networks of all seeds of that fold. (Networks of several folds share
no such images: what one fold tests, another one was trained on.) What is gained stands with its
interval by the paired bootstrap: the same groups are drawn for both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from coverslip.config.sections import Evaluation, Preprocessing
from coverslip.errors import CoverslipError
from coverslip.evaluation.evaluate import class_names, read_split, wanted_metrics
from coverslip.evaluation.per_image import SUBSETS, has_instances, observe
from coverslip.evaluation.runs import ENSEMBLE, fold_and_seed, run_of
from coverslip.evaluation.summary import SEED, Statistics, number, stacked
from coverslip.files import write_json
from coverslip.metrics.intervals import limits, resampled_sums
from coverslip.metrics.pixels import Metric
from coverslip.models.ensemble import SETTLED

FORMAT = 1


def compare(
    predictions: Sequence[Path],
    models: Sequence[Path],
    images: Path,
    groups: Path,
    split: Path,
    preprocessing: Preprocessing,
    evaluation: Evaluation,
    study: str,
    output: Path,
) -> None:
    """Score the single networks and the ensembles of a study with masks.

    Args:
        predictions: prediction files of all runs, ensembles among them; their folder tells the run.
        models: model folders of the single networks.
        images: the store.
        groups: `groups.csv` of the dataset (id, group, modality).
        split: the table of the split (id, group, fold, subset).
        preprocessing: the study's section; `resize` and `mask_resize` are used.
        evaluation: the study's section.
        study: name of the study.
        output: `scores.json` to write.

    Raises:
        CoverslipError: a file cannot be read, or a prediction is missing or of another size.
    """
    rows = read_split(split, groups)
    runs = sorted({run_of(path) for path in predictions}, key=fold_and_seed)
    observed, _ = observe(predictions, runs, images, rows, preprocessing, evaluation)
    names = class_names(models[0])
    records: list[dict[str, Any]] = []
    for subset in SUBSETS:
        part = observed[observed["subset"] == subset]
        told = wanted_metrics(subset, evaluation, has_instances(observed), part)
        for metrics, sources, of in told:
            statistics = next(iter(sources.values()))
            records += gains(metrics, of, statistics, subset, names, evaluation.bootstrap)
    write(output, study, "segmentation", runs, records, SETTLED)


def gains(
    metrics: Sequence[Metric],
    observed: pd.DataFrame,
    statistics: Statistics,
    subset: str,
    classes: Sequence[str],
    resamples: int,
) -> Iterator[dict[str, Any]]:
    """Yield a record a metric: of the single networks, of the ensemble, and what that gains.

    Args:
        metrics: the metrics, as functions of the sums of `statistics`.
        observed: rows of one subset, with the seed `runs.ENSEMBLE` for those of the ensembles.
        statistics: from rows to their sufficient statistics, (N, S).
        subset: name of the subset.
        classes: names of the classes.
        resamples: resamples of the bootstrap.

    Raises:
        CoverslipError: seeds and ensembles have predictions of different images.
    """
    if observed.empty:
        return
    together = observed["seed"] == ENSEMBLE
    try:
        # The ensemble comes first: seeds are sorted.
        values, units = stacked(observed, {"model": statistics}, "group")
    except ValueError as error:
        raise CoverslipError(f"{error}: remove the predictions and run again") from error
    seeds = sorted(set(observed["seed"]) - {ENSEMBLE})
    if not together.any() or not seeds:
        raise CoverslipError("predictions of single networks and of their ensemble are needed")
    values = values[:, :, 0]
    count = len(set(units))
    sums = values.sum(axis=0)
    resampled = resampled_sums(values, units, resamples, SEED) if count > 1 else None
    for metric in metrics:
        found = metric.compute(sums)
        spread = None if resampled is None else metric.compute(resampled)
        yield {
            "name": metric.name,
            "subset": subset,
            "class": None if metric.class_index is None else classes[metric.class_index],
            "single": _limited(found[1:].mean(), spread, lambda drawn: drawn[:, 1:].mean(axis=1))
            | {"by_seed": {str(s): number(v) for s, v in zip(seeds, found[1:], strict=True)}},
            "ensemble": _limited(found[0], spread, lambda drawn: drawn[:, 0]),
            "gain": _limited(
                found[0] - found[1:].mean(),
                spread,
                lambda drawn: drawn[:, 0] - drawn[:, 1:].mean(axis=1),
            ),
            "support": int(metric.support(sums)[0]),
            "support_unit": metric.support_unit,
            "groups": count,
            "unit": metric.unit,
            "definition": metric.definition,
        }


def _limited(value: Any, drawn: np.ndarray | None, of: Any) -> dict[str, float | None]:
    low, high = (np.nan, np.nan) if drawn is None else limits(of(drawn))
    return {"value": number(value), "low": number(float(low)), "high": number(float(high))}


def write(
    output: Path,
    study: str,
    task: str,
    runs: Sequence[str],
    records: Sequence[dict[str, Any]],
    settled: str,
) -> None:
    """Write `scores.json`.

    Args:
        output: the file.
        study: name of the study.
        task: `segmentation` or `classification`.
        runs: names of all runs.
        records: of `gains`.
        settled: how the ensemble's threshold, rules or temperature were settled.
    """
    known = [fold_and_seed(run) for run in runs]
    seeds = sorted({seed for _, seed in known} - {ENSEMBLE})
    document = {
        "format": FORMAT,
        "study": study,
        "task": task,
        "folds": sorted({fold for fold, _ in known}),
        "seeds": seeds,
        "settled": settled,
        "cost": f"{len(seeds)} trainings, and {len(seeds)} networks for each prediction",
        "metrics": list(records),
    }
    write_json(output, document, allow_nan=False)
