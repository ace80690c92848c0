"""Training on tiny patches: what it writes, and that nothing that kills it changes a number."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import class_training
import keras
import mask_training
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from mask_training import (
    DEVICE,
    IDENTITY,
    NETWORK,
    TRAINING,
    assert_same,
    interrupt,
    result,
    train,
)

from coverslip.config.sections import Augmentation, Network, Training
from coverslip.data.image_store import ImageStore
from coverslip.errors import CoverslipError
from coverslip.evaluation.predictions import read_class_predictions
from coverslip.evaluation.runs import HISTORY_COLUMNS
from coverslip.models import model, preprocessing
from coverslip.models.heads import calibrated_probabilities
from coverslip.runtime import device
from coverslip.training import checkpoint, losses, trainer
from coverslip.training.patches import network_input
from coverslip.training.schedule import LearningRateSchedule


@pytest.fixture(scope="module")
def undisturbed(mask_study, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    train(mask_study, folder)
    return folder


@pytest.mark.parametrize(("epoch", "step"), [(0, 1), (3, 2)])
def test_an_interrupted_training_ends_with_the_same_numbers(
    mask_study, undisturbed, tmp_path, monkeypatch, epoch, step
):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, epoch, step)
        train(mask_study, tmp_path)
    assert not (tmp_path / "model" / "model.json").exists()
    facts = train(mask_study, tmp_path)
    assert facts["resumed_after_epoch"] == epoch
    assert_same(undisturbed, tmp_path)
    assert not (tmp_path / "state").exists()


def test_sigkill_changes_no_number(mask_study, undisturbed, tmp_path):
    script = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from pathlib import Path\n"
        "import mask_training as t\n"
        "shards = sorted(Path(sys.argv[1]).parent.joinpath('patches').iterdir())\n"
        "t.train({'patches': shards, 'split': Path(sys.argv[1])}, Path.cwd(),\n"
        "      report=lambda line: print(line, flush=True))\n"
    )
    folders = [str(Path(trainer.__file__).parents[2]), str(Path(mask_training.__file__).parent)]
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(mask_study["split"]), *folders],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in process.stdout:
        if line.startswith("epoch 2/"):
            process.kill()
            break
    assert process.wait() == -signal.SIGKILL
    process.stdout.close()
    assert (tmp_path / "state" / checkpoint.FILE).exists()
    assert train(mask_study, tmp_path)["resumed_after_epoch"] >= 2
    assert_same(undisturbed, tmp_path)


def test_sigterm_ends_after_the_step_and_keeps_the_state(mask_study, tmp_path, monkeypatch):
    inherited = LearningRateSchedule.on_train_batch_begin

    def on_train_batch_begin(self, batch, logs=None):
        inherited(self, batch, logs)
        if self.epoch == 1:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)

    monkeypatch.setattr(LearningRateSchedule, "on_train_batch_begin", on_train_batch_begin)
    former = signal.getsignal(signal.SIGTERM)
    lines = []
    with pytest.raises(SystemExit) as stopped:
        train(mask_study, tmp_path, report=lines.append)
    assert stopped.value.code == 143
    assert lines[-1].startswith("terminated after epoch 1")
    assert len(checkpoint.load(tmp_path / "state", IDENTITY).history) == 1
    assert signal.getsignal(signal.SIGTERM) is former


def test_a_full_disk_leaves_the_former_state(mask_study, tmp_path, monkeypatch):
    inherited = checkpoint.save

    def save(folder, identity, current):
        if len(current.history) < 2:
            return inherited(folder, identity, current)
        with monkeypatch.context() as patch:
            patch.setattr(np, "savez", _no_space)
            return inherited(folder, identity, current)

    monkeypatch.setattr(checkpoint, "save", save)
    with pytest.raises(CoverslipError, match="No space left.*make room there and run again"):
        train(mask_study, tmp_path)
    assert len(checkpoint.load(tmp_path / "state", IDENTITY).history) == 1
    assert [path.name for path in (tmp_path / "state").iterdir()] == [checkpoint.FILE]


def _no_space(file, **arrays):
    file.write(b"half")
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_state_of_another_identity_is_discarded(mask_study, undisturbed, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, 1, 0)
        train(mask_study, tmp_path, identity="b", seed=9)
    assert train(mask_study, tmp_path)["resumed_after_epoch"] == 0
    assert_same(undisturbed, tmp_path)


def test_what_is_written(undisturbed):
    weights, _, info = result(undisturbed)
    history = pd.read_csv(undisturbed / "model" / "history.csv")
    assert list(history.columns) == list(HISTORY_COLUMNS)
    assert list(history["epoch"]) == [1, 2, 3, 4, 5]
    assert history["learning_rate"].is_monotonic_decreasing
    assert history["learning_rate"].iloc[0] == TRAINING.learning_rate
    assert history[["accuracy", "iou", "validation_iou"]].to_numpy().min() >= 0
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    assert info["best_epoch"] == info["kept_epoch"] == history["validation_loss"].idxmin() + 1
    assert info["epochs_run"] == 5
    assert info["licence"] == "CC0"
    assert info["classes"] == ["background", "foreground"]
    assert info["parameters"] == sum(w.size for w in weights)
    assert set(info["fitted"]) == {"mean", "standard_deviation"}
    assert 0.05 <= info["threshold"] <= 0.95
    assert info["device"]["name"] == DEVICE.name
    assert "tensorflow" in info["versions"]
    predicted = next(model.load(undisturbed / "model").predict([np.zeros((20, 24), np.uint8)]))
    assert predicted.shape == (20, 24, 1)


def test_the_best_epoch_is_kept_and_patience_stops(mask_study, tmp_path):
    # Labels of the validation patches turned over: the better the training, the worse their loss.
    shards = []
    for shard in mask_study["patches"]:
        copy = tmp_path / "patches" / shard.name
        copy.mkdir(parents=True)
        index = pd.read_csv(shard / "index.csv", dtype={"id": str})
        targets = np.load(shard / "labels.npy")
        turned = index["id"].between("010", "014").to_numpy()
        targets[turned] = 1 - targets[turned]
        np.save(copy / "labels.npy", targets)
        np.save(copy / "images.npy", np.load(shard / "images.npy"))
        index.to_csv(copy / "index.csv", index=False)
        shards.append(copy)
    changes = {
        "training": Training(
            epochs=20,
            batch_size=4,
            learning_rate=0.01,
            patience=2,
            restore_best=False,
            loss="crossentropy",
            schedule="constant",
            augmentation=Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)),
        ),
        "network": Network(
            filters=4, depth=1, normalization="none", head="semantic", stem_stride=1
        ),
        "goal": None,
    }
    changed = mask_study | {"patches": shards}
    train(changed, tmp_path / "last", **changes)
    changes["training"] = changes["training"].model_copy(update={"restore_best": True})
    train(changed, tmp_path / "best", **changes)
    last, history, info = result(tmp_path / "last")
    best, _, best_info = result(tmp_path / "best")
    assert info["epochs_run"] == info["best_epoch"] + 2 == len(history) < 20
    assert (info["kept_epoch"], best_info["kept_epoch"]) == (len(history), info["best_epoch"])
    assert not np.array_equal(last[0], best[0])
    assert info["threshold"] == 0.5


def test_a_loss_that_is_not_a_number_stops(mask_study, tmp_path):
    wild = Training(
        epochs=3,
        batch_size=4,
        learning_rate=1e30,
        loss="crossentropy",
        schedule="constant",
        augmentation=Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)),
    )
    with pytest.raises(CoverslipError, match="diverged.*learning_rate"):
        train(mask_study, tmp_path, training=wild, network=NETWORK)
    assert (
        not (tmp_path / "state").exists() or checkpoint.load(tmp_path / "state", IDENTITY).history
    )


def test_mixed_precision_and_three_outputs(mask_study, tmp_path):
    mixed = device.Device("CPU", gpu=True, capability=(7, 0), threads=1)
    small = Training(
        epochs=2,
        batch_size=4,
        loss="dice",
        schedule="constant",
        augmentation=Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)),
    )
    network = Network(
        filters=2, depth=1, num_classes=3, head="semantic", stem_stride=1, normalization="group"
    )
    train(mask_study, tmp_path, device=mixed, training=small, network=network)
    weights, _, info = result(tmp_path)
    assert {weight.dtype for weight in weights} == {np.dtype("float32")}
    assert info["classes"] == ["background", "foreground", "class 2"]
    assert info["threshold"] == 0.5
    assert trainer.keras.config.dtype_policy().name == "float32"


# --- Memory runs out: batches are trained in parts

FLOAT32 = device.Device("CPU", threads=1)
PLAIN = Network(filters=4, depth=1, normalization="group", head="semantic", stem_stride=1)
EXACT = TRAINING.model_copy(update={"loss": "crossentropy", "epochs": 3})
"""What is equal in parts: no batch normalization, no dropout, no Dice over a batch."""


def exhaust(monkeypatch, limit: int, after: int = 0) -> list[int]:
    """Steps of more patches than `limit` fail within the graph, after so many that did not.

    Returns a list to which the size of each step that passed is added.
    """
    inherited, passed = losses.make, []

    def check(patches):
        if len(patches) > limit and len(passed) >= after:
            raise MemoryError("forced")
        passed.append(len(patches))

    def make(*arguments):
        made = inherited(*arguments)
        call = made.call

        def checked(y_true, y_pred):
            tf.py_function(check, [y_true], [])
            return call(y_true, y_pred)

        made.call = checked
        return made

    monkeypatch.setattr(losses, "make", make)
    return passed


@pytest.mark.parametrize("limit", [2, 1])
def test_parts_equal_the_whole_batch(mask_study, tmp_path, monkeypatch, limit):
    same = {"device": FLOAT32, "network": PLAIN, "training": EXACT}
    facts = train(mask_study, tmp_path / "whole", **same)
    assert "memory" not in facts and "memory" not in result(tmp_path / "whole")[2]
    lines = []
    with monkeypatch.context() as patch:
        passed = exhaust(patch, limit)
        facts = train(mask_study, tmp_path / "parts", **same, report=lines.append)
    assert max(passed) == limit
    memory = {"batch_size": 4, "halvings": [{"epoch": 1, "patches_at_once": limit}]}
    weights, history, info = result(tmp_path / "whole")
    others, other_history, other_info = result(tmp_path / "parts")
    assert facts["memory"] == other_info["memory"] == memory
    assert lines[0] == "memory ran out with 4 patches at once: goes on with 2"
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4)
    # The last batch has 2 patches of 4, which the mean loss of an epoch weighs otherwise.
    columns = [name for name in history.columns if name != "loss"]
    pd.testing.assert_frame_equal(history[columns], other_history[columns], atol=2e-3)
    assert list(history["learning_rate"]) == list(other_history["learning_rate"])
    assert info["threshold"] == other_info["threshold"]


def test_weights_change_once_per_whole_batch(mask_study, tmp_path, monkeypatch):
    seen = []
    inherited = LearningRateSchedule.on_train_batch_end

    def on_train_batch_end(self, batch, logs=None):
        inherited(self, batch, logs)
        seen.append(int(keras.ops.convert_to_numpy(self.model.optimizer.iterations)))

    monkeypatch.setattr(LearningRateSchedule, "on_train_batch_end", on_train_batch_end)
    exhaust(monkeypatch, 1)
    train(mask_study, tmp_path, training=EXACT.model_copy(update={"epochs": 1}))
    assert seen == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3]


def test_a_resumed_halved_training_ends_with_the_same_numbers(mask_study, tmp_path, monkeypatch):
    # Memory runs out in the second epoch: 3 steps and 2 of validation come before.
    with monkeypatch.context() as patch:
        exhaust(patch, 2, after=6)
        train(mask_study, tmp_path / "undisturbed")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        exhaust(patch, 2, after=6)
        interrupt(patch, 3, 1)
        train(mask_study, tmp_path / "resumed")
    kept = checkpoint.load(tmp_path / "resumed" / "state", IDENTITY)
    assert kept.halvings == [{"epoch": 2, "patches_at_once": 2}]
    with monkeypatch.context() as patch:
        passed = exhaust(patch, 2)
        facts = train(mask_study, tmp_path / "resumed")
    assert facts["resumed_after_epoch"] == 3 and facts["memory"]["halvings"] == kept.halvings
    assert max(passed) == 2
    assert_same(tmp_path / "undisturbed", tmp_path / "resumed")


def test_a_state_does_not_depend_on_parts(mask_study, tmp_path, monkeypatch):
    shapes = []
    for limit in (4, 1):
        folder = tmp_path / str(limit)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            exhaust(patch, limit)
            interrupt(patch, 1, 0)
            train(mask_study, folder)
        kept = checkpoint.load(folder / "state", IDENTITY)
        shapes.append([array.shape for array in kept.optimizer])
        assert int(kept.optimizer[0]) == 3
    assert shapes[0] == shapes[1]


def test_one_patch_that_does_not_fit_has_a_hint(mask_study, tmp_path, monkeypatch):
    exhaust(monkeypatch, 0)
    with pytest.raises(CoverslipError, match="memory is exhausted: use a smaller .*patch"):
        train(mask_study, tmp_path)
    assert not (tmp_path / "model" / "model.json").exists()


def test_a_state_of_another_precision_is_discarded(mask_study, tmp_path, monkeypatch):
    other = device.Device("CPU", bfloat16=True, threads=1)
    assert other.dtype_policy != FLOAT32.dtype_policy
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, 1, 0)
        train(mask_study, tmp_path, device=other)
    assert train(mask_study, tmp_path, device=FLOAT32)["resumed_after_epoch"] == 0


# --- Classes of images


def test_the_model_folder_of_a_classification(class_model):
    info = json.loads((class_model / "model.json").read_text())
    assert info["task"] == "classification"
    assert info["classes"] == class_training.SHAPES
    assert (info["head"], info["num_classes"], info["threshold"]) == ("classification", 3, None)
    assert info["temperature"] > 0
    assert "absent_classes" not in info
    history = pd.read_csv(class_model / "history.csv")
    assert [name for name in history.columns if "iou" in name] == []
    assert history["accuracy"].iloc[-1] > 0.6


def test_a_classification_learns_and_predicts(class_model):
    loaded = model.load(class_model)
    rng = np.random.default_rng(9)
    images = [class_training.draw(class_training.SHAPES[number % 3], rng) for number in range(30)]
    found = np.stack(list(loaded.predict(images)))
    assert found.shape == (30, 3)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert (found.argmax(axis=1) == np.arange(30) % 3).mean() > 0.7
    logits = np.stack(list(loaded.logits(images, batch=7)))
    expected = calibrated_probabilities(logits, loaded.temperature)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(CoverslipError, match="classifies images and predicts no masks"):
        loaded.mask(found[0])


def test_a_class_without_training_images_is_reported(class_study, tmp_path):
    split = pd.read_csv(class_study / "split.csv", dtype=str)
    ring = (split["stratum"] == "ring") & (split["subset"] == "train")
    split.loc[ring, "subset"] = "test"
    split.to_csv(tmp_path / "split.csv", index=False)
    lines = []
    short = class_training.TRAINING.model_copy(update={"epochs": 1})
    class_training.train(
        class_study, tmp_path, split=tmp_path / "split.csv", training=short, report=lines.append
    )
    assert lines[0] == "no training image of ring: none will be predicted as such"
    info = json.loads((tmp_path / "model" / "model.json").read_text())
    assert info["absent_classes"] == ["ring"]
    assert info["classes"] == class_training.SHAPES


def test_a_network_of_one_size(class_study, tmp_path):
    network = Network(architecture="livecell_cnn", head="classification")
    short = class_training.TRAINING.model_copy(
        update={
            "epochs": 1,
            "augmentation": Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)),
        }
    )
    class_training.train(class_study, tmp_path, network=network, training=short)
    loaded = model.load(tmp_path / "model")
    saved = keras.saving.load_model(tmp_path / "model" / "model.keras", compile=False)
    assert saved.input_shape == (None, *class_training.SIZE, 1)
    (answer,) = loaded.predict([class_training.draw("disc", np.random.default_rng(1))])
    assert answer.shape == (3,)


def test_test_images_may_be_scaled_by_their_own_mean(class_study, tmp_path):
    section = class_training.PREPROCESSING.model_copy(update={"fit_scaling_on": "each_subset"})
    short = class_training.TRAINING.model_copy(update={"epochs": 1})
    folder = tmp_path / "fold0_seed3"
    class_training.train(class_study, folder, preprocessing=section, training=short)
    shard = class_training.predict_classes(
        class_study, folder / "model", folder / "predictions.h5", 0, 1
    )
    found = read_class_predictions([shard])
    loaded = model.load(folder / "model")
    assert set(found.subsets) == {"validation", "test", "unlabelled"}
    own = loaded.info["fitted"]["test"]
    network = keras.saving.load_model(folder / "model" / "model.keras", compile=False)
    with ImageStore(class_study / "images.h5") as store:
        for id, subset, logits in zip(found.ids, found.subsets, found.logits, strict=True):
            fitted = own if subset == "test" else loaded.info["fitted"]
            tile = network_input(store, id, section)[None]
            expected = network.predict_on_batch(preprocessing.batch(tile, section, fitted))[0]
            np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_a_penalty_on_weights_is_part_of_the_reported_loss(class_study, tmp_path):
    network = Network(architecture="livecell_cnn", head="classification")
    short = class_training.TRAINING.model_copy(update={"epochs": 1})
    class_training.train(class_study, tmp_path, network=network, training=short)
    info = json.loads((tmp_path / "model" / "model.json").read_text())
    kept = keras.saving.load_model(tmp_path / "model" / "model.keras", compile=False)
    kernel = kept.get_layer("dense").get_weights()[0]
    assert info["regularization_loss"] == pytest.approx(1e-3 * (kernel**2).sum(), rel=1e-4)
