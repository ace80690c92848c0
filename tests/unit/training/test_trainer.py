"""Training on tiny patches: what it writes, and that nothing that kills it changes a number."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from coverslip.config.sections import Augmentation, Network, Preprocessing, Training
from coverslip.errors import CoverslipError
from coverslip.models import model
from coverslip.runtime import device
from coverslip.training import checkpoint, trainer

DEVICE = device.prepare(threads=1)

# noqa: E402
# noqa: E402
# noqa: E402
# noqa: E402
# noqa: E402

SIDE = 16
AUGMENTATION = Augmentation(
    flip=True, rot90=True, scale=(0.7, 1.4), gamma=(0.7, 1.4), noise=0.02, invert=0.1
)
TRAINING = Training(
    epochs=5,
    batch_size=4,
    learning_rate=3e-3,
    schedule="cosine",
    loss="crossentropy+dice",
    class_weights="balanced",
    augmentation=AUGMENTATION,
)
NETWORK = Network(
    filters=4, depth=1, dropout=0.3, head="semantic", stem_stride=1, normalization="group"
)
PREPROCESSING = Preprocessing(
    channels="grey", input_scaling="zscore", patch=SIDE, normalization="dtype_range"
)


IDENTITY = trainer.state_identity("a", DEVICE)


def write_patches(folder: Path, ids: list[str], seed: int) -> Path:
    """Patches of noise with a bright square, one an image; the first has no foreground."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 90, (len(ids), SIDE, SIDE, 1), dtype=np.uint8)
    targets = np.zeros((len(ids), SIDE, SIDE), np.uint16)
    for image, target in zip(images[1:], targets[1:], strict=True):
        y, x = rng.integers(0, SIDE - 8, 2)
        image[y : y + 8, x : x + 8] += 110
        target[y : y + 8, x : x + 8] = 1
    folder.mkdir(parents=True)
    np.save(folder / "images.npy", images)
    np.save(folder / "labels.npy", targets)
    pd.DataFrame(
        {
            "patch": range(len(ids)),
            "id": ids,
            "y": 0,
            "x": 0,
            "height": SIDE,
            "width": SIDE,
            "foreground": targets.mean((1, 2)),
        }
    ).to_csv(folder / "index.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> dict:
    """Two shards of patches and a split: 10 images for training, 5 for validation, 1 for test."""
    root = tmp_path_factory.mktemp("study")
    ids = [f"{number:03d}" for number in range(16)]
    shards = [write_patches(root / "patches" / str(s), ids[s::2], s) for s in range(2)]
    subsets = ["train"] * 10 + ["validation"] * 5 + ["test"]
    split = root / "split.csv"
    pd.DataFrame({"id": ids, "group": ids, "stratum": "", "fold": 0, "subset": subsets}).to_csv(
        split, index=False
    )
    return {"patches": shards, "split": split}


def run(study: dict, folder: Path, **changes) -> dict:
    """Train into `folder/model` with the state in `folder/state`."""
    arguments = {
        "fold": 0,
        "seed": 3,
        "preprocessing": PREPROCESSING,
        "network": NETWORK,
        "training": TRAINING,
        "output": folder / "model",
        "state": folder / "state",
        "facts": {"licence": "CC0"},
        "identity": "a",
        "device": DEVICE,
        "report": lambda line: None,
    }
    return trainer.train(**study, **(arguments | changes))


def result(folder: Path) -> tuple[list[np.ndarray], pd.DataFrame, dict]:
    """Weights, history without its seconds, and model.json."""
    import keras

    weights = keras.saving.load_model(folder / "model" / "model.keras", compile=False).get_weights()
    history = pd.read_csv(folder / "model" / "history.csv").drop(columns="seconds")
    return weights, history, json.loads((folder / "model" / "model.json").read_text())


def assert_same(first: Path, second: Path) -> None:
    """Equal bit for bit."""
    weights, history, info = result(first)
    others, other_history, other_info = result(second)
    assert all(np.array_equal(a, b) for a, b in zip(weights, others, strict=True))
    pd.testing.assert_frame_equal(history, other_history, check_exact=True)
    assert info == other_info


@pytest.fixture(scope="module")
def undisturbed(study, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    run(study, folder)
    return folder


def interrupt(monkeypatch, epoch: int, step: int) -> None:
    """Raise after a step of an epoch (both from 0)."""
    inherited = trainer.LearningRateSchedule.on_train_batch_end

    def on_train_batch_end(self, batch, logs=None):
        inherited(self, batch, logs)
        if (self.epoch, batch) == (epoch, step):
            raise KeyboardInterrupt

    monkeypatch.setattr(trainer.LearningRateSchedule, "on_train_batch_end", on_train_batch_end)


@pytest.mark.parametrize(("epoch", "step"), [(0, 1), (3, 2)])
def test_an_interrupted_training_ends_as_an_undisturbed_one(
    study, undisturbed, tmp_path, monkeypatch, epoch, step
):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, epoch, step)
        run(study, tmp_path)
    assert not (tmp_path / "model" / "model.json").exists()
    facts = run(study, tmp_path)
    assert facts["resumed_after_epoch"] == epoch
    assert_same(undisturbed, tmp_path)
    assert not (tmp_path / "state").exists()


def test_sigkill_loses_nothing_but_time(study, undisturbed, tmp_path):
    script = (
        "import sys; sys.path[:0] = sys.argv[2:]\n"
        "from pathlib import Path\n"
        "import test_training as t\n"
        "shards = sorted(Path(sys.argv[1]).parent.joinpath('patches').iterdir())\n"
        "t.run({'patches': shards, 'split': Path(sys.argv[1])}, Path.cwd(),\n"
        "      report=lambda line: print(line, flush=True))\n"
    )
    folders = [str(Path(trainer.__file__).parents[2]), str(Path(__file__).parent)]
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(study["split"]), *folders],
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
    assert run(study, tmp_path)["resumed_after_epoch"] >= 2
    assert_same(undisturbed, tmp_path)


def test_sigterm_ends_after_the_step_and_keeps_the_state(study, tmp_path, monkeypatch):
    inherited = trainer.LearningRateSchedule.on_train_batch_begin

    def on_train_batch_begin(self, batch, logs=None):
        inherited(self, batch, logs)
        if self.epoch == 1:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)

    monkeypatch.setattr(trainer.LearningRateSchedule, "on_train_batch_begin", on_train_batch_begin)
    former = signal.getsignal(signal.SIGTERM)
    lines = []
    with pytest.raises(SystemExit) as stopped:
        run(study, tmp_path, report=lines.append)
    assert stopped.value.code == 143
    assert lines[-1].startswith("terminated after epoch 1")
    assert len(checkpoint.load(tmp_path / "state", IDENTITY).history) == 1
    assert signal.getsignal(signal.SIGTERM) is former


def test_a_full_disk_leaves_the_former_state_and_a_clear_message(study, tmp_path, monkeypatch):
    inherited = checkpoint.save

    def save(folder, identity, current):
        if len(current.history) < 2:
            return inherited(folder, identity, current)
        with monkeypatch.context() as patch:
            patch.setattr(np, "savez", _no_space)
            return inherited(folder, identity, current)

    monkeypatch.setattr(checkpoint, "save", save)
    with pytest.raises(CoverslipError, match="No space left.*make room there and run again"):
        run(study, tmp_path)
    assert len(checkpoint.load(tmp_path / "state", IDENTITY).history) == 1
    assert [path.name for path in (tmp_path / "state").iterdir()] == [checkpoint.FILE]


def _no_space(file, **arrays):
    file.write(b"half")
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_state_of_another_identity_is_discarded(study, undisturbed, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt(patch, 1, 0)
        run(study, tmp_path, identity="b", seed=9)
    assert run(study, tmp_path)["resumed_after_epoch"] == 0
    assert_same(undisturbed, tmp_path)


def test_what_is_written(undisturbed):
    weights, _, info = result(undisturbed)
    history = pd.read_csv(undisturbed / "model" / "history.csv")
    assert list(history.columns) == list(trainer.HISTORY)
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


def test_the_best_epoch_is_kept_and_patience_stops(study, tmp_path):
    # Labels of the validation patches turned over: the better the training, the worse their loss.
    shards = []
    for shard in study["patches"]:
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
    changed = study | {"patches": shards}
    run(changed, tmp_path / "last", **changes)
    changes["training"] = changes["training"].model_copy(update={"restore_best": True})
    run(changed, tmp_path / "best", **changes)
    last, history, info = result(tmp_path / "last")
    best, _, best_info = result(tmp_path / "best")
    assert info["epochs_run"] == info["best_epoch"] + 2 == len(history) < 20
    assert (info["kept_epoch"], best_info["kept_epoch"]) == (len(history), info["best_epoch"])
    assert not np.array_equal(last[0], best[0])
    assert info["threshold"] == 0.5


def test_a_loss_that_is_not_a_number_stops(study, tmp_path):
    wild = Training(
        epochs=3,
        batch_size=4,
        learning_rate=1e30,
        loss="crossentropy",
        schedule="constant",
        augmentation=Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)),
    )
    with pytest.raises(CoverslipError, match="diverged.*learning_rate"):
        run(study, tmp_path, training=wild, network=NETWORK)
    assert (
        not (tmp_path / "state").exists() or checkpoint.load(tmp_path / "state", IDENTITY).history
    )


def test_mixed_precision_and_three_outputs(study, tmp_path):
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
    run(study, tmp_path, device=mixed, training=small, network=network)
    weights, _, info = result(tmp_path)
    assert {weight.dtype for weight in weights} == {np.dtype("float32")}
    assert info["classes"] == ["background", "foreground", "class 2"]
    assert info["threshold"] == 0.5
    assert trainer.keras.config.dtype_policy().name == "float32"


class TenBatches(list):
    """Batches of an epoch, each in so many parts."""

    def __init__(self, parts: int):
        super().__init__([None] * 10 * parts)
        self.parts = parts


@pytest.mark.parametrize("parts", [1, 3])
def test_the_learning_rate_is_set_before_each_step(parts):
    from types import SimpleNamespace

    fast = Training(
        epochs=4,
        learning_rate=0.1,
        schedule="cosine",
        loss="crossentropy",
        augmentation=Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)),
    )
    steps = trainer.LearningRateSchedule(
        fast, epoch=2, batches=TenBatches(parts), stop=None, report=print
    )
    optimizer = SimpleNamespace(learning_rate=None)
    steps.set_model(SimpleNamespace(optimizer=optimizer))
    rates = []
    for step in range(10 * parts):
        steps.on_train_batch_begin(step)
        rates.append(optimizer.learning_rate)
    assert rates == [rate for rate in rates[::parts] for _ in range(parts)]
    rates = rates[::parts]
    assert rates[0] == pytest.approx(0.05)
    assert rates[5] == pytest.approx(0.1 * 0.5 * (1 + np.cos(np.pi * 2.5 / 4)))
    assert rates == sorted(rates, reverse=True)
