"""Train StarDist on the split of a study: `python benchmarks/stardist_nuclei.py DATASET STUDY OUT`.

DATASET is the folder of a dataset (`results/datasets/dsb2018`), STUDY that of a study of its nuclei
(`results/studies/nuclei-random`), which needs to be split, not trained. StarDist (Schmidt et al.,
MICCAI 2018, https://arxiv.org/abs/1806.03535) learns from the training images of fold 0 for
`--minutes` of wall time, chooses its epoch and its two thresholds by the validation images, and
finds the nuclei of the test images; OUT then holds its model, `instances.h5` and `stardist.json`.
With `--minutes 0` the model in OUT is used again. `benchmarks/peers.py` puts its scores beside
those of the study.

Network, losses and augmentation are those of StarDist's own example of training in 2D, on all three
channels, each between its 1st and 99.8th percentile. One thing differs: the learning rate is halved
after `--patience` epochs without a better validation loss; the default of 40 epochs would not come
to act within an hour on a CPU. In an environment of its own (Python 3.11 on Linux):

    python3 -m venv /tmp/stardist
    /tmp/stardist/bin/pip install --no-deps --require-hashes -r benchmarks/requirements-stardist.txt
    /tmp/stardist/bin/python benchmarks/stardist_nuclei.py DATASET STUDY OUT --minutes 90
"""

import argparse
import csv
import json
import sys
import time
from importlib.metadata import version
from pathlib import Path

import keras
import numpy as np
from csbdeep.utils import normalize
from multiply_adds import per_pixel
from stardist import fill_label_holes
from stardist.models import Config2D, StarDist2D

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

from coverslip.data.hdf5 import write_array, write_hdf5
from coverslip.data.image_store import ImageStore


class Budget(keras.callbacks.Callback):
    """Ends the training when its time is spent, counted from its first step on."""

    def __init__(self, minutes: float):
        super().__init__()
        self.seconds = minutes * 60
        self.steps = 0
        self.started = 0.0

    def on_train_begin(self, logs: dict | None = None) -> None:
        self.started = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self.steps += 1
        if time.perf_counter() - self.started > self.seconds:
            self.model.stop_training = True


def augmented(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turned, mirrored, with another light and noise, as in StarDist's example."""
    turns = np.random.randint(4)
    x, y = np.rot90(x, turns), np.rot90(y, turns)
    if np.random.rand() < 0.5:
        x, y = x[:, ::-1], y[:, ::-1]
    x = x * np.random.uniform(0.6, 2) + np.random.uniform(-0.2, 0.2)
    noise = 0.02 * np.random.uniform(0, 1)
    return x + noise * np.random.normal(0, 1, x.shape), y


def images(store: ImageStore, ids: list[str]) -> list[np.ndarray]:
    """Images as StarDist takes them, float32 (H, W, 3)."""
    found = []
    for id in ids:
        image = store.image(id)
        colours = np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image[..., :3]
        found.append(normalize(colours, 1, 99.8, axis=(0, 1)).astype(np.float32))
    return found


def subsets(study: Path) -> dict[str, list[str]]:
    """Sorted ids of each subset of fold 0."""
    found: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    with (study / "split.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["fold"] == "0":
                found[row["subset"]].append(row["id"])
    return {subset: sorted(ids) for subset, ids in found.items()}


def trained(
    options: argparse.Namespace, store: ImageStore, ids: dict[str, list[str]]
) -> tuple[StarDist2D, dict]:
    """A model after its training and the choice of its thresholds, and what that took."""
    config = Config2D(
        n_rays=32,
        grid=(2, 2),
        n_channel_in=3,
        train_patch_size=(256, 256),
        train_epochs=10_000,
        train_reduce_lr={"factor": 0.5, "patience": options.patience, "min_delta": 0},
        train_tensorboard=False,
    )
    model = StarDist2D(config, name="model", basedir=str(options.out))
    budget = Budget(options.minutes)
    model.prepare_for_training()
    model.callbacks.append(budget)
    x = {subset: images(store, ids[subset]) for subset in ("train", "validation")}
    y = {s: [fill_label_holes(store.label(id).astype(np.int32)) for id in ids[s]] for s in x}
    history = model.train(
        x["train"],
        y["train"],
        validation_data=(x["validation"], y["validation"]),
        augmenter=augmented,
        seed=options.seed,
    )
    seconds = time.perf_counter() - budget.started
    thresholds = model.optimize_thresholds(x["validation"], y["validation"])
    return model, {
        "minutes": seconds / 60,
        "patches_per_second": budget.steps * config.train_batch_size / seconds,
        "epochs": len(history.history["loss"]),
        "parameters": model.keras_model.count_params(),
        "thresholds": {name: float(value) for name, value in thresholds.items()},
        "history": {key: [float(v) for v in row] for key, row in history.history.items()},
    }


def predicted(
    model: StarDist2D, store: ImageStore, ids: list[str], output: Path, repeats: int
) -> dict:
    """Write the objects of images, `instance/<id>` int32 (H, W); give the time it took.

    The time of the network alone is that of `predict`, without what `predict_instances` does with
    its answer. Both are medians of `repeats` rounds through all images.
    """
    given = images(store, ids)
    model.predict_instances(given[0])  # what is compiled once is not counted
    rounds = []
    for _ in range(repeats):
        started = time.perf_counter()
        for image in given:
            model.predict(image)
        between = time.perf_counter()
        labels = [model.predict_instances(image)[0] for image in given]
        rounds.append((between - started, time.perf_counter() - between))
    with write_hdf5(output) as file:
        for id, label in zip(ids, labels, strict=True):
            write_array(file, f"instance/{id}", label.astype(np.int32))
    network, whole = np.median(rounds, axis=0)
    return {
        "seconds": whole,
        "network_seconds": network,
        "multiply_adds": per_pixel(model.keras_model),
    }


def main() -> None:
    """Train, predict, and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("study", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=90.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--patience", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    keras.utils.set_random_seed(options.seed)
    keras.utils.disable_interactive_logging()
    ids = subsets(options.study)
    facts = options.out / "stardist.json"
    with ImageStore(options.dataset / "images.h5") as store:
        if options.minutes:
            model, told = trained(options, store, ids)
        else:
            model = StarDist2D(None, name="model", basedir=str(options.out))
            told = json.loads(facts.read_text(encoding="utf-8"))
        told["prediction"] = predicted(
            model, store, ids["test"], options.out / "instances.h5", options.repeats
        )
    told["versions"] = {name: version(name) for name in ("stardist", "csbdeep", "keras")}
    facts.write_text(json.dumps(told, indent=1), encoding="utf-8")
    print(json.dumps({key: told[key] for key in told if key != "history"}, indent=1))


if __name__ == "__main__":
    main()
