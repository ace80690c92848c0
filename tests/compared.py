"""A folder of results of three tools on the same test images: two of other programs, a baseline."""

import json
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from scipy import ndimage

from coverslip.config import validate
from coverslip.config.sections import BaselineModel, Evaluation, LabelFolder, Preprocessing
from coverslip.data.image_store import ImageStoreWriter
from coverslip.data.tables import COLUMNS
from coverslip.evaluation.evaluate import evaluate
from coverslip.evaluation.import_labels import import_labels
from coverslip.evaluation.per_image import MASKS, EvaluationInputs

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = ROOT / "workflow/schemas/config.schema.json"
IMAGES, SHAPE = 14, (72, 88)
TOOL = {
    "tool": "Program",
    "version": "2.1",
    "model": "nuclei",
    "licence": "BSD-3-Clause",
    "training_data": "many images",
    "training_data_licence": "CC-BY-4.0",
    "trained_on_split": False,
    "images": IMAGES,
    "megapixels": 0.5,
    "seconds": 12.5,
    "peak_memory_mb": 1500,
    "device": "CPU",
    "machine": {"processor": "Xeon", "cores": 2},
}


def config(names=("good", "weak", "otsu")) -> dict:
    """The config of the studies, with all defaults."""
    models = {
        "good": {"kind": "labels", "path": "good"},
        "weak": {"kind": "labels", "path": "weak"},
        "otsu": {"kind": "baseline", "method": "otsu"},
    }
    source = {"kind": "path", "path": "data"}
    studies = {
        name: {"title": f"Tool {name}", "dataset": "cells", "model": models[name]} for name in names
    }
    dataset = {"title": "Cells", "source": source, "format": "paired"}
    return validate.resolve({"datasets": {"cells": dataset}, "studies": studies}, SCHEMA)


def results(folder: Path, groups: int = 7, only: dict[str, list[int]] | None = None) -> dict:
    """Write `folder` as a run leaves `results/`, and return the config.

    Args:
        folder: to write to.
        groups: number of groups of the images.
        only: numbers of the test images of a study that has other ones.
    """
    rng = np.random.default_rng(8)
    ids = [f"image{number:02d}" for number in range(IMAGES)]
    home = folder / "datasets/cells"
    (home / "check").mkdir(parents=True)
    labels = {}
    with ImageStoreWriter(home / "images.h5") as store:
        for number, id in enumerate(ids):
            labels[id] = cells(rng, 3 + number % 4)
            light = np.linspace(20, 120, SHAPE[1]) + rng.normal(0, 6, SHAPE)
            store.image(id, np.clip(light + 40 * (labels[id] > 0), 0, 255).astype(np.uint8))
            store.label(id, labels[id])
    facts = pd.DataFrame({"id": ids, "stratum": ""})
    facts["group"] = [f"plate{number % groups}" for number in range(IMAGES)]
    facts["modality"] = np.where(np.arange(IMAGES) % 2, "fluorescence", "brightfield")
    facts.to_csv(home / "check/groups.csv", index=False)
    manifest = pd.DataFrame(dict.fromkeys(COLUMNS, 0) | {"id": ids})
    manifest = manifest.assign(member=manifest["id"] + ".png", height=SHAPE[0], width=SHAPE[1])
    manifest.to_csv(home / "manifest.csv", index=False)
    completed = config()
    for name, study in completed["studies"].items():
        made = folder / "labels" / name
        made.mkdir(parents=True)
        if name != "otsu":
            for id in ids:
                cv2.imwrite(str(made / f"{id}.png"), CHANGES[name](labels[id]).astype(np.uint16))
        if name == "good":
            (made / "tool.json").write_text(json.dumps(TOOL))
        tested = (only or {}).get(name, range(IMAGES))
        _score(folder, name, study, made, facts, [ids[number] for number in tested])
    return completed


CHANGES = {
    "good": lambda label: np.where(ndimage.grey_erosion(label, 3) == label, label, 0),
    "weak": lambda label: np.where(label % 3 == 1, 0, label),
}
"""What a tool makes of the annotations."""


def cells(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return a label image of discs, some of which touch."""
    label = np.zeros(SHAPE, np.int32)
    for number in range(1, count + 1):
        centre = tuple(int(rng.integers(10, length - 10)) for length in SHAPE[::-1])
        cv2.circle(label, centre, int(rng.integers(6, 10)), number, -1)
    return label


def _score(
    folder: Path, name: str, study: dict, made: Path, facts: pd.DataFrame, tested: list[str]
) -> None:
    home, data = folder / "studies" / name, folder / "datasets/cells"
    run = home / "fold0_seed1"
    for part in ("model", "predictions"):
        (run / part).mkdir(parents=True)
    subset = np.where(facts["id"].isin(tested), "test", "train")
    table = facts.drop(columns="modality").assign(fold=0, subset=subset)
    table.to_csv(home / "split.csv", index=False)
    section = study["model"]
    model = BaselineModel(**section) if name == "otsu" else LabelFolder(**section)
    import_labels(
        model,
        None if name == "otsu" else made,
        data / "images.h5",
        data / "manifest.csv",
        home / "split.csv",
        0,
        16,
        run / "predictions/0.h5",
        run / "model/model.json",
        {"study": name},
    )
    record = {"rule": "import_labels", "seconds": 2.0, "peak_memory_mb": 210}
    (run / "model/run.json").write_text(json.dumps(record))
    inputs = EvaluationInputs(
        predictions=[run / "predictions/0.h5"],
        models=[run / "model"],
        images=data / "images.h5",
        groups=data / "check/groups.csv",
        split=home / "split.csv",
        preprocessing=Preprocessing(),
        evaluation=Evaluation(),
    )
    evaluate(MASKS, inputs, name, False, home / "metrics.json", home / "images.csv")
