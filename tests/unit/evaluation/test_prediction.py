"""Predictions of a split's images, kept in an HDF5 file."""

import h5py
import numpy as np
import pandas as pd
import pytest

from coverslip.config.sections import Evaluation, Preprocessing
from coverslip.data.image_store import ImageStoreWriter
from coverslip.errors import CoverslipError
from coverslip.evaluation import predictions
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
    rows = [(id, fold, s if fold == 0 else "train") for id, s in SUBSETS.items() for fold in (0, 1)]
    table = pd.DataFrame(rows, columns=["id", "fold", "subset"])
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
        info = {"classes": [], "preprocessing": p, "fitted": {}, "threshold": 0.25}
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


def test_the_file_holds_probabilities_classes_and_subsets(run):
    with h5py.File(run()) as file:
        assert sorted(file["probability"]) == sorted(file["label"]) == ["007", "1e5", "NA", "p2"]
        assert dict(file.attrs) == {"fold": 0, "threshold": 0.25, "resolution": "native"}
        for id, label in file["label"].items():
            probability = file[f"probability/{id}"]
            expected = run.images[id] / 255
            assert label.attrs["subset"] == SUBSETS[id]
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
    with pytest.raises(CoverslipError, match=r"split\.csv: not a readable split"):
        run()


def test_a_image_that_the_store_lacks_is_named(run, tmp_path):
    with (tmp_path / "split.csv").open("a") as file:
        file.write("stranger,0,test\n")
    with pytest.raises(CoverslipError, match="'stranger'"):
        run()
