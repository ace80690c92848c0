"""A made-up classification on disk: store, tables, predictions, model folders, no TensorFlow."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from study_files import StudyFiles
from study_files import score as score_study

from coverslip.config.sections import Evaluation, Preprocessing
from coverslip.data.image_store import ImageStoreWriter

CLASSES = ["a172", "bv2", "mcf7"]

SETTINGS = {
    "preprocessing": Preprocessing(channels="grey", resize=(16, 16), normalization="dtype_range"),
    "evaluation": Evaluation(),
}


def score(files: StudyFiles, folder: Path, **changes) -> tuple[dict, pd.DataFrame]:
    """Write `metrics.json` and `images.csv` of a classification and return their contents."""
    return score_study(files, folder, classes=True, **SETTINGS | changes)


def make(
    folder: Path,
    images: int = 60,
    folds: int = 1,
    seeds: tuple[int, ...] = (1,),
    shards: int = 1,
    epochs: int = 5,
) -> StudyFiles:
    """Write a classification: two thirds of the predictions are right; bv2 is brighter."""
    rng = np.random.default_rng(5)
    ids = [f"image_{number:03d}" for number in range(images)]
    truth = np.array([number % 3 for number in range(images)])
    with ImageStoreWriter(folder / "images.h5") as store:
        for id, number in zip(ids, truth, strict=True):
            level = 140 if number == 1 else 90
            noise = rng.normal(level, 15, (24, 20, 1))
            store.image(id, np.clip(noise, 0, 255).astype(np.uint8))
    group = [f"well{number // 6}" for number in range(images)]
    facts = pd.DataFrame({"id": ids, "group": group, "modality": "brightfield"})
    facts["stratum"] = [CLASSES[number] for number in truth]
    facts.to_csv(folder / "groups.csv", index=False)
    parts = [
        facts.assign(fold=fold, subset=[subset(n, fold, folds) for n in range(images)])
        for fold in range(folds)
    ]
    split = pd.concat(parts)[["id", "group", "stratum", "fold", "subset"]]
    split.to_csv(folder / "split.csv", index=False)
    models, predictions = [], []
    for fold in range(folds):
        for seed in seeds:
            run = folder / f"fold{fold}_seed{seed}"
            write_model(run / "model", epochs)
            models.append(run / "model")
            wanted = split[(split["fold"] == fold) & (split["subset"] != "train")]
            logits = rng.normal(0, 1, (len(wanted), 3))
            of = [CLASSES.index(label) for label in wanted["stratum"]]
            logits[np.arange(len(wanted)), of] += 1.2
            for shard in range(shards):
                path = run / "predictions" / f"{shard}.h5"
                part = slice(shard, None, shards)
                write_predictions(path, wanted[part], 3 * logits[part], fold)
                predictions.append(path)
    return StudyFiles(
        folder / "images.h5", folder / "groups.csv", folder / "split.csv", predictions, models
    )


def subset(number: int, fold: int, folds: int) -> str:
    """Subset of an image: whole wells."""
    well = number // 6
    if folds == 1:
        return ("train", "test", "validation", "train", "train")[well % 5]
    return "test" if well % folds == fold else ("train", "validation")[well % 3 == 0]


def write_predictions(path: Path, rows: pd.DataFrame, logits: np.ndarray, fold: int) -> None:
    """Write a file as `predictions.predict` does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs["fold"] = fold
        file.attrs["temperature"] = 2.5
        file.attrs["classes"] = json.dumps(CLASSES)
        file["id"] = np.array([id.encode() for id in rows["id"]])
        file["subset"] = np.array([name.encode() for name in rows["subset"]])
        file["logits"] = logits.astype(np.float32)


def write_model(folder: Path, epochs: int) -> None:
    """`model.json` and `history.csv`."""
    folder.mkdir(parents=True)
    best = max(1, epochs - 1)
    info = {"classes": CLASSES, "best_epoch": best, "kept_epoch": best, "task": "classification"}
    (folder / "model.json").write_text(json.dumps(info))
    epoch = np.arange(1, epochs + 1)
    history = {"epoch": epoch, "loss": 1 / epoch, "accuracy": 1 - 0.5 / epoch}
    history |= {"validation_loss": 1.2 / epoch, "validation_accuracy": 1 - 0.6 / epoch}
    history |= {"learning_rate": 1e-3, "seconds": 1.0}
    pd.DataFrame(history).to_csv(folder / "history.csv", index=False)
