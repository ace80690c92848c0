"""The mean of several networks, compared with the single ones."""

import json
import shutil
from pathlib import Path

import class_files
import numpy as np
import pandas as pd
import pytest
import study_files

from coverslip.config.sections import Evaluation
from coverslip.data.image_store import ImageStore
from coverslip.errors import CoverslipError
from coverslip.evaluation.ensemble_scores import compare
from coverslip.evaluation.per_image import CLASSES, MASKS
from coverslip.evaluation.predictions import Predictions
from coverslip.evaluation.runs import ENSEMBLE, fold_and_seed, run_name


def together(files, seed: int) -> list[Path]:
    """Predictions of the ensemble of each fold: copies of those of one seed."""
    found = []
    for path in files.predictions:
        run = path.parents[1]
        fold, this = fold_and_seed(run.name)
        if this == seed:
            copy = run.with_name(run_name(fold, ENSEMBLE)) / "predictions" / path.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            found.append(Path(shutil.copy(path, copy)))
    return found


def scores_of(task, files, predictions, folder: Path, **changes) -> dict:
    settings = {"evaluation": Evaluation(), "predictions": predictions} | changes
    compare(task, files.inputs(**settings), "s", folder / "scores.json")
    return json.loads((folder / "scores.json").read_text())


def find(document: dict, name: str, of=None, subset: str = "test") -> dict:
    (found,) = (
        record
        for record in document["metrics"]
        if (record["name"], record["subset"], record["class"]) == (name, subset, of)
    )
    return found


@pytest.mark.parametrize("instances", [False, True])
def test_ensembles_of_masks(tmp_path, instances):
    files = study_files.make(
        tmp_path, images=18, folds=2, seeds=(1, 3), groups=6, instances=instances
    )
    predictions = [*files.predictions, *together(files, 1)]
    document = scores_of(MASKS, files, predictions, tmp_path)
    assert (document["seeds"], document["folds"]) == ([1, 3], [0, 1])
    assert document["cost"] == "2 trainings, and 2 networks for each prediction"
    record = find(document, "iou")
    by_seed = record["single"]["by_seed"]
    # The ensemble is a copy of seed 1, whose predictions are moved less than those of seed 3.
    assert record["ensemble"]["value"] == by_seed["1"] > by_seed["3"]
    assert record["single"]["value"] == pytest.approx(np.mean(list(by_seed.values())), abs=1e-6)
    difference = record["difference"]
    expected = record["ensemble"]["value"] - record["single"]["value"]
    assert difference["value"] == pytest.approx(expected, abs=2e-6)
    assert difference["ci_low"] <= difference["value"] <= difference["ci_high"]
    # Paired: what both have in common makes no width.
    width = record["ensemble"]["ci_high"] - record["ensemble"]["ci_low"]
    assert difference["ci_high"] - difference["ci_low"] < width
    assert record["support"] == 18 and record["groups"] == 6 and record["definition"]
    names = {record["name"] for record in document["metrics"]}
    assert ("mean_ap" in names) == instances
    assert {record["subset"] for record in document["metrics"]} == {"validation", "test"}


def test_numbers_are_those_of_the_study(tmp_path):
    files = study_files.make(tmp_path, images=12, seeds=(1, 2), groups=4)
    predictions = [*files.predictions, *together(files, 2)]
    record = find(scores_of(MASKS, files, predictions, tmp_path), "pixel_accuracy")
    split = pd.read_csv(files.split).set_index("id")["subset"]
    for seed in (1, 2):
        own = [path for path in files.predictions if f"seed{seed}" in str(path)]
        right = total = 0
        with Predictions(own) as answers, ImageStore(files.images) as store:
            for id in split[split == "test"].index:
                equal = (answers.label(id) > 0) == (store.label(id) > 0)
                right, total = right + equal.sum(), total + equal.size
        assert record["single"]["by_seed"][str(seed)] == pytest.approx(right / total, abs=1e-6)


def test_ensembles_of_classes(tmp_path):
    files = class_files.make(tmp_path, seeds=(1, 2), shards=2)
    predictions = [*files.predictions, *together(files, 2)]
    more = class_files.SETTINGS | {"class_names": {"bv2": "BV-2"}}
    document = scores_of(CLASSES, files, predictions, tmp_path, **more)
    assert document["task"] == "classification"
    record = find(document, "accuracy")
    assert record["ensemble"]["value"] == record["single"]["by_seed"]["2"]
    assert any(record["class"] == "BV-2" for record in document["metrics"])


def test_missing_ensembles_are_an_error(tmp_path):
    files = study_files.make(tmp_path, images=6, seeds=(1, 2))
    with pytest.raises(CoverslipError, match="of single networks and of their ensemble"):
        scores_of(MASKS, files, files.predictions, tmp_path)
    assert not (tmp_path / "scores.json").exists()
