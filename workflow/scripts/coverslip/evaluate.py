"""Scores of a study: `metrics.json` and one row a picture in `pictures.csv`.

Every number stands with its definition, its support, its interval by the bootstrap over groups
(`coverslip.intervals`) and the same number of two trivial baselines (`coverslip.baselines`).
Needs no TensorFlow.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd

from coverslip import baselines, metrics
from coverslip.aside import aside
from coverslip.config import Evaluation, Preprocessing
from coverslip.errors import CoverslipError
from coverslip.panel_choice import choose
from coverslip.records import confusion_records, metric_records, train_records
from coverslip.runs import fold_and_seed, read_info, run_of
from coverslip.scoring import (
    Predictions,
    count_objects,
    count_true_objects,
    scored_image,
    scored_size,
    truth_mask,
)
from coverslip.store import Store

FORMAT = 1
SUBSETS = ("validation", "test")
"""Subsets that are predicted and scored picture by picture."""
COUNTS = ["tn", "fp", "fn", "tp"]
OTSU_COUNTS = [f"otsu_{name}" for name in COUNTS]
TABLE = [
    "id",
    "group",
    "modality",
    "subset",
    "fold",
    "seed",
    "accuracy",
    "iou",
    "dice",
    "otsu_iou",
    "objects_true",
    "objects_predicted",
    "foreground_true",
    "foreground_predicted",
]
"""Columns of `pictures.csv`: shares are 0..1, `foreground_*` is the share of the picture."""


def evaluate(
    predictions: Sequence[Path],
    models: Sequence[Path],
    pictures: Path,
    groups: Path,
    split: Path,
    preprocessing: Preprocessing,
    evaluation: Evaluation,
    study: str,
    protocol: str,
    output: Path,
    table: Path,
) -> None:
    """Score all runs (folds and seeds) of a study.

    Args:
        predictions: prediction files of all runs and shards; their folder tells the run.
        models: model folders of all runs.
        pictures: the store.
        groups: `groups.csv` of the dataset (id, group, modality).
        split: the table of the split (id, group, fold, subset).
        preprocessing: the study's section; `resize` and `mask_resize` are used.
        evaluation: the study's section.
        study: name of the study.
        protocol: `honest` or `as-published`.
        output: `metrics.json` to write.
        table: `pictures.csv` to write.

    Raises:
        CoverslipError: a file cannot be read, or a prediction is missing or of another size.
    """
    rows = read_split(split, groups)
    runs = sorted({run_of(path) for path in models}, key=fold_and_seed)
    observed, facts = observe(predictions, runs, pictures, rows, preprocessing, evaluation)
    classes = class_names(models[0])
    records = []
    for subset in SUBSETS:
        rows_of = observed[observed["subset"] == subset]
        wanted = _wanted(subset, evaluation)
        records += metric_records(wanted, rows_of, subset, classes, evaluation.bootstrap)
    records += train_records(models, facts)
    panels_of, panels = choose(observed)
    document = {
        "format": FORMAT,
        "study": study,
        "protocol": protocol,
        "task": "segmentation",
        "classes": classes,
        "resolution": evaluation.resolution,
        "runs": runs,
        "metrics": records,
        "confusion": confusion_records(observed, classes),
        "panels_subset": panels_of,
        "panels": panels,
    }
    with aside(table) as part:
        picture_table(observed).to_csv(part, index=False, lineterminator="\n")
    with aside(output) as part:
        text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
        part.write_text(text + "\n", encoding="utf-8")


def _wanted(subset: str, evaluation: Evaluation) -> list[metrics.Metric]:
    wanted = metrics.segmentation(evaluation.minimum_area)
    if subset == "test" and evaluation.blank_test_labels:
        wanted.append(metrics.blank_labels())
    return wanted


def read_split(split: Path, groups: Path) -> pd.DataFrame:
    """Rows of the split with the modality of each picture: id, group, fold, subset, modality.

    Raises:
        CoverslipError: a table is missing or lacks a column.
    """
    table = _read_table(split, ["id", "group", "fold", "subset"])
    modality = _read_table(groups, ["id", "modality"]).set_index("id")["modality"]
    table["fold"] = table["fold"].astype(int)
    table["modality"] = table["id"].map(modality).fillna("")
    return table.sort_values(["fold", "id"], ignore_index=True)


def _read_table(path: Path, columns: list[str]) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)[columns]
    except (OSError, ValueError, KeyError) as error:
        raise CoverslipError(
            f"{path}: not a readable table with {', '.join(columns)} ({error}): remove it and run "
            "again"
        ) from error


def class_names(model: Path) -> list[str]:
    """Names of background and foreground, from `model.json`.

    Further classes that a model may put out are foreground here, as the truth is a mask.
    """
    return [str(name) for name in read_info(model)["classes"][:2]]


def observe(
    predictions: Sequence[Path],
    runs: Sequence[str],
    pictures: Path,
    rows: pd.DataFrame,
    preprocessing: Preprocessing,
    evaluation: Evaluation,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Count pixels and objects of every picture, once for the truth and once a run.

    Returns:
        One row a prediction (id, group, modality, subset, fold, seed, `COUNTS`,
        `objects_predicted` and the columns of the second table), sorted by seed, fold and id;
        and one row a picture of the split with the counts of the truth and of Otsu's threshold.
    """
    size = scored_size(preprocessing, evaluation)
    where = rows[rows["fold"].isin({fold_and_seed(run)[0] for run in runs})]
    scored = where[where["subset"].isin(SUBSETS)].groupby("id", sort=True)["fold"].agg(set)
    found: list[dict] = []
    truths: list[dict] = []
    with ExitStack() as stack:
        store = stack.enter_context(Store(pictures))
        answers = {
            run: stack.enter_context(Predictions([p for p in predictions if run_of(p) == run]))
            for run in runs
        }
        for id in sorted(set(where["id"])):
            label = store.label(id)
            truth = truth_mask(label, size, preprocessing.mask_resize)
            image = scored_image(store.image(id), size)
            truths.append({"id": id, **_truth(truth, label, image, evaluation.minimum_area)})
            for run in runs:
                fold, seed = fold_and_seed(run)
                if fold in scored.get(id, ()):
                    mask = answers[run].mask(id, truth.shape)
                    counts = dict(zip(COUNTS, metrics.pixel_counts(truth, mask), strict=True))
                    objects = count_objects(mask, evaluation.minimum_area)
                    counts |= {"objects_predicted": objects}
                    found.append({"id": id, "fold": fold, "seed": seed, **counts})
    columns = ["id", "fold", "seed", *COUNTS, "objects_predicted"]
    facts = pd.DataFrame(truths)
    observed = pd.DataFrame(found, columns=columns).merge(where, on=["id", "fold"])
    observed = observed.merge(facts, on="id").sort_values(["seed", "fold", "id"], ignore_index=True)
    return observed, where.merge(facts, on="id")


def _truth(
    truth: np.ndarray, label: np.ndarray, image: np.ndarray, minimum_area: int
) -> dict[str, int]:
    otsu = baselines.otsu(image)
    return {
        **dict(zip(OTSU_COUNTS, metrics.pixel_counts(truth, otsu), strict=True)),
        "otsu_objects": count_objects(otsu, minimum_area),
        "objects_true": count_true_objects(label),
    }


def picture_table(observed: pd.DataFrame) -> pd.DataFrame:
    """`pictures.csv` of the observations, sorted by subset, fold, seed and id."""
    table = observed.copy()
    tn, fp, fn, tp = (table[name].to_numpy(dtype=float) for name in COUNTS)
    _, otsu_fp, otsu_fn, otsu_tp = (table[name].to_numpy(dtype=float) for name in OTSU_COUNTS)
    size = tn + fp + fn + tp
    table["accuracy"] = (tn + tp) / size
    table["iou"] = metrics.picture_iou(tp, fp, fn)
    table["dice"] = metrics.picture_dice(tp, fp, fn)
    table["otsu_iou"] = metrics.picture_iou(otsu_tp, otsu_fp, otsu_fn)
    table["foreground_true"] = (tp + fn) / size
    table["foreground_predicted"] = (tp + fp) / size
    return table[TABLE].sort_values(["subset", "fold", "seed", "id"]).round(6)
