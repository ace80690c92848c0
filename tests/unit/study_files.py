"""A made-up study on disk: store, tables, predictions and model folders, without TensorFlow."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from coverslip.config.sections import Evaluation, Preprocessing
from coverslip.data.image_store import ImageStoreWriter
from coverslip.evaluation.evaluate import evaluate
from coverslip.evaluation.per_image import CLASSES, MASKS, EvaluationInputs
from coverslip.evaluation.predictions import truth_mask
from coverslip.reporting import figures


@dataclass(frozen=True)
class StudyFiles:
    """Paths of the files of a made-up study."""

    images: Path
    groups: Path
    split: Path
    predictions: list[Path]
    models: list[Path]

    def inputs(self, **changes) -> EvaluationInputs:
        """Return what the scores of the study depend on."""
        settings = {
            "preprocessing": Preprocessing(channels="rgb", normalization="dtype_range"),
            "evaluation": Evaluation(),
        }
        return EvaluationInputs(**vars(self) | settings | changes)


def score(
    files: StudyFiles, folder: Path, classes: bool = False, reproduction: bool = False, **changes
) -> tuple[dict, pd.DataFrame]:
    """Write `metrics.json` and `images.csv` of a study and return their contents."""
    output, table = folder / "metrics.json", folder / "images.csv"
    task = CLASSES if classes else MASKS
    evaluate(task, files.inputs(**changes), "study", reproduction, output, table)
    return json.loads(output.read_text()), pd.read_csv(table, dtype={"id": str})


def discs(rng: np.random.Generator, shape: tuple[int, int], number: int) -> np.ndarray:
    """Label map (int32) of discs that do not touch."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    label = np.zeros(shape, dtype=np.int32)
    taken = np.zeros(shape, dtype=bool)
    placed = 0
    for _ in range(200 * number):
        if placed == number:
            break
        radius = rng.uniform(0.04, 0.09) * min(shape)
        y, x = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        distance = np.hypot(rows - y, columns - x)
        if not taken[distance <= radius + 2].any():
            placed += 1
            label[distance <= radius] = placed
            taken |= distance <= radius
    return label


def paint(rng: np.random.Generator, label: np.ndarray, channels: int, invert: bool) -> np.ndarray:
    """Image (uint8) of a label map: noise, uneven light, dark or bright background."""
    rows, columns = np.mgrid[: label.shape[0], : label.shape[1]]
    light = 20 + 30 * (rows / label.shape[0] + columns / label.shape[1])
    pixels = light + 90 * (label > 0) + rng.normal(0, 12, label.shape)
    pixels = np.clip(235 - pixels if invert else pixels, 0, 255).astype(np.uint8)
    return np.repeat(pixels[:, :, np.newaxis], channels, axis=2)


def shifted(mask: np.ndarray, by: int) -> np.ndarray:
    """The mask moved by some pixels: a prediction that is not quite right."""
    moved = np.zeros_like(mask)
    moved[by:, by:] = mask[: mask.shape[0] - by, : mask.shape[1] - by]
    return moved


def make(
    folder: Path,
    images: int = 12,
    folds: int = 1,
    seeds: tuple[int, ...] = (1,),
    groups: int = 4,
    shapes: tuple[tuple[int, int], ...] = ((48, 48), (40, 64)),
    epochs: int = 6,
    shards: int = 1,
    size: tuple[int, int] | None = None,
    network: str = "unet",
    instances: bool = False,
) -> StudyFiles:
    """Write a study; the first image has no nucleus. Predictions are the truth, shifted."""
    rng = np.random.default_rng(5)
    ids = [f"image_{number:03d}" for number in range(images)]
    labels = {}
    with ImageStoreWriter(folder / "images.h5") as store:
        for number, id in enumerate(ids):
            shape = shapes[number % len(shapes)]
            labels[id] = discs(rng, shape, number % 7)
            channels = 3 if number % 3 == 2 else 1
            store.image(id, paint(rng, labels[id], channels, number % 3 == 2))
            store.label(id, labels[id])
    group = [f"group{number * groups // images}" for number in range(images)]
    modality = ["histology" if number % 3 == 2 else "fluorescence" for number in range(images)]
    facts = pd.DataFrame({"id": ids, "group": group, "modality": modality, "stratum": ""})
    facts.to_csv(folder / "groups.csv", index=False)
    parts = []
    for fold in range(folds):
        subset = [_subset(number, fold, folds) for number in range(images)]
        parts.append(facts[["id", "group", "stratum"]].assign(fold=fold, subset=subset))
    split = pd.concat(parts)
    split.to_csv(folder / "split.csv", index=False)
    models, predictions = [], []
    for fold in range(folds):
        for seed in seeds:
            run = folder / f"fold{fold}_seed{seed}"
            write_model(run / "model", epochs, seed + 10 * fold, network)
            models.append(run / "model")
            chosen = split[(split["fold"] == fold) & (split["subset"] != "train")]
            for shard in range(shards):
                path = run / "predictions" / f"{shard}.h5"
                path.parent.mkdir(parents=True, exist_ok=True)
                masks = {id: truth_mask(labels[id], size, "area") for id in chosen["id"]}
                objects = labels if instances else {}
                write_prediction(path, masks, sorted(masks)[shard::shards], seed, objects)
                predictions.append(path)
    return StudyFiles(
        folder / "images.h5", folder / "groups.csv", folder / "split.csv", predictions, models
    )


def _subset(number: int, fold: int, folds: int) -> str:
    if folds == 1:
        return ("test", "train", "validation")[number % 3]
    if number % folds == fold:
        return "test"
    return "validation" if number % folds == (fold + 1) % folds else "train"


def write_prediction(
    path: Path,
    masks: dict[str, np.ndarray],
    ids: list[str],
    seed: int,
    labels: dict[str, np.ndarray],
) -> None:
    """Write the predictions of some images: their truth, shifted by 0 to 2 + seed pixels.

    The objects of `labels`, if there are any, are shifted as far.
    """
    with h5py.File(path, "w") as file:
        file["id"] = np.array([id.encode() for id in ids], dtype="S")
        file.create_group("label")
        for at, id in enumerate(ids):
            mask = shifted(masks[id], at % (2 + seed))
            file.create_dataset(f"label/{id}", data=mask.astype(np.uint8))
            if id in labels:
                objects = shifted(labels[id], at % (2 + seed))
                file.create_dataset(f"instance/{id}", data=objects)


def write_model(folder: Path, epochs: int, seed: int, network: str = "unet") -> None:
    """Write history.csv, model.json and a model.keras as Keras lays it out."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    at = np.arange(1, epochs + 1)
    loss = 0.1 + 0.6 * np.exp(-at / 5) + rng.normal(0, 0.005, epochs)
    validation = 0.12 + 0.6 * np.exp(-at / 5) + 0.0004 * at**1.8 + rng.normal(0, 0.015, epochs)
    history = pd.DataFrame(
        {
            "epoch": at,
            "loss": loss,
            "accuracy": 1 - loss / 3,
            "iou": 1 - loss,
            "validation_loss": validation,
            "validation_accuracy": 1 - validation / 3,
            "validation_iou": 1 - validation,
            "learning_rate": 1e-3,
            "seconds": 2.0,
        }
    )
    history.to_csv(folder / "history.csv", index=False)
    best = int(np.argmin(validation)) + 1
    info = {"classes": ["background", "foreground"], "best_epoch": best, "kept_epoch": best}
    (folder / "model.json").write_text(json.dumps(info))
    config, weights = NETWORKS[network]()
    with zipfile.ZipFile(folder / "model.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights)


def _tensor(name: str) -> dict:
    shape = [None, None, None, 1]
    return {
        "class_name": "__keras_tensor__",
        "config": {"shape": shape, "keras_history": [name, 0, 0]},
    }


def _layer(kind: str, name: str, inputs: list[str], **config: object) -> dict:
    tensors = [_tensor(each) for each in inputs]
    nodes = (
        [{"args": [tensors if len(tensors) > 1 else tensors[0]], "kwargs": {}}] if inputs else []
    )
    return {"class_name": kind, "name": name, "config": config, "inbound_nodes": nodes}


def small_unet() -> tuple[dict, bytes]:
    """Config and weights of a U-Net with one pooling: 3x3 convolutions of 8, 16 and 8 filters."""
    shapes = {
        "first": [(3, 3, 1, 8), (8,)],
        "low": [(3, 3, 8, 16), (16,)],
        "last": [(3, 3, 24, 8), (8,)],
        "logits": [(1, 1, 8, 1), (1,)],
    }
    convolution = {"kernel_size": [3, 3], "strides": [1, 1], "activation": "relu"}
    layers = [
        _layer("InputLayer", "input", [], batch_shape=[None, None, None, 1]),
        _layer("Conv2D", "first", ["input"], filters=8, **convolution),
        _layer("MaxPooling2D", "pool", ["first"], strides=[2, 2], pool_size=[2, 2]),
        _layer("Conv2D", "low", ["pool"], filters=16, **convolution),
        _layer("UpSampling2D", "up", ["low"], size=[2, 2]),
        _layer("Concatenate", "join", ["first", "up"]),
        _layer("Conv2D", "last", ["join"], filters=8, **convolution),
        _layer("Conv2D", "logits", ["last"], filters=1, **(convolution | {"kernel_size": [1, 1]})),
    ]
    model = {"layers": layers, "input_layers": ["input", 0, 0], "output_layers": ["logits", 0, 0]}
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, arrays in shapes.items():
            group = file.create_group(f"layers/{name}/vars")
            group.attrs["name"] = name
            for at, shape in enumerate(arrays):
                group.create_dataset(str(at), data=np.zeros(shape, np.float32))
        # The state of a random generator is no parameter.
        file.create_dataset("layers/up/seed_generator/vars/0", data=np.zeros(2, np.uint32))
    return {"class_name": "Functional", "config": model}, buffer.getvalue()


NETWORKS = {"unet": small_unet}


def inputs_of(files, folder, title="A study of nuclei", reproduction=False):
    score(files, folder, reproduction=reproduction)
    return figures.load(
        study="study",
        title=title,
        reproduction=reproduction,
        metrics=folder / "metrics.json",
        table=folder / "images.csv",
        images=files.images,
        predictions=files.predictions,
        models=files.models,
        histories=[model / "history.csv" for model in files.models],
        preprocessing=Preprocessing(channels="rgb", normalization="dtype_range"),
        evaluation=Evaluation(),
    )
