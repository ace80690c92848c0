"""The same of classes of whole pictures, see `coverslip.evaluation.ensemble_scores`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from coverslip.configuration.config import Evaluation, Preprocessing
from coverslip.evaluation import classification_metrics as metrics
from coverslip.evaluation.class_evaluate import scored_rows
from coverslip.evaluation.class_observations import SUBSETS, brightness_of, observe, sources
from coverslip.evaluation.ensemble_scores import gains, write
from coverslip.evaluation.runs import fold_and_seed, read_info, run_of

SETTLED = "probabilities of each member after its own temperature are averaged; none after that"


def compare(
    predictions: Sequence[Path],
    models: Sequence[Path],
    pictures: Path,
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
    labels = [str(label) for label in read_info(models[0])["classes"]]
    names = [(class_names or {}).get(label, label) for label in labels]
    rows = scored_rows(split, groups, labels)
    runs = sorted({run_of(path) for path in predictions}, key=fold_and_seed)
    features = brightness_of(pictures, sorted(set(rows["id"])), preprocessing)
    observed, _ = observe(predictions, runs, rows, features)
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
