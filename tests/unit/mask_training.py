"""Tiny trainings on masks: patches of noise with squares, and what a training wrote."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from coverslip.config.sections import Augmentation, Network, Preprocessing, Training
from coverslip.runtime import device

DEVICE = device.prepare(threads=1)

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

IDENTITY = f"a {DEVICE.dtype_policy}"
"""Identity of the state that `train` keeps."""


def write_patches(folder: Path, ids: list[str], seed: int) -> Path:
    """Write patches of noise with a bright square, one for each image; the first has none."""
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


def write_study(root: Path) -> dict:
    """Write two shards of patches and a split: 10 images train, 5 validation, 1 test."""
    ids = [f"{number:03d}" for number in range(16)]
    shards = [write_patches(root / "patches" / str(s), ids[s::2], s) for s in range(2)]
    subsets = ["train"] * 10 + ["validation"] * 5 + ["test"]
    table = pd.DataFrame({"id": ids, "group": ids, "stratum": "", "fold": 0, "subset": subsets})
    table.to_csv(root / "split.csv", index=False)
    return {"patches": shards, "split": root / "split.csv"}


def train(study: dict, folder: Path, **changes) -> dict:
    """Train into `folder/model` with the state in `folder/state`."""
    from coverslip.training import trainer

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


def interrupt(monkeypatch, epoch: int, step: int) -> None:
    """Raise KeyboardInterrupt after a step of an epoch (both from 0)."""
    from coverslip.training.schedule import LearningRateSchedule

    inherited = LearningRateSchedule.on_train_batch_end

    def on_train_batch_end(self, batch, logs=None):
        inherited(self, batch, logs)
        if (self.epoch, batch) == (epoch, step):
            raise KeyboardInterrupt

    monkeypatch.setattr(LearningRateSchedule, "on_train_batch_end", on_train_batch_end)


def result(folder: Path) -> tuple[list[np.ndarray], pd.DataFrame, dict]:
    """Return weights, history without its seconds, and model.json."""
    import keras

    weights = keras.saving.load_model(folder / "model" / "model.keras", compile=False).get_weights()
    history = pd.read_csv(folder / "model" / "history.csv").drop(columns="seconds")
    return weights, history, json.loads((folder / "model" / "model.json").read_text())


def assert_same(first: Path, second: Path) -> None:
    """Assert that two trainings wrote equal results, bit for bit."""
    weights, history, info = result(first)
    others, other_history, other_info = result(second)
    assert all(np.array_equal(a, b) for a, b in zip(weights, others, strict=True))
    pd.testing.assert_frame_equal(history, other_history, check_exact=True)
    assert info == other_info
