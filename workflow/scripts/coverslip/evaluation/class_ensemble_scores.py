"""The same of classes of whole images, see `coverslip.evaluation.ensemble_scores`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from coverslip.config.sections import Evaluation, Preprocessing
from coverslip.evaluation.class_evaluate import score_run
from coverslip.evaluation.class_per_image import SUBSETS, sources
from coverslip.evaluation.ensemble_scores import gains, write
from coverslip.evaluation.runs import fold_and_seed, run_of
from coverslip.metrics import classification as metrics

SETTLED = "probabilities of each member after its own temperature are averaged; none after that"


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
    class_names: Mapping[str, str] | None = None,
) -> None:
    """Score the single networks and the ensembles of a classification.

    Arguments and errors as of `ensemble_scores.compare`; `class_names` are names of classes for
    reading, by their labels.
    """
    runs = sorted({run_of(path) for path in predictions}, key=fold_and_seed)
    labels, names, _, observed, _ = score_run(
        predictions, models[0], runs, images, groups, split, preprocessing, class_names
    )
    statistics = sources(len(labels))["model"]
    records = [
        record
        for subset in SUBSETS
        for record in gains(
            metrics.classification(len(labels)),
            observed[observed["subset"] == subset],
            statistics,
            subset,
            names,
            evaluation.bootstrap,
        )
    ]
    write(output, study, "classification", runs, records, SETTLED)
