"""A tiny classification of shapes: images, patches, training and prediction."""

from pathlib import Path

import numpy as np
import pandas as pd

from coverslip.config.sections import Augmentation, Evaluation, Network, Preprocessing, Training
from coverslip.data import tables
from coverslip.data.image_store import ImageStoreWriter
from coverslip.evaluation.predictions import predict
from coverslip.runtime import device
from coverslip.training.patches import extract_class_patches

DEVICE = device.prepare(threads=1)

SIZE = (16, 16)
SHAPES = ["cross", "disc", "ring"]
NETWORK = Network(
    architecture="cnn", head="classification", filters=4, depth=2, normalization="batch"
)
PREPROCESSING = Preprocessing(
    channels="grey", input_scaling="zscore", resize=SIZE, normalization="dtype_range"
)
TRAINING = Training(
    epochs=6,
    batch_size=8,
    learning_rate=1e-2,
    class_weights="balanced",
    augmentation=Augmentation(
        flip=True, rot90=True, scale=(0.9, 1.1), noise=0.02, gamma=(1.0, 1.0)
    ),
    loss="crossentropy",
    schedule="constant",
)


def draw(label: str, rng: np.random.Generator) -> np.ndarray:
    """Return an image, 20x24, of a shape on noise."""
    y, x = np.mgrid[:20, :24]
    cy, cx = rng.uniform(8, 12), rng.uniform(9, 15)
    away = np.hypot(y - cy, x - cx)
    shape = {
        "disc": away < 5,
        "ring": (away < 7) & (away > 4),
        "cross": (np.abs(y - cy) < 2) | (np.abs(x - cx) < 2),
    }[label]
    return np.clip(rng.normal(60, 8, y.shape) + 120 * shape, 0, 255).astype(np.uint8)


def write_study(root: Path) -> Path:
    """Write store, manifest, split and patches in two shards: 60 images, 4 without a class."""
    rng = np.random.default_rng(0)
    rows, split = [], []
    with ImageStoreWriter(root / "images.h5") as store:
        for number in range(60):
            label = SHAPES[number % 3]
            image = draw(label, rng)
            id = f"{number:03d}"
            store.image(id, image)
            unlabelled = number >= 56
            rows.append(manifest_row(id, "" if unlabelled else label, (20, 24)))
            subset = ("test", "validation", "train", "train", "train")[number // 3 % 5]
            split.append((id, id, label, 0, "unlabelled" if unlabelled else subset))
    tables.write_manifest(pd.DataFrame(rows, columns=tables.COLUMNS), root / "manifest.csv")
    columns = list(tables.SPLIT_COLUMNS)
    pd.DataFrame(split, columns=columns).to_csv(root / "split.csv", index=False)
    for shard in range(2):
        folder = root / "patches" / str(shard)
        inputs = (root / "images.h5", root / "manifest.csv", PREPROCESSING)
        extract_class_patches(*inputs, shard, 2, folder)
    return root


def manifest_row(id: str, label: str, size: tuple[int, int]) -> dict:
    """Return a row of a manifest."""
    blank = {name: kind() for name, kind in tables.DTYPES.items()}
    facts = {"id": id, "class": label, "member": f"{id}.png", "group": id}
    return blank | facts | {"height": size[0], "width": size[1]}


def train(study: Path, folder: Path, **changes) -> dict:
    """Train into `folder/model` with the state in `folder/state`."""
    from coverslip.training import trainer

    arguments = {
        "preprocessing": PREPROCESSING,
        "network": NETWORK,
        "training": TRAINING,
        "split": study / "split.csv",
        "report": lambda line: None,
    }
    return trainer.train(
        sorted((study / "patches").iterdir()),
        fold=0,
        seed=3,
        output=folder / "model",
        state=folder / "state",
        facts={"licence": "CC0"},
        identity="a",
        device=DEVICE,
        **(arguments | changes),
    )


def predict_classes(study: Path, model: Path, output: Path, shard: int, shards: int) -> Path:
    """Predict one shard of the validation and test images."""
    files = (model, study / "images.h5", study / "split.csv")
    predict(*files, 0, ["validation", "test"], Evaluation(), shard, shards, output)
    return output
