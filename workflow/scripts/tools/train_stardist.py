"""Train StarDist by its own package: `python train_stardist.py TRAIN VALIDATION MODEL`.

TRAIN and VALIDATION have the folders `images` and `labels`, with a TIFF file `<id>.tif` for each
image in both. MODEL is the folder to write, as StarDist reads it, with `training.json`: settings,
versions, seconds, and the losses of all epochs.

Network, losses and augmentation are those of StarDist's own example of training in 2D: flips and
turns, random brightness, noise. The validation images choose the epoch and both thresholds. A
training that was stopped goes on from its last epoch in the folder `--state`.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
import time
from pathlib import Path
from typing import Any

from adapter import (
    image_files,
    one_channel,
    one_line_errors,
    read_image,
    three_channels,
    version_facts,
)

PACKAGES = ("stardist", "csbdeep", "keras", "tensorflow", "tensorflow-cpu", "numpy")
"""Packages whose versions are recorded."""


def augment(x: Any, y: Any) -> tuple[Any, Any]:
    """Flip, turn, change the brightness and add noise, as in StarDist's example."""
    import numpy as np

    turns = np.random.randint(4)
    x, y = np.rot90(x, turns), np.rot90(y, turns)
    if np.random.rand() < 0.5:
        x, y = x[:, ::-1], y[:, ::-1]
    x = x * np.random.uniform(0.6, 2) + np.random.uniform(-0.2, 0.2)
    return x + 0.02 * np.random.uniform(0, 1) * np.random.normal(0, 1, x.shape), y


def read_subset(folder: Path, channels: int | None, side: int) -> tuple[list[Any], list[Any], int]:
    """Return images (float32), label images (int32) and the number of channels, 1 or 3.

    Args:
        folder: with the folders `images` and `labels`.
        channels: none: 3 if any image has as many, else 1.
        side: smallest height and width; smaller images are filled up with zeros.
    """
    import numpy as np
    from csbdeep.utils import normalize
    from stardist import fill_label_holes

    paths = list(image_files(folder / "images"))
    images = [read_image(path) for path in paths]
    if channels is None:
        channels = 3 if any(x.ndim == 3 and x.shape[-1] >= 3 for x in images) else 1
    form = three_channels if channels == 3 else one_channel
    x = [normalize(form(each).astype(np.float32), 1, 99.8, axis=(0, 1)) for each in images]
    labels = [read_image(folder / "labels" / path.name) for path in paths]
    y = [fill_label_holes(each.astype(np.int32)) for each in labels]

    def filled(array: Any) -> Any:
        missing = [(0, max(0, side - length)) for length in array.shape[:2]]
        return np.pad(array, [*missing, *[(0, 0)] * (array.ndim - 2)])

    return [filled(each) for each in x], [filled(each) for each in y], channels


def train(given: argparse.Namespace) -> None:
    """Train, choose the thresholds, and write the folder of the model."""
    import keras
    import numpy as np
    from stardist.models import Config2D, StarDist2D

    keras.utils.set_random_seed(given.seed)
    x, y, channels = read_subset(given.train, None, given.patch)
    validation = read_subset(given.validation, channels, given.patch)[:2]
    given.state.mkdir(parents=True, exist_ok=True)
    config = Config2D(
        n_rays=given.rays,
        grid=(2, 2),
        n_channel_in=channels,
        train_patch_size=(given.patch, given.patch),
        train_epochs=given.epochs,
        train_steps_per_epoch=given.steps,
        train_batch_size=given.batch,
        train_learning_rate=given.learning_rate,
        train_reduce_lr={"factor": 0.5, "patience": given.patience, "min_delta": 0},
        train_tensorboard=False,
    )
    model = StarDist2D(config, name="model", basedir=str(given.state))
    model.prepare_for_training()
    log = given.state / "history.csv"
    losses = read_history(log)
    for callback in model.callbacks:  # what they know of the epochs before
        if losses and hasattr(callback, "best"):
            callback.best = min(row["val_loss"] for row in losses)
    model.callbacks += [
        timer(keras.callbacks.Callback),
        keras.callbacks.CSVLogger(str(log), append=bool(losses)),
        keras.callbacks.BackupAndRestore(str(given.state / "backup"), delete_checkpoint=False),
    ]
    # Each start has patches of its own; the first one those of the seed.
    model.train(x, y, validation, augmenter=augment, seed=(given.seed + len(losses)) % 2**32)
    trained = time.perf_counter()
    thresholds = model.optimize_thresholds(*validation)
    history = read_history(log)
    facts = {
        "tool": "stardist",
        **version_facts(PACKAGES),
        "settings": {
            name: value for name, value in vars(given).items() if not isinstance(value, Path)
        },
        "training_images": len(x),
        "validation_images": len(validation[0]),
        "channels": channels,
        "parameters": int(model.keras_model.count_params()),
        "thresholds": thresholds,
        "epochs": len(history),
        "selected_epoch": int(np.argmin([row["val_loss"] for row in history])) + 1,
        "resumed_at_epoch": len(losses) or None,
        "training_seconds": sum(row.get("seconds", 0.0) for row in history),
        "threshold_seconds": time.perf_counter() - trained,
        "history": history,
    }
    given.model.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "thresholds.json", "weights_best.h5"):
        shutil.copyfile(given.state / "model" / name, given.model / name)
    text = json.dumps(facts, indent=1) + "\n"
    (given.model / "training.json").write_text(text, encoding="utf-8")
    shutil.rmtree(given.state)


def timer(base: type) -> Any:
    """Return a callback that adds the seconds of each epoch to its losses."""

    class Timer(base):
        def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
            self.began = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
            if logs is not None:
                logs["seconds"] = time.perf_counter() - self.began

    return Timer()


def read_history(log: Path) -> list[dict[str, float]]:
    """Return the losses of the epochs that are done; none without the file."""
    if not log.is_file():
        return []
    with log.open(encoding="utf-8", newline="") as file:
        return [{key: float(value) for key, value in row.items()} for row in csv.DictReader(file)]


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description="Train StarDist by its own package.")
    for name in ("train", "validation", "model"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--state", type=Path, required=True, help="kept until the end, to go on")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--steps", type=int, default=100, help="batches of an epoch")
    parser.add_argument("--batch", type=int, default=4, help="patches of a batch")
    parser.add_argument("--patch", type=int, default=256, help="height and width in pixels")
    parser.add_argument("--rays", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=3e-4)
    parser.add_argument("--patience", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with one_line_errors("stardist", "stardist"):
        train(given)


if __name__ == "__main__":
    main()
