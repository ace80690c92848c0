"""Scores of made-up studies of masks and of classes."""

import json
import shutil
from dataclasses import replace

import class_files
import h5py
import numpy as np
import pandas as pd
import pytest
import study_files
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from coverslip.config.sections import Evaluation, Preprocessing
from coverslip.data.image_store import ImageStore
from coverslip.errors import CoverslipError
from coverslip.evaluation.evaluate import CLASS_TABLE, INSTANCE_TABLE, TABLE, group_unit
from coverslip.evaluation.predictions import Predictions, read_class_predictions
from coverslip.metrics.definitions import BY_MODALITY, INSTANCES
from coverslip.metrics.matching import PERCENT, match
from coverslip.models.heads import calibrated_probabilities

MASK_BASELINES = {"all background", "otsu", "otsu of deviation"}


def run(files, folder, preprocessing=None, **evaluation):
    settings = {"evaluation": Evaluation(**evaluation)}
    if preprocessing:
        settings["preprocessing"] = preprocessing
    return study_files.score(files, folder, **settings)


def find(document, name, subset="test", run="all", of=None):
    (record,) = (
        record
        for record in document["metrics"]
        if (record["name"], record["subset"], record["run"], record["class"])
        == (name, subset, run, of)
    )
    return record


# --- Masks


@pytest.fixture
def files(tmp_path):
    return study_files.make(tmp_path, images=18, groups=6, shards=2)


def test_numbers_equal_those_counted_by_hand(files, tmp_path):
    document, table = run(files, tmp_path)
    split = pd.read_csv(files.split)
    ious, right, total = [], 0, 0
    with ImageStore(files.images) as store, Predictions(files.predictions) as predictions:
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


def test_every_number_is_complete(files, tmp_path):
    document, _ = run(files, tmp_path)
    assert {record["subset"] for record in document["metrics"]} == {"test", "validation", "train"}
    for record in document["metrics"]:
        assert set(record["baselines"]) == MASK_BASELINES
        assert record["definition"] and record["unit"] and record["support"] > 0
        assert record["function"].startswith("coverslip.")
        if record["ci_low"] is None:
            assert record["interval_reason"]
        else:
            assert record["ci_low"] <= record["value"] <= record["ci_high"]
        assert set(record["difference_to_baseline"]) == (
            set() if record["subset"] == "train" else MASK_BASELINES
        )
        for name, difference in record["difference_to_baseline"].items():
            assert difference["value"] == pytest.approx(
                record["value"] - record["baselines"][name], abs=2e-6
            )
            # An error of few groups in effect has none, while its difference has one.
            if record["unit"] == "fraction" or record["ci_low"] is not None:
                assert (difference["ci_low"] is None) == (record["ci_low"] is None)
            assert difference["ci_low"] is None or (
                difference["ci_low"] <= difference["value"] <= difference["ci_high"]
            )
    blank = find(document, "iou")["baselines"]["all background"]
    assert blank == pytest.approx(1 / 6, abs=1e-6)  # one image of six has no nucleus
    assert find(document, "recall", of="foreground")["baselines"]["all background"] == 0


def test_train_accuracy_is_that_of_the_kept_epoch(files, tmp_path):
    document, _ = run(files, tmp_path)
    history = pd.read_csv(files.models[0] / "history.csv")
    kept = json.loads((files.models[0] / "model.json").read_text())["kept_epoch"]
    record = find(document, "pixel_accuracy", "train")
    assert record["value"] == pytest.approx(history["accuracy"][kept - 1], abs=1e-6)
    assert 0.5 < record["baselines"]["all background"] < 1


def test_one_group_has_no_interval_but_a_reason(tmp_path):
    document, _ = run(study_files.make(tmp_path, images=6, groups=1), tmp_path)
    record = find(document, "iou")
    assert (record["ci_low"], record["ci_high"], record["groups"]) == (None, None, 1)
    assert "fewer than 5 groups" in record["interval_reason"]
    assert record["group_values"] is None


def test_folds_are_pooled_and_seeds_averaged(tmp_path):
    files = study_files.make(tmp_path, images=12, folds=3, seeds=(1, 2), groups=6)
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
    files = study_files.make(tmp_path, images=9, size=(24, 32))
    document, _ = run(
        files,
        tmp_path,
        Preprocessing(resize=(24, 32), channels="rgb", normalization="dtype_range"),
        resolution="network",
    )
    assert find(document, "pixel_accuracy")["support"] == 3 * 24 * 32
    with pytest.raises(CoverslipError, match="pixels, its truth"):
        run(
            files,
            tmp_path,
            Preprocessing(resize=(24, 32), channels="rgb", normalization="dtype_range"),
        )


def test_minimum_area_changes_counts_of_objects(files, tmp_path):
    small, _ = run(files, tmp_path, min_area_px=0)
    large, _ = run(files, tmp_path, min_area_px=100_000)
    assert find(small, "object_count_ratio")["value"] > 0.5
    assert find(large, "object_count_ratio")["value"] == 0


def test_panels_are_chosen_by_iou(files, tmp_path):
    document, table = run(files, tmp_path)
    of_test = table[(table["subset"] == "test") & (table["foreground_true"] > 0)]
    ranked = of_test.sort_values(["iou", "id"])["id"].tolist()
    assert document["examples_subset"] == "test"
    assert document["examples"]["worst"] == ranked[:2]
    assert document["examples"]["best"] == ranked[::-1][:2]
    assert set(document["examples"]["random"]) <= set(table["id"][table["subset"] == "test"])


def test_two_runs_write_equal_bytes(files, tmp_path):
    run(files, tmp_path)
    first = [(tmp_path / name).read_bytes() for name in ("metrics.json", "images.csv")]
    run(files, tmp_path)
    assert first == [(tmp_path / name).read_bytes() for name in ("metrics.json", "images.csv")]


def test_a_missing_prediction_is_named_and_nothing_written(files, tmp_path):
    files.predictions[1].unlink()
    with pytest.raises(CoverslipError, match=r"1\.h5"):
        run(files, tmp_path)
    files.predictions.pop()
    with pytest.raises(CoverslipError, match="no prediction of 'image_"):
        run(files, tmp_path)
    assert not (tmp_path / "metrics.json").exists()


def test_broken_split_is_named(files, tmp_path):
    files.split.write_text("id,subset\na,test\n")
    with pytest.raises(CoverslipError, match=r"split\.csv: not a readable table with id, group"):
        run(files, tmp_path)


def matched(files, subset="test"):
    """Matches of all images of a subset, by id."""
    split = pd.read_csv(files.split)
    with ImageStore(files.images) as store, Predictions(files.predictions) as predictions:
        return {
            id: match(store.label(id), predictions.instances(id, store.label(id).shape))
            for id in split["id"][split["subset"] == subset]
        }


def test_instances_are_scored_where_they_are_predicted(tmp_path):
    files = study_files.make(tmp_path, images=18, groups=6, shards=2, instances=True)
    document, table = run(files, tmp_path)
    found = matched(files)
    ap = np.array([each.accuracy for each in found.values()])
    assert find(document, "mean_ap")["value"] == pytest.approx(ap.mean(), abs=1e-6)
    assert 0.2 < find(document, "mean_ap")["value"] < 1
    tp = sum(each.tp[0] for each in found.values())
    both = sum(each.n_true + each.n_predicted for each in found.values())
    record = find(document, "ap50_pooled")
    assert record["value"] == pytest.approx(tp / (both - tp), abs=1e-6)
    assert record["support"] == sum(each.n_true for each in found.values())
    of_test = table[(table["subset"] == "test") & (table["n_true"] > 0)]
    assert record["groups"] == of_test["group"].nunique() == 5
    assert record["ci_low"] <= record["value"] <= record["ci_high"]
    told = [
        (each["name"], each["class"])
        for each in document["metrics"]
        if (each["subset"], each["run"]) == ("test", "all")
    ]
    assert len(set(told)) == len(told) and ("iou", None) in told
    for metric in INSTANCES:
        record = find(document, metric.name)
        assert record["function"] == metric.function_name
        assert set(record["baselines"]) == {"otsu", "otsu watershed"}
        assert record["definition"] == metric.definition
    # Objects are counted from the instances, and not from regions of the mask.
    of_test = table[table["subset"] == "test"].set_index("id")
    predicted = {id: each.n_predicted for id, each in found.items()}
    assert of_test["n_predicted"].to_dict() == predicted
    assert list(table.columns) == [*TABLE, *INSTANCE_TABLE]
    np.testing.assert_allclose(of_test["mean_ap"].loc[list(found)], ap.mean(axis=1), atol=1e-6)
    columns = [f"tp_{percent}" for percent in PERCENT]
    assert of_test.loc[list(found), columns].to_numpy().tolist() == [
        each.tp.tolist() for each in found.values()
    ]


def test_instances_are_told_by_modality_and_by_group(tmp_path):
    files = study_files.make(tmp_path, images=18, groups=6, instances=True)
    document, table = run(files, tmp_path)
    assert set(document["instances"]) == {"modality", "group"}
    modalities = {
        (each["subset"], each["modality"]): each for each in document["instances"]["modality"]
    }
    of_test = table[table["subset"] == "test"]
    for name, rows in of_test.groupby("modality"):
        told = modalities["test", name]
        assert told["images"] == len(rows)
        assert (told["groups"], told["intervals_over"]) == (rows["group"].nunique(), "groups")
        assert set(told["scores"]) == set(BY_MODALITY)
        score = told["scores"]["mean_ap"]
        assert score["value"] == pytest.approx(rows["mean_ap"].mean(), abs=1e-5)
        assert score["ci_low"] <= score["value"] <= score["ci_high"]
        assert score["baselines"] == {
            "otsu": pytest.approx(rows["otsu_mean_ap"].mean(), abs=1e-5),
            "otsu watershed": pytest.approx(rows["otsu_watershed_mean_ap"].mean(), abs=1e-5),
        }
    groups = [each for each in document["instances"]["group"] if each["subset"] == "test"]
    assert [each["group"] for each in groups] == sorted(set(of_test["group"]))
    assert all(each["groups"] == 1 and each["modalities"] for each in groups)
    assert all((each["interval_reason"] is None) == (each["images"] > 1) for each in groups)
    assert {each["intervals_over"] for each in groups} == {"images"}
    assert sum(each["n_true"] for each in groups) == of_test["n_true"].sum()


def test_instances_of_folds_and_seeds(tmp_path):
    files = study_files.make(tmp_path, images=12, folds=3, seeds=(1, 2), groups=6, instances=True)
    document, table = run(files, tmp_path)
    of_test = table[table["subset"] == "test"]
    whole = find(document, "mean_ap")
    assert whole["support"] == 12
    assert whole["value"] == pytest.approx(of_test["mean_ap"].mean(), abs=1e-5)
    chosen = of_test[(of_test["fold"] == 1) & (of_test["seed"] == 2)]
    single = find(document, "mean_ap", run="fold1_seed2")
    assert single["value"] == pytest.approx(chosen["mean_ap"].mean(), abs=1e-5)
    group = next(each for each in document["instances"]["group"] if each["subset"] == "test")
    rows = of_test[of_test["group"] == group["group"]]
    assert group["scores"]["ap50"]["value"] == pytest.approx(rows["ap50"].mean(), abs=1e-5)
    assert group["images"] == rows["id"].nunique()


def test_masks_alone_have_no_word_of_instances(files, tmp_path):
    document, _ = run(files, tmp_path)
    assert "instances" not in document
    assert {r["name"] for r in document["metrics"]}.isdisjoint({"mean_ap", "split_rate"})
    count = find(document, "object_count_mae")
    assert set(count["baselines"]) == MASK_BASELINES
    assert "8-connected" in count["definition"]


def test_instances_of_only_some_runs_or_images_are_an_error(tmp_path):
    files = study_files.make(tmp_path, images=9, seeds=(1, 2), instances=True)
    with h5py.File(files.predictions[1], "a") as file:
        (first, *_) = sorted(file["instance"])
        del file[f"instance/{first}"]
    with pytest.raises(CoverslipError, match=f"fold0_seed2.*: contains no instances of '{first}'"):
        run(files, tmp_path)
    with h5py.File(files.predictions[1], "a") as file:
        del file["instance"]
    with pytest.raises(CoverslipError, match="fold0_seed2/predictions: contains no instances, but"):
        run(files, tmp_path)
    assert not (tmp_path / "metrics.json").exists()


def test_confluency_is_told_of_every_study(files, tmp_path):
    document, table = run(files, tmp_path)
    rows = table[table["subset"] == "test"]
    error = rows["confluency_predicted"] - rows["confluency_true"]
    np.testing.assert_allclose(rows["confluency_error"], error, atol=2e-6)
    np.testing.assert_allclose(rows["confluency_true"], 100 * rows["foreground_true"], atol=1e-4)
    record = find(document, "confluency_rmse")
    assert record["value"] == pytest.approx(np.sqrt((error**2).mean()), abs=1e-5)
    assert record["ci_low"] < record["value"] < record["ci_high"]
    assert record["unit"] == "percentage points"
    assert find(document, "confluency_bias_0_25")["support"] == len(rows)
    assert {r["name"] for r in document["metrics"]}.isdisjoint({"confluency_bias_75_100"})


def test_of_a_split_of_patches_test_patches_alone_are_scored(files, tmp_path):
    split = pd.read_csv(files.split, dtype=str, keep_default_na=False)
    split = split[split["subset"] != "validation"]
    corners = [(0, 0), (0, 16), (16, 0)]
    rows = [
        {**row, "y": y, "x": x, "subset": row["subset"] if (y, x) != (0, 16) else "train"}
        for row in split.to_dict("records")
        for y, x in corners
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "split.csv", index=False)
    files = replace(files, split=tmp_path / "split.csv")
    document, table = run(
        files, tmp_path, Preprocessing(patch=16, channels="rgb", normalization="dtype_range")
    )
    ious, right, total = [], 0, 0
    with ImageStore(files.images) as store, Predictions(files.predictions) as predictions:
        for id in split["id"][split["subset"] == "test"]:
            both = (store.label(id) > 0, predictions.label(id) > 0)
            truth, found = (np.stack([m[:16, :16], m[16:32, :16]]) for m in both)
            union = (truth | found).sum()
            ious.append((truth & found).sum() / union if union else 1.0)
            right, total = right + (truth == found).sum(), total + truth.size
    assert find(document, "iou")["value"] == pytest.approx(np.mean(ious), abs=1e-6)
    assert find(document, "pixel_accuracy")["value"] == pytest.approx(right / total, abs=1e-6)
    assert find(document, "pixel_accuracy")["support"] == total == len(ious) * 2 * 16 * 16
    assert {record["subset"] for record in document["metrics"]} == {"test", "train"}
    assert sorted(table["id"].astype(str)) == sorted(set(split["id"][split["subset"] == "test"]))


# --- Classes


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    files = class_files.make(folder, shards=2)
    return (*class_files.score(files, folder), files, folder)


def test_scores_of_classes_are_those_of_scikit_learn(classes):
    document, table, files, _ = classes
    answer = read_class_predictions(files.predictions)
    test = answer.subsets == "test"
    known = pd.read_csv(files.groups).set_index("id")["stratum"]
    truth = known[answer.ids[test]].to_numpy()
    predicted = np.array(class_files.CLASSES)[answer.logits[test].argmax(axis=1)]
    assert find(document, "accuracy")["value"] == pytest.approx(
        accuracy_score(truth, predicted), abs=1e-6
    )
    assert find(document, "macro_f1")["value"] == pytest.approx(
        f1_score(truth, predicted, average="macro"), abs=1e-6
    )
    counts = document["confusion"]["test"]["counts"]
    assert counts == confusion_matrix(truth, predicted, labels=class_files.CLASSES).tolist()
    assert document["confusion"]["test"]["runs"] == 1
    rows = table[table["subset"] == "test"].sort_values("id")
    assert rows["predicted"].tolist() == predicted.tolist()
    assert rows["true"].tolist() == truth.tolist()
    assert rows["correct"].mean() == pytest.approx(find(document, "accuracy")["value"], abs=1e-6)
    sure = calibrated_probabilities(answer.logits[test], 2.5).max(axis=1)
    np.testing.assert_allclose(rows["probability"], sure, atol=1e-5)


def test_every_number_of_classes_is_complete(classes):
    document, table, _, _ = classes
    assert list(table.columns) == CLASS_TABLE
    for found in document["metrics"]:
        assert found["definition"]
        assert found["support"] >= 0
        if found["subset"] == "train":
            assert found["ci_low"] is None
            assert found["interval_reason"]
            continue
        assert set(found["baselines"]) == {"majority class", "brightness"}
        assert found["groups"] == 2 and found["ci_low"] is None
        if found["run"] == "all" and found["value"] is not None:
            assert 1 <= len(found["group_values"]) <= 2
    names = {r["name"] for r in document["metrics"]}
    assert {"balanced_accuracy", "log_loss", "ece", "ece_uncalibrated", "recall"} <= names
    assert document["classes"] == class_files.CLASSES
    assert document["temperature"] == {"fold0_seed1": 2.5}


def test_baselines_of_classes(classes):
    document, _, _, _ = classes
    accuracy = find(document, "accuracy")
    assert accuracy["baselines"]["majority class"] == pytest.approx(1 / 3, abs=1e-6)
    assert find(document, "log_loss")["baselines"]["majority class"] == pytest.approx(
        np.log(3), abs=1e-4
    )
    # One of the three is brighter; the two others are guessed.
    assert 0.5 < accuracy["baselines"]["brightness"] < 0.95
    assert find(document, "recall", of="bv2")["baselines"]["brightness"] == 1.0
    train = find(document, "accuracy", "train")
    assert train["value"] == pytest.approx(1 - 0.5 / 4)
    assert train["support"] == 36


def test_temperature_changes_calibration_alone(classes):
    document, _, _, _ = classes
    assert find(document, "ece")["value"] < find(document, "ece_uncalibrated")["value"]
    assert find(document, "log_loss")["value"] < find(document, "log_loss_uncalibrated")["value"]
    both = document["reliability"]["test"]
    for bins in both.values():
        assert np.array(bins).shape == (15, 3)
        assert np.array(bins)[:, 0].sum() == 12
    assert np.array(both["raw"])[:, 1].sum() == np.array(both["calibrated"])[:, 1].sum()


def test_examples_and_top_confusions(classes):
    document, table, _, _ = classes
    rows = table[table["subset"] == "test"].sort_values("id")
    last = [rows[rows["true"] == name]["id"].iloc[-1] for name in class_files.CLASSES]
    assert document["examples"]["last"] == last
    wrong = rows[rows["correct"] == 0].sort_values(["probability", "id"], ascending=[False, True])
    assert document["examples"]["confident_errors"] == wrong["id"].tolist()[:9]
    assert document["examples_subset"] == "test"
    assert sum(each["images"] for each in document["top_confusions"]["test"]) == len(wrong)


def test_folds_and_seeds_of_classes(tmp_path):
    files = class_files.make(tmp_path, folds=5, seeds=(1, 2))
    document, table = class_files.score(files, tmp_path)
    assert document["confusion"]["test"]["runs"] == 10
    assert np.sum(document["confusion"]["test"]["counts"]) == 120
    assert find(document, "accuracy")["support"] == 60
    assert find(document, "accuracy")["groups"] == 10
    values = [find(document, "accuracy", run=run)["value"] for run in document["runs"]]
    assert find(document, "accuracy")["value"] == pytest.approx(np.mean(values), abs=0.02)
    assert len(table[table["subset"] == "test"]) == 120


def test_equal_classes_give_equal_bytes(classes, tmp_path):
    _, _, files, folder = classes
    class_files.score(files, tmp_path)
    for name in ("metrics.json", "images.csv"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_classes_have_names_for_reading(classes, tmp_path):
    _, _, files, _ = classes
    document, table = class_files.score(files, tmp_path, class_names={"bv2": "BV-2 microglia"})
    assert document["classes"] == ["a172", "BV-2 microglia", "mcf7"]
    assert document["labels"] == class_files.CLASSES
    assert set(table["true"]) == set(document["classes"])
    assert find(document, "recall", of="BV-2 microglia")


def test_bad_classes_are_named(classes, tmp_path):
    _, _, files, _ = classes
    other = tmp_path / "groups.csv"
    table = pd.read_csv(files.groups)
    table.loc[0, "stratum"] = "new"
    table.to_csv(other, index=False)
    with pytest.raises(CoverslipError, match="'image_000' is of class 'new', which the model"):
        class_files.score(files, tmp_path, groups=other)
    answer = read_class_predictions(files.predictions)
    rows = pd.DataFrame({"id": answer.ids[1:], "subset": answer.subsets[1:]})
    path = tmp_path / "fold0_seed1" / "predictions" / "0.h5"
    class_files.write_predictions(path, rows, answer.logits[1:], 0)
    with pytest.raises(CoverslipError, match=f"no prediction of '{answer.ids[0]}'"):
        class_files.score(files, tmp_path, predictions=[path])


def test_a_penalty_on_weights_is_part_of_the_loss(classes, tmp_path):
    document, _, files, _ = classes
    assert "loss" not in {record["name"] for record in document["metrics"]}
    (model,) = files.models
    changed = tmp_path / "fold0_seed1" / "model"
    shutil.copytree(model, changed)
    info = json.loads((changed / "model.json").read_text())
    (changed / "model.json").write_text(json.dumps(info | {"regularization_loss": 0.05}))
    document, _ = class_files.score(files, tmp_path, models=[changed])
    raw, loss = find(document, "log_loss_uncalibrated"), find(document, "loss")
    assert loss["value"] == pytest.approx(raw["value"] + 0.05, abs=2e-6)
    for name, value in raw["baselines"].items():
        assert loss["baselines"][name] == pytest.approx(value + 0.05, abs=2e-6)
    assert loss["support"] == raw["support"] and "0.0500" in loss["definition"]


@pytest.mark.parametrize(
    ("names", "unit"),
    [
        (["plate01", "plate07"], "plate"),
        (["dish2"], "group"),
        (["Well-1", "well-2"], "group"),
        (["colony_A2", "flat_B1"], "group"),
        (["platform", "plates"], "group"),
    ],
)
def test_groups_are_called_by_their_names(names, unit):
    assert group_unit(names) == unit
