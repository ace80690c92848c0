"""What is counted on each image, for every run and every baseline, and the two tasks.

The tasks differ in three things: how predictions are read, what is counted on an image, and which
metrics are computed of it. A `Task` has these; `evaluate` and `ensemble_scores` do the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from coverslip.config.sections import Evaluation, Preprocessing
from coverslip.data.image_store import ImageStore
from coverslip.data.tables import PLACE_COLUMNS, read_groups, read_split
from coverslip.errors import CoverslipError
from coverslip.evaluation.predictions import (
    Predictions,
    read_class_predictions,
    resize_to_scored,
    scored_size,
    truth_mask,
)
from coverslip.evaluation.runs import fold_and_seed, is_untrained, read_info, run_of
from coverslip.imaging.field_of_view import field_of_view
from coverslip.metrics import baselines, classification, definitions, instances, pixels
from coverslip.metrics.matching import Matching, match
from coverslip.metrics.metric import Metric, Statistics, expand_classes, sum_statistics
from coverslip.models import heads
from coverslip.models.preprocessing import to_input

SUBSETS = ("validation", "test")
"""Subsets that are predicted and scored image by image."""


@dataclass(frozen=True)
class EvaluationInputs:
    """Files and settings that the scores of a study depend on."""

    predictions: Sequence[Path]
    """Prediction files of all runs and shards; the name of their folder is the run."""
    models: Sequence[Path]
    """Model folders of all trainings."""
    images: Path
    """The store."""
    groups: Path
    """`groups.csv` of the dataset."""
    split: Path
    """`split.csv` of the study."""
    preprocessing: Preprocessing
    evaluation: Evaluation
    class_names: Mapping[str, str] = field(default_factory=dict)
    """Names of classes for reading, by their labels."""

    def predictions_of(self, run: str) -> list[Path]:
        """Return the prediction files of one run."""
        return [path for path in self.predictions if run_of(path) == run]


@dataclass(frozen=True)
class Observations:
    """What was counted on the images of a study."""

    rows: pd.DataFrame
    """One row for each prediction (id, group, modality, subset, fold, seed, and what was counted),
    sorted by seed, fold and id."""
    images: pd.DataFrame
    """One row for each image and fold of the split, training images included."""
    classes: list[str]
    """Names of the classes, for reading."""
    labels: list[str]
    """Labels of the classes, as in the dataset."""
    temperatures: dict[str, float] = field(default_factory=dict)
    """Of a classification: the temperature of each run."""
    penalty: float = 0.0
    """Of a classification: the L2 penalty on the weights, mean over the models."""


Source = Callable[[pd.DataFrame], Statistics]
"""From N rows of `Observations` to the inputs of metrics, for the model or one baseline."""


class Block(NamedTuple):
    """Metrics that are computed of the same rows."""

    metrics: list[Metric]
    sources: Mapping[str, Source]
    """The model first, then its baselines."""
    rows: pd.DataFrame


@dataclass(frozen=True)
class Task:
    """What differs between masks and classes of images."""

    name: str
    observe: Callable[[EvaluationInputs, Sequence[str]], Observations]
    """From the inputs and the names of the runs. Raises CoverslipError if a file cannot be read or
    a prediction is missing."""
    blocks: Callable[[Observations, str, Evaluation], list[Block]]
    """From the observations, a subset and the settings."""
    train_metric: str
    """Metric whose value on the training images is taken from the history."""
    train_baselines: Callable[[pd.DataFrame], dict[str, float]]
    """The same metric of the baselines, from rows of `Observations.images`."""


def select_scored(split: Path, groups: Path) -> pd.DataFrame:
    """Return the rows of a split with the modality of each image, sorted by fold and id.

    A split of patches also has their corners, `y` and `x`.

    Raises:
        CoverslipError: a table is missing or lacks a column.
    """
    table = read_split(split).drop(columns="stratum")
    table["modality"] = table["id"].map(read_groups(groups)["modality"]).fillna("")
    return table.sort_values(["fold", "id"], ignore_index=True)


# --- Masks, with instances or without

AREA = "fov_predicted_px"


def instance_columns(source: str) -> list[str]:
    """Columns of `Observations.rows` with `instances.STATISTICS` of the model or of a baseline."""
    return [f"{source}: instance {name}" for name in instances.STATISTICS]


def has_instances(rows: pd.DataFrame) -> bool:
    """Return whether objects were matched, and not the foreground alone."""
    return instance_columns("model")[0] in rows


def observe_masks(inputs: EvaluationInputs, runs: Sequence[str]) -> Observations:
    """Count pixels and objects of every image, once for truth and baselines and once for each run.

    Predicted instances are matched to the true ones at the image's own size; without instances,
    connected regions of the foreground are counted.
    """
    split = select_scored(inputs.split, inputs.groups)
    split = split[split["fold"].isin({fold_and_seed(run)[0] for run in runs})]
    corners = _corners(split)
    split = split.drop(columns=list(PLACE_COLUMNS), errors="ignore").drop_duplicates()
    subsets: tuple[str, ...] = SUBSETS
    if is_untrained(read_info(inputs.models[0])):
        subsets = ("test",)
        split = split[split["subset"] == "test"]
    folds_of = split[split["subset"].isin(subsets)].groupby("id", sort=True)["fold"].agg(set)
    counts: list[dict] = []
    facts: list[dict] = []
    with ExitStack() as stack:
        store = stack.enter_context(ImageStore(inputs.images))
        predictions = {
            run: stack.enter_context(Predictions(inputs.predictions_of(run))) for run in runs
        }
        with_instances = _have_instances(predictions)
        for id in sorted(set(split["id"])):
            image = _read_image(store, id, inputs, corners.get(id))
            facts.append({"id": id, **_image_counts(image)})
            folds = folds_of.get(id, ())
            of_baselines = _baseline_instances(image) if with_instances and folds else {}
            for run in runs:
                fold, seed = fold_and_seed(run)
                if fold in folds:
                    row = _prediction_counts(image, predictions[run], with_instances)
                    counts.append({"id": id, "fold": fold, "seed": seed, **row, **of_baselines})
    columns = ["id", "fold", "seed", *_mask_columns("model")]
    for source in ("model", *baselines.INSTANCES) if with_instances else ():
        columns += instance_columns(source)
    images = split.merge(pd.DataFrame(facts), on="id")
    scored = images[images["subset"].isin(subsets)]
    rows = pd.DataFrame(counts, columns=columns).merge(scored, on=["id", "fold"])
    rows = rows.sort_values(["seed", "fold", "id"], ignore_index=True)
    # Further classes of a model are foreground, as the truth is a mask.
    classes = [str(name) for name in read_info(inputs.models[0])["classes"][:2]]
    return Observations(rows, images, classes, classes)


class _Image(NamedTuple):
    """An image and its truth."""

    id: str
    label: np.ndarray
    """True instances at the image's own size, int32."""
    image: np.ndarray
    """The image at its own size."""
    truth: np.ndarray
    """True foreground at the scored size, bool."""
    scored: np.ndarray
    """The image at the scored size."""
    field: np.ndarray
    """Field of view at the scored size, bool."""
    min_area_px: int
    """Smaller regions of a foreground are not objects."""
    places: list[tuple[slice, slice]] | None
    """Of a split of patches: the test patches, which alone are scored, one below the other."""


def _corners(rows: pd.DataFrame) -> dict[str, list[tuple[int, int]]]:
    """Return the upper left corners of the test patches of each image, of a split of patches."""
    corners: dict[str, list[tuple[int, int]]] = {}
    if "y" in rows:
        tested = rows[rows["subset"].isin(SUBSETS)]
        for id, y, x in tested[["id", "y", "x"]].itertuples(index=False, name=None):
            corners.setdefault(id, []).append((int(y), int(x)))
    return corners


def _read_image(
    store: ImageStore, id: str, inputs: EvaluationInputs, corners: list[tuple[int, int]] | None
) -> _Image:
    size = scored_size(inputs.preprocessing, inputs.evaluation)
    label, image = store.label(id), store.image(id)
    places, side = None, inputs.preprocessing.patch
    if corners is not None:
        places = [np.s_[y : y + side, x : x + side] for y, x in corners]
        label, image = (np.concatenate([array[at] for at in places]) for array in (label, image))
    truth = truth_mask(label, size, inputs.preprocessing.mask_resize)
    scored = resize_to_scored(image, size)
    view, min_area_px = field_of_view(scored), inputs.evaluation.min_area_px
    return _Image(id, label, image, truth, scored, view, min_area_px, places)


def _have_instances(predictions: Mapping[str, Predictions]) -> bool:
    having = [run for run, answer in predictions.items() if answer.has_instances]
    if having and len(having) < len(predictions):
        other = next(run for run in predictions if run not in having)
        raise CoverslipError(
            f"{predictions[other].paths[0].parent}: contains no instances, but that of {having[0]} "
            "does: remove it and run again"
        )
    return bool(having)


def _mask_columns(source: str) -> list[str]:
    return [f"{source}: {name}" for name in (*pixels.COUNTS, "n_predicted", AREA)]


def _mask_counts(image: _Image, mask: np.ndarray, source: str) -> dict[str, int]:
    """Return what is counted on the mask (bool HxW) of the model or a baseline."""
    counts = pixels.pixel_counts(image.truth, mask)
    objects = instances.count_components(mask, image.min_area_px)
    area = int(np.count_nonzero(mask & image.field))
    return dict(zip(_mask_columns(source), (*counts, objects, area), strict=True))


def _image_counts(image: _Image) -> dict[str, int]:
    """Return what is counted on the truth and on the masks of the baselines."""
    masks = {
        "all background": baselines.all_background(image.truth.shape),
        "otsu": baselines.otsu(image.scored),
        "otsu of deviation": baselines.otsu_of_deviation(image.scored, image.field),
    }
    counts = {
        "n_true": instances.count_labels(image.label),
        "fov_area_px": int(np.count_nonzero(image.field)),
        "fov_true_px": int(np.count_nonzero(image.truth & image.field)),
    }
    for source, mask in masks.items():
        counts |= _mask_counts(image, mask, source)
    return counts


def _prediction_counts(
    image: _Image, predictions: Predictions, with_instances: bool
) -> dict[str, float]:
    if image.places is None:
        mask = predictions.mask(image.id, image.truth.shape)
    else:
        label = predictions.label(image.id)
        mask = np.concatenate([label[at] > 0 for at in image.places])
    counts: dict[str, float] = {**_mask_counts(image, mask, "model")}
    if with_instances:
        matching = match(image.label, predictions.instances(image.id, image.label.shape))
        counts |= _instance_counts("model", matching)
        counts["model: n_predicted"] = matching.n_predicted
    return counts


def _baseline_instances(image: _Image) -> dict[str, float]:
    counts: dict[str, float] = {}
    for source, segment in baselines.INSTANCES.items():
        objects = segment(image.image, image.min_area_px)
        counts |= _instance_counts(source, match(image.label, objects))
    return counts


def _instance_counts(source: str, matching: Matching) -> dict[str, float]:
    return dict(zip(instance_columns(source), instances.statistics(matching), strict=True))


MASK_SOURCES = ("model", "all background", "otsu", "otsu of deviation")


def mask_statistics(rows: pd.DataFrame, source: str) -> Statistics:
    """Return the inputs of the metrics of masks."""
    counts = rows[[f"{source}: {name}" for name in pixels.COUNTS]].to_numpy()
    predicted = rows[f"{source}: n_predicted"].to_numpy()
    return pixels.statistics(counts, rows["n_true"].to_numpy(), predicted)


def area_statistics(rows: pd.DataFrame, source: str) -> Statistics:
    """Return the inputs of the metrics of confluency."""
    columns = {
        "fov_area_px": "fov_area_px",
        "fov_true_px": "fov_true_px",
        AREA: f"{source}: {AREA}",
    }
    return {name: rows[column].to_numpy(float) for name, column in columns.items()}


def instance_statistics(rows: pd.DataFrame, source: str) -> Statistics:
    """Return the inputs of the metrics of instances."""
    return instances.inputs(rows[instance_columns(source)].to_numpy(float))


INSTANCE_SOURCES: dict[str, Source] = {
    source: partial(instance_statistics, source=source)
    for source in ("model", *baselines.INSTANCES)
}


def sum_areas(rows: pd.DataFrame) -> pd.DataFrame:
    """Return observations of whole groups: areas of all images of a well, slide or field together.

    Returns:
        One row for each run and group (id: the group), with the columns of areas.
    """
    areas = ["fov_area_px", "fov_true_px", *(f"{source}: {AREA}" for source in MASK_SOURCES)]
    summed = rows.groupby(["fold", "seed", "group"], sort=True)[areas].sum().reset_index()
    return summed.assign(id=summed["group"])


def mask_blocks(observations: Observations, subset: str, evaluation: Evaluation) -> list[Block]:
    """Return the metrics of a subset of masks; those of empty bands of confluency are left out."""
    rows = observations.rows[observations.rows["subset"] == subset]
    masks = {source: partial(mask_statistics, source=source) for source in MASK_SOURCES}
    areas = {source: partial(area_statistics, source=source) for source in MASK_SOURCES}
    wanted = expand_classes(definitions.PIXELS, 2)
    blocks = []
    if has_instances(rows):
        blocks.append(Block(list(definitions.INSTANCES), INSTANCE_SOURCES, rows))
    else:
        wanted += [
            replace(m, definition=m.definition.format(min_area_px=evaluation.min_area_px))
            for m in definitions.REGION_COUNTS
        ]
    if subset == "test" and evaluation.blank_test_labels:
        wanted.append(definitions.BLANK_LABELS)
    bands = definitions.CONFLUENCY_BANDS
    sums = sum_statistics(bands, areas["model"](rows))
    confluency = [*definitions.CONFLUENCY, *(band for band in bands if band.count(sums) > 0)]
    return [
        *blocks,
        Block(wanted, masks, rows),
        Block(confluency, areas, rows),
        Block(list(definitions.GROUP_CONFLUENCY), areas, sum_areas(rows)),
    ]


def mask_accuracy(rows: pd.DataFrame) -> dict[str, float]:
    """Return the pixel accuracy of the baselines over some images."""
    metric = definitions.PIXELS[0]
    return {
        source: float(metric.compute(sum_statistics([metric], mask_statistics(rows, source))))
        for source in MASK_SOURCES[1:]
    }


MASKS = Task("segmentation", observe_masks, mask_blocks, "pixel_accuracy", mask_accuracy)

# --- Classes of images

MAJORITY, BRIGHTNESS = "majority class", "brightness"
"""Names of the baselines."""

CLASS_SOURCES = {"model": ("raw", "calibrated")} | {
    name: (name, name) for name in (MAJORITY, BRIGHTNESS)
}
"""Columns with raw and with calibrated probabilities of the model and its baselines."""


def probability_columns(source: str, classes: int) -> list[str]:
    """Columns of `Observations.rows` with probabilities: `raw`, `calibrated` or of a baseline."""
    return [f"{source} {number}" for number in range(classes)]


def class_rows(split: Path, groups: Path, labels: Sequence[str]) -> pd.DataFrame:
    """Return the rows of a split with `truth`, the number of the class, of labelled images.

    Raises:
        CoverslipError: a table cannot be read, or an image is of a class that is not in `labels`.
    """
    rows = select_scored(split, groups)
    rows = rows[rows["subset"].isin(["train", *SUBSETS])].reset_index(drop=True)
    stratum = rows["id"].map(read_groups(groups)["stratum"])
    truth = stratum.map({label: number for number, label in enumerate(labels)})
    if truth.isna().any():
        first = truth.isna().idxmax()
        raise CoverslipError(
            f"{groups}: '{rows['id'][first]}' is of class '{stratum[first]}', which the model does "
            "not know: remove the patches of the study and run again"
        )
    return rows.assign(truth=truth.astype(int))


def observe_classes(inputs: EvaluationInputs, runs: Sequence[str]) -> Observations:
    """Collect the probabilities of every scored image, by the model and by the baselines."""
    labels = [str(label) for label in read_info(inputs.models[0])["classes"]]
    names = [inputs.class_names.get(label, label) for label in labels]
    images = class_rows(inputs.split, inputs.groups, labels)
    features = _brightness_features(inputs, sorted(set(images["id"])))
    of_baselines = {
        fold: _class_baselines(part, features, len(labels)) for fold, part in images.groupby("fold")
    }
    parts, temperatures = [], {}
    for run in runs:
        fold, seed = fold_and_seed(run)
        predictions = read_class_predictions(inputs.predictions_of(run))
        scored = images[(images["fold"] == fold) & images["subset"].isin(SUBSETS)].sort_values("id")
        place = {id: number for number, id in enumerate(predictions.ids)}
        for id in scored["id"]:
            if id not in place:
                raise CoverslipError(
                    f"{run}: contains no prediction of '{id}': remove its predictions and run again"
                )
        logits = predictions.logits[[place[id] for id in scored["id"]]].astype(np.float64)
        logits = logits.reshape(len(scored), -1)
        temperatures[run] = predictions.temperature
        probabilities = {
            "raw": heads.calibrated_probabilities(logits),
            "calibrated": heads.calibrated_probabilities(logits, predictions.temperature),
            **{name: of(scored["id"]) for name, of in of_baselines[fold].items()},
        }
        columns = [scored.assign(seed=seed).reset_index(drop=True)]
        columns += [
            pd.DataFrame(values, columns=probability_columns(name, logits.shape[1]))
            for name, values in probabilities.items()
        ]
        parts.append(pd.concat(columns, axis=1))
    rows = pd.concat(parts).sort_values(["seed", "fold", "id"], ignore_index=True)
    penalty = np.mean([read_info(model).get("regularization_loss", 0.0) for model in inputs.models])
    return Observations(rows, images, names, labels, temperatures, float(penalty))


def _class_baselines(
    rows: pd.DataFrame, features: pd.DataFrame, classes: int
) -> Mapping[str, Callable[[pd.Series], np.ndarray]]:
    """Return the baselines of one fold: functions from ids to probabilities (N, K)."""
    training = rows[rows["subset"] == "train"].sort_values("id")
    truth = training["truth"].to_numpy(int)
    fractions = baselines.majority(truth, classes)
    regression = baselines.Brightness(features.loc[training["id"]].to_numpy(float), truth, classes)
    return {
        MAJORITY: lambda ids: np.tile(fractions, (len(ids), 1)),
        BRIGHTNESS: lambda ids: regression(features.loc[ids].to_numpy(float)),
    }


def _brightness_features(inputs: EvaluationInputs, ids: Sequence[str]) -> pd.DataFrame:
    """Return `baselines.brightness` of images, by id; one image is in memory at a time."""
    with ImageStore(inputs.images) as store:
        images = (to_input(store.image(id), inputs.preprocessing) for id in ids)
        features = [baselines.brightness(image) for image in images]
    return pd.DataFrame(np.array(features), index=pd.Index(ids, name="id"))


def class_statistics(
    rows: pd.DataFrame, source: str, classes: int, penalty: float = 0.0
) -> Statistics:
    """Return the inputs of the metrics of a classification."""
    raw, calibrated = (
        rows[probability_columns(name, classes)].to_numpy(float) for name in CLASS_SOURCES[source]
    )
    statistics = classification.statistics(rows["truth"].to_numpy(int), raw, calibrated)
    return {**statistics, "penalty": np.full(len(rows), penalty)}


def class_blocks(observations: Observations, subset: str, evaluation: Evaluation) -> list[Block]:
    """Return the metrics of a subset of a classification; `loss` only with a penalty above 0."""
    rows = observations.rows[observations.rows["subset"] == subset]
    classes, penalty = len(observations.labels), observations.penalty
    sources = {
        source: partial(class_statistics, source=source, classes=classes, penalty=penalty)
        for source in CLASS_SOURCES
    }
    wanted = expand_classes(definitions.CLASSIFICATION, classes)
    if penalty > 0:
        loss = definitions.LOSS
        wanted.append(replace(loss, definition=loss.definition.format(penalty=penalty)))
    return [Block(wanted, sources, rows)]


def class_accuracy(rows: pd.DataFrame) -> dict[str, float]:
    """Return the accuracy of the most frequent class over some images."""
    return {MAJORITY: float(rows["truth"].value_counts(normalize=True).max())}


CLASSES = Task("classification", observe_classes, class_blocks, "accuracy", class_accuracy)
