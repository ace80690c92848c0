"""Scores of a made-up classification."""

import json
from pathlib import Path

import class_files
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from coverslip.config.sections import Evaluation, Preprocessing
from coverslip.errors import CoverslipError
from coverslip.evaluation import class_predictions
from coverslip.evaluation.class_evaluate import TABLE, evaluate
from coverslip.models import heads

PREPROCESSING = Preprocessing(channels="grey", resize=(16, 16), normalization="dtype_range")
EVALUATION = Evaluation(bootstrap=200)


def scored(folder: Path, files: class_files.ClassFiles, **changes) -> tuple[dict, pd.DataFrame]:
    output, table = folder / "metrics.json", folder / "images.csv"
    arguments = {
        "predictions": files.predictions,
        "models": files.models,
        "images": files.images,
        "groups": files.groups,
        "split": files.split,
        "preprocessing": PREPROCESSING,
        "evaluation": EVALUATION,
        "study": "lines",
        "reproduction": False,
    }
    evaluate(**arguments | changes, output=output, table=table)
    return json.loads(output.read_text()), pd.read_csv(table, dtype={"id": str})


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[dict, pd.DataFrame, class_files.ClassFiles, Path]:
    folder = tmp_path_factory.mktemp("made")
    files = class_files.make(folder, shards=2)
    return (*scored(folder, files), files, folder)


def record(document: dict, name: str, subset: str = "test", of: str | None = None, run="all"):
    (found,) = [
        r
        for r in document["metrics"]
        if (r["name"], r["subset"], r["class"], r["run"]) == (name, subset, of, run)
    ]
    return found


def test_scores_are_those_of_scikit_learn(made):
    document, table, files, _ = made
    answer = class_predictions.read_class_predictions(files.predictions)
    test = answer.subsets == "test"
    known = pd.read_csv(files.groups).set_index("id")["stratum"]
    truth = known[answer.ids[test]].to_numpy()
    predicted = np.array(class_files.CLASSES)[answer.logits[test].argmax(axis=1)]
    assert record(document, "accuracy")["value"] == pytest.approx(
        accuracy_score(truth, predicted), abs=1e-6
    )
    assert record(document, "macro_f1")["value"] == pytest.approx(
        f1_score(truth, predicted, average="macro"), abs=1e-6
    )
    counts = document["confusion"]["test"]["counts"]
    assert counts == confusion_matrix(truth, predicted, labels=class_files.CLASSES).tolist()
    assert document["confusion"]["test"]["runs"] == 1
    rows = table[table["subset"] == "test"].sort_values("id")
    assert rows["predicted"].tolist() == predicted.tolist()
    assert rows["true"].tolist() == truth.tolist()
    assert rows["right"].mean() == pytest.approx(record(document, "accuracy")["value"], abs=1e-6)
    sure = heads.calibrated_probabilities(answer.logits[test], 2.5).max(axis=1)
    np.testing.assert_allclose(rows["probability"], sure, atol=1e-5)


def test_every_number_has_definition_interval_support_and_baselines(made):
    document, table, _, _ = made
    assert list(table.columns) == TABLE
    for found in document["metrics"]:
        assert found["definition"]
        assert found["support"] >= 0
        if found["subset"] == "train":
            assert found["low"] is None
            assert found["interval_reason"]
            continue
        assert set(found["baselines"]) == {"majority class", "brightness"}
        assert found["groups"] == 2
        if found["value"] is not None:
            assert found["low"] <= found["value"] + 0.2
    names = {r["name"] for r in document["metrics"]}
    assert {"balanced_accuracy", "log_loss", "ece", "ece_uncalibrated", "recall"} <= names
    assert document["classes"] == class_files.CLASSES
    assert document["temperature"] == {"fold0_seed1": 2.5}


def test_baselines_are_what_they_should_be(made):
    document, _, _, _ = made
    accuracy = record(document, "accuracy")
    assert accuracy["baselines"]["majority class"] == pytest.approx(1 / 3, abs=1e-6)
    assert record(document, "log_loss")["baselines"]["majority class"] == pytest.approx(
        np.log(3), abs=1e-4
    )
    # One of the three is brighter: it is told from the others, which are guessed.
    assert 0.5 < accuracy["baselines"]["brightness"] < 0.95
    assert record(document, "recall", of="bv2")["baselines"]["brightness"] == 1.0
    train = record(document, "accuracy", "train")
    assert train["value"] == pytest.approx(1 - 0.5 / 4)
    assert train["support"] == 36


def test_temperature_shows_in_calibration_and_nowhere_else(made):
    document, _, _, _ = made
    assert record(document, "ece")["value"] < record(document, "ece_uncalibrated")["value"]
    assert (
        record(document, "log_loss")["value"] < record(document, "log_loss_uncalibrated")["value"]
    )
    both = document["reliability"]["test"]
    for bins in both.values():
        assert np.array(bins).shape == (15, 3)
        assert np.array(bins)[:, 0].sum() == 12
    assert np.array(both["raw"])[:, 1].sum() == np.array(both["calibrated"])[:, 1].sum()


def test_panels_and_top_confusions(made):
    document, table, _, _ = made
    rows = table[table["subset"] == "test"].sort_values("id")
    last = [rows[rows["true"] == name]["id"].iloc[-1] for name in class_files.CLASSES]
    assert document["examples"]["last"] == last
    wrong = rows[rows["right"] == 0].sort_values(["probability", "id"], ascending=[False, True])
    assert document["examples"]["confident_errors"] == wrong["id"].tolist()[:9]
    assert document["examples_subset"] == "test"
    assert sum(each["images"] for each in document["top_confusions"]["test"]) == len(wrong)


def test_folds_and_seeds(tmp_path):
    files = class_files.make(tmp_path, folds=5, seeds=(1, 2))
    document, table = scored(tmp_path, files)
    assert document["confusion"]["test"]["runs"] == 10
    assert np.sum(document["confusion"]["test"]["counts"]) == 120
    assert record(document, "accuracy")["support"] == 60
    assert record(document, "accuracy")["groups"] == 10
    values = [record(document, "accuracy", run=run)["value"] for run in document["runs"]]
    assert record(document, "accuracy")["value"] == pytest.approx(np.mean(values), abs=0.02)
    assert len(table[table["subset"] == "test"]) == 120


def test_equal_input_gives_equal_bytes(made, tmp_path):
    _, _, files, folder = made
    scored(tmp_path, files)
    for name in ("metrics.json", "images.csv"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_names_for_reading(made, tmp_path):
    _, _, files, _ = made
    document, table = scored(tmp_path, files, class_names={"bv2": "BV-2 microglia"})
    assert document["classes"] == ["a172", "BV-2 microglia", "mcf7"]
    assert document["labels"] == class_files.CLASSES
    assert set(table["true"]) == set(document["classes"])
    assert record(document, "recall", of="BV-2 microglia")


def test_bad_input_is_named(made, tmp_path):
    _, _, files, _ = made
    other = tmp_path / "groups.csv"
    table = pd.read_csv(files.groups)
    table.loc[0, "stratum"] = "new"
    table.to_csv(other, index=False)
    with pytest.raises(CoverslipError, match="'image_000' is of class 'new', which the model"):
        scored(tmp_path, files, groups=other)
    answer = class_predictions.read_class_predictions(files.predictions)
    rows = pd.DataFrame({"id": answer.ids[1:], "subset": answer.subsets[1:]})
    path = tmp_path / "fold0_seed1" / "predictions" / "0.h5"
    class_files.write_predictions(path, rows, answer.logits[1:], 0)
    with pytest.raises(CoverslipError, match=f"no prediction of '{answer.ids[0]}'"):
        scored(tmp_path, files, predictions=[path])
