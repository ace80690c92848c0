"""Predicted classes of the images of a split, kept in an HDF5 file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from coverslip.config.sections import Evaluation
from coverslip.data.image_store import ImageStore
from coverslip.errors import CoverslipError
from coverslip.evaluation.predictions import selected_images
from coverslip.files import atomic_write
from coverslip.models.model import load

UNLABELLED = "unlabelled"
"""Subset of the images without a class: they are predicted, and never scored."""


class ClassPredictions(NamedTuple):
    """What one model says of some images."""

    ids: np.ndarray
    """(N,) str, sorted."""
    subsets: np.ndarray
    """(N,) str."""
    logits: np.ndarray
    """(N, K) float32."""
    temperature: float
    """What the logits are divided by."""
    classes: list[str]
    """Labels of the K classes."""


def predict(
    model: Path,
    images: Path,
    split: Path,
    fold: int,
    subsets: Iterable[str],
    evaluation: Evaluation,
    shard: int,
    shards: int,
    output: Path,
    policy: str | None = None,
) -> None:
    """Predict one shard of the images of some subsets, and of those without a class.

    The file holds `id` and `subset` (UTF-8), `logits` (float32 NxK), and as attributes `fold`,
    `temperature` and `classes` (JSON). Equal predictions give equal bytes.

    Args:
        model: the model folder.
        images: the store.
        split: the table of the split.
        fold: which fold of it.
        subsets: which subsets of it: `train`, `validation`, `test`.
        evaluation: `tta` is taken from it.
        shard: number of the shard, from 0; it holds every `shards`-th of the sorted ids.
        shards: number of shards.
        output: the HDF5 file to write.
        policy: dtype policy to predict fast in, see `Model`.

    Raises:
        CoverslipError: the model, store or split cannot be read, or lacks something.
    """
    table = selected_images(split, fold, [*subsets, UNLABELLED]).iloc[shard::shards]
    network = load(model, policy)
    classes = [str(name) for name in network.info["classes"]]
    logits = np.empty((len(table), len(classes)), np.float32)
    with ImageStore(images) as store:
        for subset in table["subset"].unique():
            network.scale_as(subset)
            places = np.flatnonzero(table["subset"] == subset)
            inputs = (store.image(id) for id in table.index[places])
            for place, found in zip(places, network.logits(inputs, evaluation.tta), strict=True):
                logits[place] = found
    with atomic_write(output) as part, h5py.File(part, "w") as file:
        file.attrs["fold"] = fold
        file.attrs["temperature"] = network.temperature
        file.attrs["classes"] = json.dumps(classes, ensure_ascii=False)
        for name, texts in (("id", table.index), ("subset", table["subset"])):
            encoded = np.array([str(text).encode() for text in texts], dtype="S")
            file.create_dataset(name, data=encoded if len(table) else np.empty(0, "S1"))
        file.create_dataset("logits", data=logits)


def read_class_predictions(paths: Iterable[Path]) -> ClassPredictions:
    """Read all shards of one run.

    Raises:
        CoverslipError: a file is missing, is not a prediction of classes, or tells of others.
    """
    parts, facts = [], None
    for path in sorted(map(Path, paths)):
        try:
            with h5py.File(path, "r") as file:
                known = (float(file.attrs["temperature"]), json.loads(file.attrs["classes"]))
                texts = [np.char.decode(file[name][...], "utf-8") for name in ("id", "subset")]
                parts.append((*texts, file["logits"][...]))
        except (OSError, KeyError, ValueError, UnicodeError) as error:
            raise CoverslipError(
                f"{path}: not a readable prediction of classes ({error}): remove it and run again"
            ) from error
        if facts is not None and known != facts:
            raise CoverslipError(f"{path}: of another model than the others: remove it, run again")
        facts = known
    if facts is None:
        raise CoverslipError("no file of predictions was given")
    ids, subsets, logits = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(ids, kind="stable")
    return ClassPredictions(ids[order], subsets[order], logits[order], *facts)
