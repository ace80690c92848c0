"""Scores of a study: `metrics.json` and one row an image in `images.csv`.

Every number stands with its definition, its support, its interval by the bootstrap over groups
(`coverslip.metrics.intervals`) and the same number of two trivial baselines
(`coverslip.metrics.baselines`). What a study with instances has beyond one with masks alone:
metrics of instances, their scores by modality and by group, and further columns of the table. Needs
no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from coverslip.config.sections import Evaluation, Preprocessing
from coverslip.errors import CoverslipError
from coverslip.evaluation import confluency
from coverslip.evaluation.examples import choose_examples
from coverslip.evaluation.per_image import (
    COUNTS,
    OTSU_COUNTS,
    SUBSETS,
    has_instances,
    instance_columns,
    observe,
)
from coverslip.evaluation.runs import fold_and_seed, read_info, run_of
from coverslip.evaluation.summary import (
    Sources,
    breakdown,
    confusion_records,
    instance_sources,
    mask_sources,
    metric_records,
    train_records,
)
from coverslip.files import atomic_write, write_json
from coverslip.metrics import instances, pixels
from coverslip.metrics import instances as instances_module
from coverslip.metrics.matching import PERCENT

FORMAT = 1

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
    *confluency.TABLE,
]
"""Columns of `images.csv`: shares are 0..1, `foreground_*` is the share of the image,
`confluency_*` the percentage of its field of view."""

TRUE_POSITIVES = [f"tp_{percent}" for percent in PERCENT]

INSTANCE_TABLE = [
    "mean_ap",
    "ap50",
    "f1_50",
    "pq",
    "otsu_mean_ap",
    "otsu_watershed_mean_ap",
    *TRUE_POSITIVES,
    "splits",
    "merges",
    "missed",
    "invented",
]
"""Further columns of a study with instances: scores 0..1; numbers of true positives at each
threshold of the IoU in percent, and of objects that are wrong, as
`coverslip.metrics.matching` tells."""


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
) -> None:
    """Score all runs (folds and seeds) of a study.

    Args:
        predictions: prediction files of all runs and shards; their folder tells the run.
        models: model folders of all runs.
        images: the store.
        groups: `groups.csv` of the dataset (id, group, modality).
        split: the table of the split (id, group, fold, subset).
        preprocessing: the study's section; `resize` and `mask_resize` are used.
        evaluation: the study's section.
        study: name of the study.
        reproduction: whether the study repeats a published protocol.
        output: `metrics.json` to write.
        table: `images.csv` to write.

    Raises:
        CoverslipError: a file cannot be read, or a prediction is missing or of another size.
    """
    rows = read_split(split, groups)
    runs = sorted({run_of(path) for path in models}, key=fold_and_seed)
    observed, facts = observe(predictions, runs, images, rows, preprocessing, evaluation)
    classes = class_names(models[0])
    records = [*_scores(observed, classes, evaluation), *train_records(models, facts)]
    panels_of, panels = choose_examples(observed)
    document = {
        "format": FORMAT,
        "study": study,
        "reproduction": reproduction,
        "task": "segmentation",
        "classes": classes,
        "resolution": evaluation.resolution,
        "runs": runs,
        "metrics": records,
        "confusion": confusion_records(observed, classes),
        "examples_subset": panels_of,
        "examples": panels,
    }
    if has_instances(observed):
        document["instances"] = breakdown(observed, evaluation.bootstrap)
    with atomic_write(table) as part:
        image_table(observed).to_csv(part, index=False, lineterminator="\n")
    write_json(output, document, allow_nan=False)


def _scores(
    observed: pd.DataFrame, classes: Sequence[str], evaluation: Evaluation
) -> Iterator[dict[str, Any]]:
    """Records of all metrics on the subsets that are predicted."""
    instances = has_instances(observed)
    for subset in SUBSETS:
        rows = observed[observed["subset"] == subset]
        if rows.empty:
            continue
        for wanted, sources, of in wanted_metrics(subset, evaluation, instances, rows):
            yield from metric_records(wanted, of, subset, classes, evaluation.bootstrap, sources)


def wanted_metrics(
    subset: str, evaluation: Evaluation, instances: bool, rows: pd.DataFrame
) -> list[tuple[list[pixels.Metric], Sources, pd.DataFrame]]:
    """Metrics of a subset, with the model and the baselines, and the rows, that they are of."""
    wanted = pixels.foreground() if instances else pixels.segmentation(evaluation.min_area_px)
    if subset == "test" and evaluation.blank_test_labels:
        wanted.append(pixels.blank_labels())
    told = [
        (wanted, mask_sources(), rows),
        (confluency.metrics(rows), confluency.sources(), rows),
        (confluency.group_metrics(), confluency.sources(), confluency.of_groups(rows)),
    ]
    return [(instances_module.instances(), instance_sources(), rows), *told] if instances else told


def read_split(split: Path, groups: Path) -> pd.DataFrame:
    """Rows of the split with the modality of each image: id, group, fold, subset, modality.

    A split of patches also has their corners, `y` and `x`.

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
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        return table[[*columns, *(name for name in ("y", "x") if name in table)]]
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


def image_table(observed: pd.DataFrame) -> pd.DataFrame:
    """`images.csv` of the observations, sorted by subset, fold, seed and id."""
    table = observed.copy()
    tn, fp, fn, tp = (table[name].to_numpy(dtype=float) for name in COUNTS)
    _, otsu_fp, otsu_fn, otsu_tp = (table[name].to_numpy(dtype=float) for name in OTSU_COUNTS)
    size = tn + fp + fn + tp
    table["accuracy"] = (tn + tp) / size
    table["iou"] = pixels.image_iou(tp, fp, fn)
    table["dice"] = pixels.image_dice(tp, fp, fn)
    table["otsu_iou"] = pixels.image_iou(otsu_tp, otsu_fp, otsu_fn)
    table["foreground_true"] = (tp + fn) / size
    table["foreground_predicted"] = (tp + fp) / size
    table = table.assign(**confluency.columns(observed))
    columns = TABLE
    if has_instances(observed):
        columns = [*TABLE, *INSTANCE_TABLE]
        table = table.assign(**_instance_columns(observed))
    return table[columns].sort_values(["subset", "fold", "seed", "id"]).round(6)


def _instance_columns(observed: pd.DataFrame) -> dict[str, pd.Series]:
    """Columns of `INSTANCE_TABLE`."""
    sources = {"": "model", "otsu_": "otsu", "otsu_watershed_": "otsu watershed"}
    found: dict[str, pd.Series] = {}
    for prefix, source in sources.items():
        names = dict(zip(instances.STATISTICS, instance_columns(source), strict=True))
        ap = [names[f"ap_{percent}"] for percent in PERCENT]
        found[f"{prefix}mean_ap"] = observed[ap].mean(axis=1)
        if source == "model":
            whole = [*TRUE_POSITIVES, "splits", "merges", "missed", "invented"]
            found |= {name: observed[names[name]].astype(int) for name in whole}
            found |= {name: observed[names[name]] for name in ("f1_50", "pq")}
            found["ap50"] = observed[names["ap_50"]]
    return found
