"""Scores of a study: `metrics.json` and one row for each image in `images.csv`.

Every number has its definition, its function, its support, its 95 % CI over groups
(`coverslip.metrics.intervals`) and the same number of baselines
(`coverslip.metrics.baselines`). Needs no TensorFlow.
"""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from coverslip.evaluation.examples import choose_class_examples, choose_examples, choose_subset
from coverslip.evaluation.per_image import (
    AREA,
    BRIGHTNESS,
    MASKS,
    SUBSETS,
    EvaluationInputs,
    Observations,
    Task,
    class_statistics,
    has_instances,
    instance_statistics,
    mask_statistics,
    probability_columns,
)
from coverslip.evaluation.runs import fold_and_seed, run_of
from coverslip.evaluation.summary import breakdown, metric_records, train_records
from coverslip.files import atomic_write, write_json
from coverslip.metrics import classification, confluency, instances, pixels
from coverslip.metrics.matching import PERCENT

FORMAT = 2

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
    "n_true",
    "n_predicted",
    "foreground_true",
    "foreground_predicted",
    "fov_area_px",
    "confluency_true",
    "confluency_predicted",
    "confluency_error",
]
"""Columns of `images.csv`: fractions are 0..1, `foreground_*` is the fraction of the image,
`fov_area_px` the pixels of the field of view, `confluency_*` percentages of it."""

TRUE_POSITIVES = [f"tp_{percent}" for percent in PERCENT]

ERRORS = ["splits", "merges", "missed", "spurious"]

INSTANCE_TABLE = [
    "mean_ap",
    "ap50",
    "f1_50",
    "pq",
    "otsu_mean_ap",
    "otsu_watershed_mean_ap",
    *TRUE_POSITIVES,
    *ERRORS,
]
"""Further columns of a study with instances: scores 0..1; numbers of true positives at each
threshold of the IoU in percent, and of objects with errors (`coverslip.metrics.matching`)."""

CLASS_TABLE = [
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
    "correct",
    "brightness_predicted",
    "brightness_correct",
]
"""Columns of `images.csv` of a classification: classes by name; probabilities of the predicted and
of the true class, with temperature; 1 where the prediction is correct; the same of the baseline
`brightness`."""


def evaluate(
    task: Task, inputs: EvaluationInputs, study: str, reproduction: bool, output: Path, table: Path
) -> None:
    """Score all runs (folds and seeds) of a study.

    Args:
        task: `per_image.MASKS` or `per_image.CLASSES`.
        inputs: files and settings.
        study: name of the study.
        reproduction: whether the study repeats a published protocol.
        output: `metrics.json` to write.
        table: `images.csv` to write.

    Raises:
        CoverslipError: a file cannot be read, or a prediction is missing or of another size.
    """
    runs = sorted({run_of(path) for path in inputs.models}, key=fold_and_seed)
    observations = task.observe(inputs, runs)
    records = [
        record
        for subset in SUBSETS
        for block in task.blocks(observations, subset, inputs.evaluation)
        for record in metric_records(block, subset, observations.classes)
    ]
    document: dict[str, Any] = {
        "format": FORMAT,
        "study": study,
        "reproduction": reproduction,
        "task": task.name,
        "classes": observations.classes,
        "runs": runs,
        "metrics": [*records, *train_records(task, observations, inputs.models)],
        "examples_subset": choose_subset(observations.rows),
        "group_unit": group_unit(observations.rows["group"]),
    }
    shown = observations.rows[observations.rows["subset"] == document["examples_subset"]]
    if task is MASKS:
        document |= {
            "resolution": inputs.evaluation.resolution,
            "confusion": pixel_confusion(observations),
            "examples": choose_examples(shown),
        }
        if has_instances(observations.rows):
            document["instances"] = breakdown(observations.rows)
        images = mask_table(observations.rows)
    else:
        document |= {
            "labels": observations.labels,
            "temperature": observations.temperatures,
            "examples": choose_class_examples(shown, observations.classes),
            **class_confusion(observations),
        }
        images = class_table(observations.rows, observations.classes)
    images = images.sort_values(["subset", "fold", "seed", "id"]).round(6)
    with atomic_write(table) as part:
        images.to_csv(part, index=False, lineterminator="\n")
    write_json(output, document, allow_nan=False)


def group_unit(names: Iterable[str]) -> str:
    """Return what groups are called: `plate` if all names begin so (`plate07`), else `group`.

    Examples:
        >>> group_unit(["plate01", "plate02"]), group_unit(["a17", "b2"])
        ('plate', 'group')
    """
    names = sorted({str(name) for name in names})
    start = re.match("[A-Za-z]*", os.path.commonprefix(names))
    word = start[0].lower() if start and len(names) > 1 else ""
    alike = len(word) > 2 and all(re.fullmatch(f"(?i:{word})[-_ ]?\\d+", name) for name in names)
    return word if alike else "group"


def pixel_confusion(observations: Observations) -> dict[str, Any]:
    """Return the confusion matrix of the pixels of each subset, summed over all runs.

    Rows are the truth, columns the prediction.
    """
    confusion = {}
    for subset, rows in observations.rows.groupby("subset", sort=True):
        tn, fp, fn, tp = (int(rows[f"model: {name}"].sum()) for name in pixels.COUNTS)
        confusion[subset] = {
            "classes": observations.classes,
            "counts": [[tn, fp], [fn, tp]],
            "runs": _count_runs(rows),
        }
    return confusion


def class_confusion(observations: Observations) -> dict[str, Any]:
    """Return confusion matrices (sums over all runs), top confusions and reliability, by subset."""
    confusion, top, reliability = {}, {}, {}
    names = observations.classes
    for subset, rows in observations.rows.groupby("subset", sort=True):
        statistics = class_statistics(rows, "model", len(names))
        counts = statistics["confusion"].sum(axis=0)
        whole = counts.astype(int).tolist()
        confusion[subset] = {"classes": names, "counts": whole, "runs": _count_runs(rows)}
        top[subset] = classification.top_confusions(counts, names)
        reliability[subset] = {
            name: np.round(statistics[bins].sum(axis=0), 6).tolist()
            for name, bins in (("raw", "bins_raw"), ("calibrated", "bins"))
        }
    return {"confusion": confusion, "top_confusions": top, "reliability": reliability}


def _count_runs(rows: pd.DataFrame) -> int:
    return len(rows[["fold", "seed"]].drop_duplicates())


def mask_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return `images.csv` of the observations of masks."""
    counts, otsu = (mask_statistics(rows, source) for source in ("model", "otsu"))
    tn, fp, fn, tp = (counts[name] for name in pixels.COUNTS)
    areas = (rows[name] for name in (f"model: {AREA}", "fov_true_px", "fov_area_px"))
    predicted, true, field = (area.to_numpy(float) for area in areas)
    table = rows.assign(
        accuracy=pixels.accuracy(tn, fp, fn, tp),
        iou=pixels.image_iou(tp, fp, fn),
        dice=pixels.image_dice(tp, fp, fn),
        otsu_iou=pixels.image_iou(otsu["tp"], otsu["fp"], otsu["fn"]),
        n_predicted=rows["model: n_predicted"],
        foreground_true=(tp + fn) / counts["pixels"],
        foreground_predicted=(tp + fp) / counts["pixels"],
        confluency_true=confluency.percent(true, field),
        confluency_predicted=confluency.percent(predicted, field),
        confluency_error=confluency.error(predicted, true, field),
    )
    if not has_instances(rows):
        return table[TABLE]
    return table.assign(**_instance_columns(rows))[[*TABLE, *INSTANCE_TABLE]]


def _instance_columns(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the columns of `INSTANCE_TABLE`."""
    prefixes = {"": "model", "otsu_": "otsu", "otsu_watershed_": "otsu watershed"}
    columns: dict[str, np.ndarray] = {}
    for prefix, source in prefixes.items():
        numbers = instance_statistics(rows, source)
        objects = numbers["n_true"], numbers["n_predicted"]
        mean_ap = instances.image_mean_average_precision(numbers["tp"], *objects)
        columns[f"{prefix}mean_ap"] = mean_ap
        if source == "model":
            columns["ap50"] = instances.image_average_precision(numbers["tp_50"], *objects)
            columns["f1_50"] = instances.image_f1(numbers["tp_50"], *objects)
            columns["pq"] = instances.image_panoptic_quality(numbers["iou_50"], *objects)
            columns |= {name: numbers[name].astype(int) for name in [*TRUE_POSITIVES, *ERRORS]}
    return columns


def class_table(rows: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return `images.csv` of the observations of classes."""
    classes = np.array(names, dtype=object)
    truth = rows["truth"].to_numpy(int)
    model = rows[probability_columns("calibrated", len(names))].to_numpy(float)
    brightness = rows[probability_columns(BRIGHTNESS, len(names))].to_numpy(float)
    predicted, of_brightness = model.argmax(axis=1), brightness.argmax(axis=1)
    table = rows.assign(
        true=classes[truth],
        predicted=classes[predicted],
        probability=model.max(axis=1),
        probability_true=model[np.arange(len(model)), truth],
        correct=(predicted == truth).astype(int),
        brightness_predicted=classes[of_brightness],
        brightness_correct=(of_brightness == truth).astype(int),
    )
    return table[CLASS_TABLE]
