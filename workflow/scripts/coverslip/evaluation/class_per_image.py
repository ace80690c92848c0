"""What is known of each classified image: truth, and probabilities of model and baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from coverslip.config.sections import Preprocessing
from coverslip.data.image_store import ImageStore
from coverslip.errors import CoverslipError
from coverslip.evaluation.class_predictions import ClassPredictions, read_class_predictions
from coverslip.evaluation.runs import fold_and_seed, run_of
from coverslip.evaluation.summary import Sources
from coverslip.metrics.baselines import Brightness, brightness, majority
from coverslip.metrics.classification import statistics
from coverslip.models import heads
from coverslip.models import preprocessing as preprocessing_module

SUBSETS = ("validation", "test")
"""Subsets that are predicted and scored."""

MAJORITY, BRIGHTNESS = "majority class", "brightness"
"""Names of the baselines."""


def columns(source: str, classes: int) -> list[str]:
    """Columns with the probabilities of a source: `raw`, `calibrated` or a baseline."""
    return [f"{source} {number}" for number in range(classes)]


def sources(classes: int) -> Sources:
    """The model and the baselines, see `records.Sources`."""
    return {
        "model": partial(_statistics, raw="raw", calibrated="calibrated", classes=classes),
        MAJORITY: partial(_statistics, raw=MAJORITY, calibrated=MAJORITY, classes=classes),
        BRIGHTNESS: partial(_statistics, raw=BRIGHTNESS, calibrated=BRIGHTNESS, classes=classes),
    }


def _statistics(rows: pd.DataFrame, raw: str, calibrated: str, classes: int) -> np.ndarray:
    probabilities = (rows[columns(name, classes)].to_numpy(float) for name in (raw, calibrated))
    return statistics(rows["truth"].to_numpy(int), *probabilities)


def observe(
    predictions: Sequence[Path], runs: Sequence[str], rows: pd.DataFrame, features: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Probabilities of every scored image, by the model and by the baselines.

    Args:
        predictions: prediction files of all runs and shards; their folder tells the run.
        runs: names of the runs.
        rows: images by fold: id, group, modality, fold, subset, truth (number of the class).
        features: of `brightness_of`, by id.

    Returns:
        One row a prediction (id, group, modality, subset, fold, seed, truth, and the `columns` of
        raw and calibrated probabilities and of both baselines), sorted by seed, fold and id; and
        the temperature of each run.

    Raises:
        CoverslipError: a prediction is missing.
    """
    found, temperatures = [], {}
    baselines = {fold: _baselines(part, features) for fold, part in rows.groupby("fold")}
    for run in runs:
        fold, seed = fold_and_seed(run)
        answer = read_class_predictions([path for path in predictions if run_of(path) == run])
        wanted = rows[(rows["fold"] == fold) & rows["subset"].isin(SUBSETS)].sort_values("id")
        logits = _of_ids(answer, wanted["id"].to_numpy(), run)
        temperatures[run] = answer.temperature
        told = {
            "raw": heads.calibrated_probabilities(logits),
            "calibrated": heads.calibrated_probabilities(logits, answer.temperature),
            **{name: told(wanted["id"]) for name, told in baselines[fold].items()},
        }
        parts = [wanted.assign(seed=seed).reset_index(drop=True)]
        parts += [
            pd.DataFrame(values, columns=columns(name, logits.shape[1]))
            for name, values in told.items()
        ]
        found.append(pd.concat(parts, axis=1))
    observed = pd.concat(found).sort_values(["seed", "fold", "id"], ignore_index=True)
    return observed, temperatures


def _of_ids(answer: ClassPredictions, ids: np.ndarray, run: str) -> np.ndarray:
    """Logits of these images, (N, K) float64."""
    place = {id: number for number, id in enumerate(answer.ids)}
    missing = [id for id in ids if id not in place]
    if missing:
        raise CoverslipError(
            f"{run}: holds no prediction of '{missing[0]}': remove its predictions and run again"
        )
    return answer.logits[[place[id] for id in ids]].astype(np.float64).reshape(len(ids), -1)


def _baselines(
    rows: pd.DataFrame, features: pd.DataFrame
) -> Mapping[str, Callable[[np.ndarray], np.ndarray]]:
    """Of one fold: functions from ids to probabilities."""
    classes = int(rows.attrs["classes"])
    training = rows[rows["subset"] == "train"].sort_values("id")
    truth = training["truth"].to_numpy(int)
    share = majority(truth, classes)
    fitted = Brightness(features.loc[training["id"]].to_numpy(float), truth, classes)
    return {
        MAJORITY: lambda ids: np.tile(share, (len(ids), 1)),
        BRIGHTNESS: lambda ids: fitted(features.loc[ids].to_numpy(float)),
    }


def brightness_of(images: Path, ids: Sequence[str], preprocessing: Preprocessing) -> pd.DataFrame:
    """`class_baselines.brightness` of images, by id; one image is in memory at a time."""
    with ImageStore(images) as store:
        found = [
            brightness(preprocessing_module.to_input(store.image(id), preprocessing)) for id in ids
        ]
    return pd.DataFrame(np.array(found), index=pd.Index(ids, name="id"))
