"""What is counted on each image, for every run, every trivial baseline and the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from coverslip.config.sections import Evaluation, Preprocessing
from coverslip.data.image_store import ImageStore
from coverslip.errors import CoverslipError
from coverslip.evaluation import confluency
from coverslip.evaluation.predictions import (
    Predictions,
    count_objects,
    count_true_objects,
    scored_image,
    scored_size,
    truth_mask,
)
from coverslip.evaluation.runs import fold_and_seed, run_of
from coverslip.imaging.field_of_view import field_of_view
from coverslip.metrics import baselines, instances, pixels
from coverslip.metrics.matching import Matching, match

SUBSETS = ("validation", "test")
"""Subsets that are predicted and scored image by image."""

COUNTS = ["tn", "fp", "fn", "tp"]

OTSU_COUNTS = [f"otsu_{name}" for name in COUNTS]

DEVIATION_COUNTS = [f"deviation_{name}" for name in COUNTS]

INSTANCES = {
    "otsu": baselines.otsu_components,
    "otsu watershed": baselines.otsu_watershed,
}
"""Baselines of instances: from an image and the smallest area to a label map."""


def instance_columns(source: str) -> list[str]:
    """Columns of `observe` with the instance statistics of the model or of a baseline."""
    return [f"{source}: {name}" for name in instances.STATISTICS]


def has_instances(observed: pd.DataFrame) -> bool:
    """Whether observations hold instances, and not the foreground alone."""
    return instance_columns("model")[0] in observed


def observe(
    predictions: Sequence[Path],
    runs: Sequence[str],
    images: Path,
    rows: pd.DataFrame,
    preprocessing: Preprocessing,
    evaluation: Evaluation,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Count pixels and objects of every image, once for the truth and once a run.

    Where the predictions hold instances, these are the predicted objects, and they are matched to
    the true ones; else connected regions of the foreground are counted. Instances are scored at
    the image's own size.

    Args:
        predictions: prediction files of all runs and shards; their folder tells the run.
        runs: names of the runs.
        images: the store.
        rows: `evaluate.read_split`.
        preprocessing: the study's section; `resize` and `mask_resize` are used.
        evaluation: the study's section.

    Returns:
        One row a prediction (id, group, modality, subset, fold, seed, `COUNTS`,
        `n_predicted`, with instances the `instance_columns` of the model and of the baselines
        `INSTANCES`, and the columns of the second table), sorted by seed, fold and id; and one row
        an image of the split with the counts of the truth and of Otsu's threshold.

    Raises:
        CoverslipError: a prediction is missing or of another size, or some runs predict instances
            and others do not.
    """
    where = rows[rows["fold"].isin({fold_and_seed(run)[0] for run in runs})]
    corners = _corners(where)
    where = where.drop(columns=["y", "x"], errors="ignore").drop_duplicates()
    scored = where[where["subset"].isin(SUBSETS)].groupby("id", sort=True)["fold"].agg(set)
    found: list[dict] = []
    truths: list[dict] = []
    with ExitStack() as stack:
        store = stack.enter_context(ImageStore(images))
        answers = {
            run: stack.enter_context(Predictions([p for p in predictions if run_of(p) == run]))
            for run in runs
        }
        instances = _have_instances(answers)
        for id in sorted(set(where["id"])):
            image = _image(store, id, preprocessing, evaluation, corners.get(id))
            field, facts = _truth(image)
            truths.append({"id": id, **facts})
            trivial = _trivial_instances(image) if instances and id in scored else {}
            for run in runs:
                fold, seed = fold_and_seed(run)
                if fold in scored.get(id, ()):
                    counts = _prediction(image, answers[run], instances, field)
                    found.append({"id": id, "fold": fold, "seed": seed, **counts, **trivial})
    columns = ["id", "fold", "seed", *COUNTS, confluency.PREDICTED, "n_predicted"]
    for source in ("model", *INSTANCES) if instances else ():
        columns += instance_columns(source)
    facts = pd.DataFrame(truths)
    of = where[where["subset"].isin(SUBSETS)]
    observed = pd.DataFrame(found, columns=columns).merge(of, on=["id", "fold"])
    observed = observed.merge(facts, on="id").sort_values(["seed", "fold", "id"], ignore_index=True)
    return observed, where.merge(facts, on="id")


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
    min_area_px: int
    """Smaller regions of a foreground are no objects."""
    places: list[tuple[slice, slice]] | None
    """Of a split of patches: the test patches, which alone are scored, one below the other."""


def _corners(rows: pd.DataFrame) -> dict[str, list[tuple[int, int]]]:
    """Upper left corners of the test patches of each image, of a split of patches."""
    found: dict[str, list[tuple[int, int]]] = {}
    if "y" in rows:
        tested = rows[rows["subset"].isin(SUBSETS)]
        for id, y, x in tested[["id", "y", "x"]].itertuples(index=False, name=None):
            found.setdefault(id, []).append((int(y), int(x)))
    return found


def _image(
    store: ImageStore,
    id: str,
    preprocessing: Preprocessing,
    evaluation: Evaluation,
    corners: list[tuple[int, int]] | None,
) -> _Image:
    size = scored_size(preprocessing, evaluation)
    label, image = store.label(id), store.image(id)
    places, side = None, preprocessing.patch
    if corners is not None:
        places = [np.s_[y : y + side, x : x + side] for y, x in corners]
        label, image = (np.concatenate([array[at] for at in places]) for array in (label, image))
    truth = truth_mask(label, size, preprocessing.mask_resize)
    scored = scored_image(image, size)
    return _Image(id, label, image, truth, scored, evaluation.min_area_px, places)


def _have_instances(answers: Mapping[str, Predictions]) -> bool:
    having = [run for run, predictions in answers.items() if predictions.has_instances]
    if having and len(having) < len(answers):
        other = next(run for run in answers if run not in having)
        raise CoverslipError(
            f"{answers[other].paths[0].parent}: holds no instances, but that of {having[0]} does: "
            "remove it and run again"
        )
    return bool(having)


def _truth(image: _Image) -> tuple[np.ndarray, dict[str, int]]:
    """The field of view, bool HxW, and what is counted of truth and baselines."""
    truth, field = image.truth, field_of_view(image.scored)
    otsu = baselines.otsu(image.scored)
    deviation = confluency.deviation_mask(image.scored, field)
    return field, {
        **confluency.truth_areas(field, truth, otsu, deviation),
        **dict(zip(OTSU_COUNTS, pixels.pixel_counts(truth, otsu), strict=True)),
        **dict(zip(DEVIATION_COUNTS, pixels.pixel_counts(truth, deviation), strict=True)),
        "otsu_n_objects": count_objects(otsu, image.min_area_px),
        "deviation_n_objects": count_objects(deviation, image.min_area_px),
        "n_true": count_true_objects(image.label),
    }


def _prediction(
    image: _Image, answer: Predictions, instances: bool, field: np.ndarray
) -> dict[str, float]:
    if image.places is None:
        mask = answer.mask(image.id, image.truth.shape)
    else:
        mask = np.concatenate([(answer.label(image.id) > 0)[at] for at in image.places])
    counts: dict[str, float] = dict(
        zip(COUNTS, pixels.pixel_counts(image.truth, mask), strict=True)
    )
    counts |= confluency.predicted_area(field, mask)
    if not instances:
        return counts | {"n_predicted": count_objects(mask, image.min_area_px)}
    found = match(image.label, answer.instances(image.id, image.label.shape))
    return counts | {"n_predicted": found.n_predicted} | _told("model", found)


def _trivial_instances(image: _Image) -> dict[str, float]:
    told: dict[str, float] = {}
    for source, predict in INSTANCES.items():
        told |= _told(source, match(image.label, predict(image.image, image.min_area_px)))
    return told


def _told(source: str, found: Matching) -> dict[str, float]:
    values = instances.statistics(found).tolist()
    return dict(zip(instance_columns(source), values, strict=True))
