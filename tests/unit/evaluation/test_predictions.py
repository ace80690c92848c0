"""Predictions of a split's images, kept in HDF5 files."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
from class_training import SHAPES, predict_classes

from coverslip.config.sections import Evaluation, Preprocessing
from coverslip.data.image_store import ImageStoreWriter
from coverslip.errors import CoverslipError
from coverslip.evaluation import predictions
from coverslip.evaluation.predictions import (
    Predictions,
    read_class_predictions,
    scored_size,
    truth_mask,
)
from coverslip.models import model as models

SUBSETS = {"p1": "train", "p2": "test", "007": "validation", "NA": "test", "1e5": "test"}
SIZE = (20, 26)


def brightness(model):
    """A stand-in for a network: the brightness is the probability of foreground."""

    def predict(tiles):
        one = tiles.astype(np.float32) / 255
        if model.info["num_classes"] == 1:
            return one
        return np.concatenate([1 - one, one / 4, one * 3 / 4], axis=-1)

    return predict


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Function that predicts into a file and returns its path; the images are in `images`."""
    monkeypatch.setitem(models.KINDS, "network", brightness)
    rng = np.random.default_rng(6)
    run_images = {}
    with ImageStoreWriter(tmp_path / "images.h5") as store:
        for id in SUBSETS:
            run_images[id] = rng.integers(0, 255, SIZE, np.uint8, endpoint=True)
            store.image(id, run_images[id])
    rows = [
        (id, id, "", fold, subset if fold == 0 else "train")
        for id, subset in SUBSETS.items()
        for fold in (0, 1)
    ]
    table = pd.DataFrame(rows, columns=["id", "group", "stratum", "fold", "subset"])
    table.to_csv(tmp_path / "split.csv", index=False)

    class Untrained:
        def __init__(self, outputs):
            self.output_shape = (None, 16, 16, outputs)

        def save(self, path):
            path.write_bytes(b"")

    def predict(
        name="out.h5",
        outputs=1,
        resize=None,
        fold=0,
        subsets=("validation", "test"),
        shard=0,
        shards=1,
        **evaluation,
    ):
        p = Preprocessing(channels="grey", patch=16, resize=resize, normalization="dtype_range")
        info = {
            "classes": ["background", "nucleus"],
            "preprocessing": p,
            "fitted": {},
            "threshold": 0.25,
        }
        models.save(tmp_path / "model", Untrained(outputs), info)
        predictions.predict(
            tmp_path / "model",
            tmp_path / "images.h5",
            tmp_path / "split.csv",
            fold,
            subsets,
            Evaluation(**evaluation),
            shard,
            shards,
            tmp_path / name,
        )
        return tmp_path / name

    predict.images = run_images
    return predict


def test_the_file_has_probabilities_classes_and_subsets(run):
    with h5py.File(run()) as file:
        assert sorted(file["probability"]) == sorted(file["label"]) == ["007", "1e5", "NA", "p2"]
        attributes = {"fold": 0, "threshold": 0.25, "resolution": "native"}
        classes = json.dumps(["background", "nucleus"])
        assert dict(file.attrs) == attributes | {"classes": classes}
        subsets = zip(file["id"].asstr(), file["subset"].asstr(), strict=True)
        assert dict(subsets) == {id: SUBSETS[id] for id in ("007", "1e5", "NA", "p2")}
        for id, label in file["label"].items():
            probability = file[f"probability/{id}"]
            expected = run.images[id] / 255
            assert (probability.dtype, label.dtype) == (np.float16, np.uint8)
            assert probability[...] == pytest.approx(expected, abs=1e-3)
            assert np.array_equal(label[...], expected >= 0.25)


def test_more_classes_are_an_argmax(run):
    with h5py.File(run(outputs=3)) as file:
        expected = run.images["p2"] / 255
        assert file["probability/p2"][...] == pytest.approx(expected, abs=1e-3)
        assert np.array_equal(file["label/p2"][...], 2 * (1 - expected < expected * 0.75))


def test_the_size_of_the_network_on_request(run):
    with h5py.File(run(resize=(16, 32), resolution="network")) as file:
        assert file["label/p2"].shape == (16, 32)
    with h5py.File(run(resize=(16, 32))) as file:
        assert file["label/p2"].shape == SIZE


def test_scales_on_request(run):
    with h5py.File(run()) as once, h5py.File(run("two.h5", tta_scales=[1.0, 0.5])) as twice:
        for id in once["probability"]:
            assert twice[f"probability/{id}"].shape == SIZE
            # Noise is smoothed by what is averaged over twice two pixels.
            assert 0 < np.std(twice[f"probability/{id}"]) < 0.9 * np.std(once[f"probability/{id}"])


def test_shards_take_turns_and_may_be_empty(run):
    whole = run()
    seen = []
    for shard in range(5):
        with h5py.File(run(f"{shard}.h5", shard=shard, shards=5)) as part, h5py.File(whole) as all_:
            seen.append(sorted(part["label"]))
            for id in part["label"]:
                # Other tiles share its batch; the sums round alike all the same.
                assert np.array_equal(part["probability"][id], all_["probability"][id])
    assert seen == [["007"], ["1e5"], ["NA"], ["p2"], []]


def test_two_runs_give_equal_bytes(run):
    assert run("a.h5").read_bytes() == run("b.h5").read_bytes()


def test_only_the_asked_subsets_and_fold(run):
    with h5py.File(run(subsets=["validation"])) as file:
        assert list(file["label"]) == ["007"]
    with h5py.File(run(fold=1)) as file:
        assert list(file["label"]) == []
    with pytest.raises(CoverslipError, match=r"split\.csv.*no fold 2"):
        run("none.h5", fold=2)


def test_a_failure_leaves_nothing(run, tmp_path, monkeypatch):
    def failing(model):
        return lambda tiles: 1 / 0

    monkeypatch.setitem(models.KINDS, "network", failing)
    with pytest.raises(ZeroDivisionError):
        run()
    assert not list(tmp_path.glob("out.h5*"))


def test_a_broken_split_is_named(run, tmp_path):
    (tmp_path / "split.csv").write_text("id,subset\np1,test\n")
    with pytest.raises(CoverslipError, match=r"split\.csv: not a readable table with id, group"):
        run()


def test_an_image_that_the_store_lacks_is_named(run, tmp_path):
    with (tmp_path / "split.csv").open("a") as file:
        file.write("stranger,g,,0,test\n")
    with pytest.raises(CoverslipError, match="'stranger'"):
        run()


def test_the_scored_size_is_that_of_the_network_on_request():
    resized = Preprocessing(resize=(32, 48), channels="rgb", normalization="dtype_range")
    assert scored_size(resized, Evaluation(resolution="network")) == (32, 48)
    assert scored_size(resized, Evaluation()) is None
    assert (
        scored_size(
            Preprocessing(channels="rgb", normalization="dtype_range"),
            Evaluation(resolution="network"),
        )
        is None
    )


def test_truth_is_resized_as_in_training():
    label = np.zeros((8, 8), np.int32)
    label[2:6, 2:6] = 7
    assert truth_mask(label, None, "area").sum() == 16
    half = truth_mask(label, (4, 4), "area")
    assert half.dtype == bool and half.sum() == 4


def write(path, labels):
    with h5py.File(path, "w") as file:
        file["id"] = np.array([id.encode() for id in labels], dtype="S")
        for id, label in labels.items():
            file.create_dataset(f"label/{id}", data=label)


def test_predictions_of_all_shards_are_one(tmp_path):
    write(tmp_path / "0.h5", {"b": np.array([[0, 2]], np.uint8)})
    write(tmp_path / "1.h5", {"a": np.zeros((1, 2), np.uint8)})
    write(tmp_path / "2.h5", {})  # a shard without images
    with Predictions([tmp_path / f"{n}.h5" for n in range(3)]) as predictions:
        assert predictions.ids() == ["a", "b"]
        np.testing.assert_array_equal(predictions.mask("b", (1, 2)), [[False, True]])
        with pytest.raises(CoverslipError, match="no prediction of 'c'"):
            predictions.label("c")
        with pytest.raises(CoverslipError, match=r"1\.h5: the prediction of 'a' has \(1, 2\)"):
            predictions.mask("a", (4, 4))


def test_instances_where_the_model_predicts_them(tmp_path):
    write(tmp_path / "0.h5", {"a": np.ones((1, 2), np.uint8), "b": np.ones((1, 2), np.uint8)})
    with Predictions([tmp_path / "0.h5"]) as predictions:
        assert not predictions.has_instances
    with h5py.File(tmp_path / "0.h5", "a") as file:
        file.create_dataset("instance/a", data=np.array([[4, 7]], np.int32))
    with Predictions([tmp_path / "0.h5"]) as predictions:
        assert predictions.has_instances
        np.testing.assert_array_equal(predictions.instances("a", (1, 2)), [[4, 7]])
        for missing in ("b", "c"):
            with pytest.raises(CoverslipError, match=f"contains no instances of '{missing}'"):
                predictions.instances(missing, (1, 2))
        with pytest.raises(CoverslipError, match=r"the prediction of 'a' has \(1, 2\)"):
            predictions.instances("a", (2, 2))


def test_a_file_that_is_no_prediction_is_named(tmp_path):
    (tmp_path / "0.h5").write_text("no")
    with (
        pytest.raises(CoverslipError, match=r"0\.h5: not a readable prediction"),
        Predictions([tmp_path / "0.h5"]),
    ):
        pass


def test_predicted_classes_of_all_shards(class_study, class_model, tmp_path):
    def predicted(name, shard, shards):
        return predict_classes(class_study, class_model, tmp_path / name, shard, shards)

    shards = [predicted(f"{number}.h5", number, 2) for number in range(2)]
    found = read_class_predictions(shards)
    split = pd.read_csv(class_study / "split.csv", dtype=str).set_index("id")["subset"]
    wanted = split[split != "train"]
    assert found.ids.tolist() == sorted(wanted.index)
    assert found.subsets.tolist() == wanted[found.ids].tolist()
    assert set(found.subsets) == {"validation", "test", "unlabelled"}
    assert found.classes == SHAPES
    assert found.temperature == models.load(class_model).temperature
    whole = read_class_predictions([predicted("all.h5", 0, 1)])
    np.testing.assert_allclose(whole.logits, found.logits, atol=1e-4)
    again = predicted("again.h5", 0, 1)
    assert again.read_bytes() == (tmp_path / "all.h5").read_bytes()
    empty = read_class_predictions([predicted("e.h5", 99, 100)])
    assert empty.logits.shape == (0, 3)


def test_damaged_predictions_of_classes_are_named(class_study, class_model, tmp_path):
    (tmp_path / "x.h5").write_bytes(b"nothing")
    with pytest.raises(CoverslipError, match=r"x\.h5: not a readable prediction"):
        read_class_predictions([tmp_path / "x.h5"])
    first = predict_classes(class_study, class_model, tmp_path / "a.h5", 0, 2)
    other = predict_classes(class_study, class_model, tmp_path / "b.h5", 1, 2)
    with h5py.File(other, "a") as file:
        file.attrs["temperature"] = 99.0
    with pytest.raises(CoverslipError, match=r"b\.h5: of another model"):
        read_class_predictions([first, other])
