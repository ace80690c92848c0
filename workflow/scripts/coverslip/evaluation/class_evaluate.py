"""Scores of a classification: `metrics.json` and one row an image in `images.csv`.

Every number stands with its definition, its support, its interval by the bootstrap over groups
(`coverslip.metrics.intervals`) and the same number of two baselines
(`coverslip.metrics.baselines`). Needs no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from coverslip.config.sections import Evaluation, Preprocessing
from coverslip.errors import CoverslipError
from coverslip.evaluation.class_per_image import (
    BRIGHTNESS,
    MAJORITY,
    SUBSETS,
    brightness_of,
    columns,
    observe,
    sources,
)
from coverslip.evaluation.evaluate import read_split
from coverslip.evaluation.runs import at_epoch, fold_and_seed, read_history, read_info, run_of
from coverslip.evaluation.summary import ALL_RUNS, FROM_HISTORY, metric_records, number
from coverslip.files import atomic_write, write_json
from coverslip.metrics import classification as metrics

FORMAT = 1

TABLE = [
    "id",
    "group",
    "modality",
    "subset",
    "fold",
    "seed",
    "true",
    "predicted",
    "probability",
    "probability_true",
    "right",
    "brightness_predicted",
    "brightness_right",
]
"""Columns of `images.csv`: classes by name; probabilities of the predicted and of the true class,
with temperature; 1 where the prediction is right; the same of the baseline `brightness`."""

PANELS = 9
"""Images in a panel, three by three."""


class Observed(NamedTuple):
    """What is scored of a study."""

    labels: list[str]
    names: list[str]
    """Of the classes, for reading."""
    rows: pd.DataFrame
    """See `scored_rows`."""
    table: pd.DataFrame
    """One row a prediction, see `class_observations.observe`."""
    temperatures: dict[str, float]


def score_run(
    predictions: Sequence[Path],
    model: Path,
    runs: Sequence[str],
    images: Path,
    groups: Path,
    split: Path,
    preprocessing: Preprocessing,
    class_names: Mapping[str, str] | None,
) -> Observed:
    """What is known of every scored image; arguments and errors as of `evaluate`.

    `model` is the folder of any of the models, and `runs` are the names of all runs.
    """
    labels = [str(label) for label in read_info(model)["classes"]]
    names = [(class_names or {}).get(label, label) for label in labels]
    rows = scored_rows(split, groups, labels)
    features = brightness_of(images, sorted(set(rows["id"])), preprocessing)
    return Observed(labels, names, rows, *observe(predictions, runs, rows, features))


def evaluate(
    predictions: Sequence[Path],
    models: Sequence[Path],
    images: Path,
    groups: Path,
    split: Path,
    preprocessing: Preprocessing,
    evaluation: Evaluation,
    study: str,
    reproduction: bool,
    output: Path,
    table: Path,
    class_names: Mapping[str, str] | None = None,
) -> None:
    """Score all runs (folds and seeds) of a study.

    Args:
        predictions: prediction files of all runs and shards; their folder tells the run.
        models: model folders of all runs.
        images: the store; the baseline `brightness` looks at the images.
        groups: `groups.csv` of the dataset (id, group, modality, stratum: the class).
        split: the table of the split (id, group, fold, subset).
        preprocessing: the study's section.
        evaluation: the study's section; `bootstrap` is used.
        study: name of the study.
        reproduction: whether the study repeats a published protocol.
        output: `metrics.json` to write.
        table: `images.csv` to write.
        class_names: names of classes for reading, by their labels.

    Raises:
        CoverslipError: a file cannot be read, or a prediction is missing.
    """
    runs = sorted({run_of(path) for path in models}, key=fold_and_seed)
    labels, names, rows, observed, temperatures = score_run(
        predictions, models[0], runs, images, groups, split, preprocessing, class_names
    )
    penalty = np.mean([read_info(model).get("regularization_loss", 0.0) for model in models])
    wanted = metrics.classification(len(labels), float(penalty))
    records = [
        record
        for subset in SUBSETS
        if (observed["subset"] == subset).any()
        for record in metric_records(
            wanted,
            observed[observed["subset"] == subset],
            subset,
            names,
            evaluation.bootstrap,
            sources(len(labels)),
        )
    ]
    subset = "test" if (observed["subset"] == "test").any() else "validation"
    document = {
        "format": FORMAT,
        "study": study,
        "reproduction": reproduction,
        "task": "classification",
        "classes": names,
        "labels": labels,
        "runs": runs,
        "metrics": [*records, *train_records(models, rows)],
        **_tables(observed, names),
        "temperature": temperatures,
        "examples_subset": subset,
        "examples": panels(observed[observed["subset"] == subset], names),
    }
    with atomic_write(table) as part:
        image_table(observed, names).to_csv(part, index=False, lineterminator="\n")
    write_json(output, document, allow_nan=False)


def scored_rows(split: Path, groups: Path, labels: Sequence[str]) -> pd.DataFrame:
    """Rows of the split with modality and truth (number of the class), without those without one.

    Raises:
        CoverslipError: a table cannot be read, or tells of a class that the model does not know.
    """
    rows = read_split(split, groups)
    rows = rows[rows["subset"].isin(["train", *SUBSETS])].reset_index(drop=True)
    try:
        stratum = pd.read_csv(groups, dtype=str, keep_default_na=False).set_index("id")["stratum"]
    except (OSError, ValueError, KeyError) as error:
        raise CoverslipError(
            f"{groups}: tells no classes ({error}): remove it and run again"
        ) from error
    truth = rows["id"].map(stratum).map({label: at for at, label in enumerate(labels)})
    if truth.isna().any():
        id = rows["id"][truth.isna()].iloc[0]
        raise CoverslipError(
            f"{groups}: '{id}' is of class '{stratum.get(id)}', which the model does not know: "
            "remove the patches of the study and run again"
        )
    rows = rows.assign(truth=truth.astype(int))
    rows.attrs["classes"] = len(labels)
    return rows


def _tables(observed: pd.DataFrame, names: Sequence[str]) -> dict[str, Any]:
    """Confusion matrices (sums over all runs), top confusions and reliability, by subset."""
    confusion, top, reliability = {}, {}, {}
    for subset, rows in observed.groupby("subset", sort=True):
        sums = sources(len(names))["model"](rows).sum(axis=0)
        counts = metrics.confusion(sums)
        runs = len(rows[["fold", "seed"]].drop_duplicates())
        whole = counts.astype(int).tolist()
        confusion[subset] = {"classes": list(names), "counts": whole, "runs": runs}
        top[subset] = metrics.top_confusions(counts, names)
        reliability[subset] = {
            name: np.round(metrics.bins(sums, calibrated), 6).tolist()
            for name, calibrated in (("raw", False), ("calibrated", True))
        }
    return {"confusion": confusion, "top_confusions": top, "reliability": reliability}


def panels(rows: pd.DataFrame, names: Sequence[str]) -> dict[str, list[str]]:
    """Ids of images to show, at most `PANELS` each.

    `last`: the last image of each class, by id; `confident_errors`: the wrong ones that the model
    was surest of, in the mean over seeds.
    """
    last = rows.sort_values("id").groupby("truth", sort=True)["id"].last()
    probabilities = rows[columns("calibrated", len(names))].to_numpy(float)
    wrong = probabilities.argmax(axis=1) != rows["truth"].to_numpy()
    sure = pd.DataFrame({"id": rows["id"], "sure": np.where(wrong, probabilities.max(axis=1), 0)})
    sure = sure.groupby("id", as_index=False)["sure"].mean()
    sure = sure[sure["sure"] > 0].sort_values(["sure", "id"], ascending=[False, True])
    return {"last": last.tolist()[:PANELS], "confident_errors": sure["id"].tolist()[:PANELS]}


def image_table(observed: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """`images.csv` of the observations, sorted by subset, fold, seed and id."""
    table = observed.copy()
    known = np.array(names, dtype=object)
    truth = observed["truth"].to_numpy(int)
    model = observed[columns("calibrated", len(names))].to_numpy(float)
    other = observed[columns(BRIGHTNESS, len(names))].to_numpy(float).argmax(axis=1)
    table["true"], table["predicted"] = known[truth], known[model.argmax(axis=1)]
    table["probability"] = model.max(axis=1)
    table["probability_true"] = model[np.arange(len(model)), truth]
    table["right"] = (model.argmax(axis=1) == truth).astype(int)
    table["brightness_predicted"] = known[other]
    table["brightness_right"] = (other == truth).astype(int)
    return table[TABLE].sort_values(["subset", "fold", "seed", "id"]).round(6)


def train_records(models: Sequence[Path], rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Accuracy on the training images at the epoch whose weights are kept.

    Args:
        models: model folders of all runs.
        rows: `scored_rows`.
    """
    parts = []
    for model in sorted(models, key=lambda path: fold_and_seed(run_of(path))):
        run = run_of(model)
        row = at_epoch(read_history(model), read_info(model)["kept_epoch"])
        training = rows[(rows["fold"] == fold_and_seed(run)[0]) & (rows["subset"] == "train")]
        share = float(training["truth"].value_counts(normalize=True).max())
        parts.append((run, float(row["accuracy"]), share, training))
    value, share = (float(np.mean([part[at] for part in parts])) for at in (1, 2))
    for run, accuracy, most, training in [(ALL_RUNS, value, share, parts[0][3]), *parts]:
        yield {
            "name": "accuracy",
            "subset": "train",
            "class": None,
            "run": run,
            "value": number(accuracy),
            "low": None,
            "high": None,
            "interval_reason": FROM_HISTORY,
            "support": len(training),
            "support_unit": "images",
            "groups": int(training["group"].nunique()),
            "unit": "share",
            "definition": "Share of the training images whose class is right, in the epoch whose "
            "weights are kept, while they were still changing and with augmentation and dropout.",
            "baselines": {MAJORITY: number(most)},
            "baseline_intervals": {MAJORITY: [None, None]},
            "gains": {},
        }
