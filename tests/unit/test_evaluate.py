import json

import numpy as np
import pandas as pd
import pytest
import study_files

from coverslip.config import Evaluation, Preprocessing
from coverslip.errors import CoverslipError
from coverslip.evaluate import TABLE, evaluate
from coverslip.scoring import Predictions
from coverslip.store import Store

TESTED = ("value", "low", "high", "groups")


def run(files, folder, preprocessing=None, **evaluation):
    evaluate(
        predictions=files.predictions,
        models=files.models,
        pictures=files.pictures,
        groups=files.groups,
        split=files.split,
        preprocessing=preprocessing or Preprocessing(),
        evaluation=Evaluation(**evaluation),
        study="study",
        protocol="honest",
        output=folder / "metrics.json",
        table=folder / "pictures.csv",
    )
    return json.loads((folder / "metrics.json").read_text()), pd.read_csv(folder / "pictures.csv")


def find(document, name, subset="test", run="all", of=None):
    (found,) = (
        record
        for record in document["metrics"]
        if (record["name"], record["subset"], record["run"], record["class"])
        == (name, subset, run, of)
    )
    return found


@pytest.fixture
def files(tmp_path):
    return study_files.make(tmp_path, pictures=18, groups=6, shards=2)


def test_numbers_equal_those_counted_by_hand(files, tmp_path):
    document, table = run(files, tmp_path)
    split = pd.read_csv(files.split)
    ious, right, total = [], 0, 0
    with Store(files.pictures) as store, Predictions(files.predictions) as predictions:
        for id in split["id"][split["subset"] == "test"]:
            truth, found = store.label(id) > 0, predictions.label(id) > 0
            union = (truth | found).sum()
            ious.append((truth & found).sum() / union if union else 1.0)
            right, total = right + (truth == found).sum(), total + truth.size
    assert find(document, "iou")["value"] == pytest.approx(np.mean(ious), abs=1e-6)
    assert find(document, "pixel_accuracy")["value"] == pytest.approx(right / total, abs=1e-6)
    assert find(document, "iou")["support"] == len(ious) == 6
    assert find(document, "pixel_accuracy")["support"] == total
    counts = document["confusion"]["test"]["counts"]
    assert counts[0][0] + counts[1][1] == right
    of_test = table[table["subset"] == "test"]
    np.testing.assert_allclose(sorted(of_test["iou"]), sorted(ious), atol=1e-6)
    assert list(table.columns) == TABLE


def test_every_number_has_interval_support_definition_and_baselines(files, tmp_path):
    document, _ = run(files, tmp_path)
    assert {record["subset"] for record in document["metrics"]} == {"test", "validation", "train"}
    for record in document["metrics"]:
        assert set(record["baselines"]) == {"all background", "otsu"}
        assert record["definition"] and record["unit"] and record["support"] > 0
        if record["low"] is None:
            assert record["interval_reason"]
        else:
            assert record["low"] <= record["value"] <= record["high"]
    blank = find(document, "iou")["baselines"]["all background"]
    assert blank == pytest.approx(1 / 6, abs=1e-6)  # one picture of six has no nucleus
    assert find(document, "recall", of="foreground")["baselines"]["all background"] == 0


def test_train_accuracy_is_that_of_the_kept_epoch(files, tmp_path):
    document, _ = run(files, tmp_path)
    history = pd.read_csv(files.models[0] / "history.csv")
    kept = json.loads((files.models[0] / "model.json").read_text())["kept_epoch"]
    record = find(document, "pixel_accuracy", "train")
    assert record["value"] == pytest.approx(history["accuracy"][kept - 1], abs=1e-6)
    assert 0.5 < record["baselines"]["all background"] < 1


def test_one_group_has_no_interval_but_a_reason(tmp_path):
    document, _ = run(study_files.make(tmp_path, pictures=6, groups=1), tmp_path)
    record = find(document, "iou")
    assert (record["low"], record["high"], record["groups"]) == (None, None, 1)
    assert "one group only" in record["interval_reason"]


def test_folds_are_pooled_and_seeds_averaged(tmp_path):
    files = study_files.make(tmp_path, pictures=12, folds=3, seeds=(1, 2), groups=6)
    document, table = run(files, tmp_path)
    of_test = table[table["subset"] == "test"]
    assert len(of_test) == 24
    assert document["runs"] == [f"fold{fold}_seed{seed}" for fold in range(3) for seed in (1, 2)]
    whole = find(document, "iou")
    assert whole["support"] == 12
    assert whole["value"] == pytest.approx(of_test["iou"].mean(), abs=1e-5)
    single = find(document, "iou", run="fold1_seed2")
    chosen = of_test[(of_test["fold"] == 1) & (of_test["seed"] == 2)]
    assert single["value"] == pytest.approx(chosen["iou"].mean(), abs=1e-5)
    assert document["confusion"]["test"]["runs"] == 6


def test_blank_labels_only_on_test_and_on_request(files, tmp_path):
    document, table = run(files, tmp_path, blank_test_labels=True)
    names = [(r["name"], r["subset"]) for r in document["metrics"] if r["run"] == "all"]
    assert ("accuracy_blank_labels", "test") in names
    assert ("accuracy_blank_labels", "validation") not in names
    assert find(document, "accuracy_blank_labels")["baselines"]["all background"] == 1
    plain, _ = run(files, tmp_path)
    assert not [r for r in plain["metrics"] if r["name"] == "accuracy_blank_labels"]


def test_at_network_resolution_truth_is_resized(tmp_path):
    files = study_files.make(tmp_path, pictures=9, size=(24, 32))
    document, _ = run(files, tmp_path, Preprocessing(resize=(24, 32)), resolution="network")
    assert find(document, "pixel_accuracy")["support"] == 3 * 24 * 32
    with pytest.raises(CoverslipError, match="pixels, its truth"):
        run(files, tmp_path, Preprocessing(resize=(24, 32)))


def test_minimum_area_changes_counts_of_objects(files, tmp_path):
    small, _ = run(files, tmp_path, minimum_area=0)
    large, _ = run(files, tmp_path, minimum_area=100_000)
    assert find(small, "object_count_ratio")["value"] > 0.5
    assert find(large, "object_count_ratio")["value"] == 0


def test_panels_are_chosen_by_iou(files, tmp_path):
    document, table = run(files, tmp_path)
    of_test = table[(table["subset"] == "test") & (table["foreground_true"] > 0)]
    ranked = of_test.sort_values(["iou", "id"])["id"].tolist()
    assert document["panels_subset"] == "test"
    assert document["panels"]["worst"] == ranked[:2]
    assert document["panels"]["best"] == ranked[::-1][:2]
    assert set(document["panels"]["draw"]) <= set(table["id"][table["subset"] == "test"])


def test_two_runs_write_equal_bytes(files, tmp_path):
    run(files, tmp_path)
    first = [(tmp_path / name).read_bytes() for name in ("metrics.json", "pictures.csv")]
    run(files, tmp_path)
    assert first == [(tmp_path / name).read_bytes() for name in ("metrics.json", "pictures.csv")]


def test_missing_prediction_is_named_and_nothing_is_written(files, tmp_path):
    files.predictions[1].unlink()
    with pytest.raises(CoverslipError, match=r"1\.h5"):
        run(files, tmp_path)
    files.predictions.pop()
    with pytest.raises(CoverslipError, match="no prediction of 'picture_"):
        run(files, tmp_path)
    assert not (tmp_path / "metrics.json").exists()


def test_broken_split_is_named(files, tmp_path):
    files.split.write_text("id,subset\na,test\n")
    with pytest.raises(CoverslipError, match=r"split\.csv: not a readable table with id, group"):
        run(files, tmp_path)
