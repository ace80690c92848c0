"""The mean of several networks, scored beside the single ones."""

import json
import shutil
from pathlib import Path

import class_files
import numpy as np
import pandas as pd
import pytest
import study_files

from coverslip.config.sections import Evaluation, Preprocessing
from coverslip.data.image_store import ImageStore
from coverslip.errors import CoverslipError
from coverslip.evaluation import class_ensemble_scores, ensemble_scores
from coverslip.evaluation.predictions import Predictions
from coverslip.evaluation.runs import ENSEMBLE, fold_and_seed, run_name, run_of
from coverslip.evaluation.tasks import stage

PREPROCESSING = Preprocessing(channels="grey", resize=(16, 16), normalization="dtype_range")


def together(files, seed: int) -> list[Path]:
    """Predictions of the ensemble of each fold: those of one seed once more."""
    found = []
    for path in files.predictions:
        run = path.parents[1]
        fold, this = fold_and_seed(run.name)
        if this == seed:
            copy = run.with_name(run_name(fold, ENSEMBLE)) / "predictions" / path.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            found.append(Path(shutil.copy(path, copy)))
    return found


def compared(module, files, predictions, folder: Path, **more) -> dict:
    module.compare(
        predictions=predictions,
        models=files.models,
        images=files.images,
        groups=files.groups,
        split=files.split,
        evaluation=Evaluation(bootstrap=200),
        study="s",
        output=folder / "scores.json",
        **({"preprocessing": Preprocessing(channels="rgb", normalization="dtype_range")} | more),
    )
    return json.loads((folder / "scores.json").read_text())


def find(document: dict, name: str, of=None, subset: str = "test") -> dict:
    (found,) = (
        record
        for record in document["metrics"]
        if (record["name"], record["subset"], record["class"]) == (name, subset, of)
    )
    return found


def test_names_of_runs():
    assert run_name(2, ENSEMBLE) == "fold2_ensemble" and run_name(2, 5) == "fold2_seed5"
    assert fold_and_seed("fold2_ensemble") == (2, ENSEMBLE)
    assert run_of(Path("results/studies/s/fold2_ensemble/predictions/0.h5")) == "fold2_ensemble"
    with pytest.raises(ValueError, match="ensemble"):
        fold_and_seed("ensemble")


@pytest.mark.parametrize("instances", [False, True])
def test_masks(tmp_path, instances):
    files = study_files.make(
        tmp_path, images=18, folds=2, seeds=(1, 3), groups=6, instances=instances
    )
    predictions = [*files.predictions, *together(files, 1)]
    document = compared(ensemble_scores, files, predictions, tmp_path)
    assert (document["seeds"], document["folds"]) == ([1, 3], [0, 1])
    assert document["cost"] == "2 trainings, and 2 networks for each prediction"
    record = find(document, "iou")
    by_seed = record["single"]["by_seed"]
    # The ensemble is seed 1 over again, whose predictions are moved less than those of seed 3.
    assert record["ensemble"]["value"] == by_seed["1"] > by_seed["3"]
    assert record["single"]["value"] == pytest.approx(np.mean(list(by_seed.values())), abs=1e-6)
    gain = record["gain"]
    expected = record["ensemble"]["value"] - record["single"]["value"]
    assert gain["value"] == pytest.approx(expected, abs=2e-6)
    assert 0 < gain["low"] <= gain["value"] <= gain["high"]
    # Paired: what both have in common makes no width.
    width = record["ensemble"]["high"] - record["ensemble"]["low"]
    assert gain["high"] - gain["low"] < width
    assert record["support"] == 18 and record["groups"] == 6 and record["definition"]
    names = {record["name"] for record in document["metrics"]}
    assert ("mean_ap" in names) == instances
    assert {record["subset"] for record in document["metrics"]} == {"validation", "test"}


def test_numbers_are_those_of_the_study(tmp_path):
    files = study_files.make(tmp_path, images=12, seeds=(1, 2), groups=4)
    predictions = [*files.predictions, *together(files, 2)]
    record = find(compared(ensemble_scores, files, predictions, tmp_path), "pixel_accuracy")
    split = pd.read_csv(files.split).set_index("id")["subset"]
    for seed in (1, 2):
        own = [path for path in files.predictions if f"seed{seed}" in str(path)]
        right = total = 0
        with Predictions(own) as answers, ImageStore(files.images) as store:
            for id in split[split == "test"].index:
                equal = (answers.label(id) > 0) == (store.label(id) > 0)
                right, total = right + equal.sum(), total + equal.size
        assert record["single"]["by_seed"][str(seed)] == pytest.approx(right / total, abs=1e-6)


def test_classes(tmp_path):
    files = class_files.make(tmp_path, seeds=(1, 2), shards=2)
    predictions = [*files.predictions, *together(files, 2)]
    more = {"preprocessing": PREPROCESSING, "class_names": {"bv2": "BV-2"}}
    document = compared(class_ensemble_scores, files, predictions, tmp_path, **more)
    assert document["task"] == "classification"
    record = find(document, "accuracy")
    assert record["ensemble"]["value"] == record["single"]["by_seed"]["2"]
    assert any(record["class"] == "BV-2" for record in document["metrics"])


def test_what_is_missing_is_named(tmp_path):
    files = study_files.make(tmp_path, images=6, seeds=(1, 2))
    with pytest.raises(CoverslipError, match="of single networks and of their ensemble"):
        compared(ensemble_scores, files, files.predictions, tmp_path)
    assert not (tmp_path / "scores.json").exists()


@pytest.mark.parametrize("task", ["segmentation", "confluency", "classification"])
def test_every_task_compares(task):
    assert callable(stage(task, "compare"))
