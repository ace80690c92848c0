"""Predictions of one model on the images of a split, kept in HDF5 files (shards).

Every file has `id` and `subset` (UTF-8, N) and the attributes `fold` and `classes` (JSON). Further:

- masks: `probability/<id>` (float16 HxW, probability of foreground; none of label images of
  another program), `label/<id>` (uint8 HxW, class of each pixel), of a model of instances
  `instance/<id>` (int32 HxW), and the attributes `threshold` and `resolution`;
- classes of images: `logits` (float32 NxK) and the attribute `temperature`, which divides them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pandas as pd

from coverslip.config.sections import Evaluation, Preprocessing
from coverslip.data.hdf5 import Hdf5File, write_array, write_hdf5
from coverslip.data.image_store import ImageStore
from coverslip.data.tables import select_images
from coverslip.errors import CoverslipError
from coverslip.models import preprocessing
from coverslip.models.heads import foreground
from coverslip.models.model import Model, load

UNLABELLED = "unlabelled"
"""Subset of the images without a class: they are predicted, and never scored."""


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
    """Predict one shard of the images of some subsets; a batch of images is in memory.

    A classification also predicts the images without a class. Equal predictions give equal bytes.

    Args:
        model: the model folder.
        images: the store.
        split: the table of the split.
        fold: which fold of it.
        subsets: which subsets of it: `train`, `validation`, `test`.
        evaluation: resolution, overlap, tta and tta_scales are used.
        shard: number of the shard, from 0; it has every `shards`-th of the sorted ids.
        shards: number of shards.
        output: the HDF5 file to write.
        policy: dtype policy to predict fast in, see `Model`.

    Raises:
        CoverslipError: the model, store or split cannot be read, or lacks something.
    """
    network = load(model, policy, runtime="keras")
    of_classes = network.head == "classification"
    wanted = [*subsets, UNLABELLED] if of_classes else subsets
    table = select_images(split, fold, wanted).iloc[shard::shards]
    with write_hdf5(output) as file, ImageStore(images) as store:
        _write_head(file, fold, [str(name) for name in network.info["classes"]], table)
        if of_classes:
            _write_logits(file, network, store, table, evaluation)
        else:
            _write_masks(file, network, store, table, evaluation)


def write_label_images(
    output: Path,
    fold: int,
    table: pd.DataFrame,
    labels: Iterable[np.ndarray],
    with_instances: bool,
) -> None:
    """Write label images of another program as predictions; one of them is in memory.

    Args:
        output: the HDF5 file to write.
        fold: fold of the split.
        table: rows of the split, indexed by id, with the column `subset`.
        labels: label image of each row, int HxW, 0 is background.
        with_instances: whether objects are scored, and not the foreground alone.
    """
    with write_hdf5(output) as file:
        _write_head(file, fold, ["background", "foreground"], table)
        file.attrs["threshold"] = 0.5
        file.attrs["resolution"] = "native"
        for id, label in zip(table.index, labels, strict=True):
            write_array(file, f"label/{id}", (label > 0).astype(np.uint8))
            if with_instances:
                write_array(file, f"instance/{id}", label.astype(np.int32, copy=False))


def _write_head(file: Hdf5File, fold: int, classes: list[str], table: pd.DataFrame) -> None:
    file.attrs["fold"] = fold
    file.attrs["classes"] = json.dumps(classes, ensure_ascii=False)
    for name, texts in (("id", table.index), ("subset", table["subset"])):
        encoded = np.array([str(text).encode() for text in texts], dtype="S")
        file.create_dataset(name, data=encoded if len(table) else np.empty(0, "S1"))


def _write_logits(
    file: Hdf5File, network: Model, store: ImageStore, table: pd.DataFrame, evaluation: Evaluation
) -> None:
    file.attrs["temperature"] = network.temperature
    logits = np.empty((len(table), len(network.info["classes"])), np.float32)
    for subset in table["subset"].unique():
        network.scale_as(subset)
        places = np.flatnonzero(table["subset"] == subset)
        images = (store.image(id) for id in table.index[places])
        for place, values in zip(places, network.logits(images, evaluation.tta), strict=True):
            logits[place] = values
    file.create_dataset("logits", data=logits)


def _write_masks(
    file: Hdf5File, network: Model, store: ImageStore, table: pd.DataFrame, evaluation: Evaluation
) -> None:
    file.attrs["threshold"] = network.threshold
    file.attrs["resolution"] = evaluation.resolution
    file.create_group("probability")
    file.create_group("label")
    if table.empty:
        return
    probabilities = network.predict(
        (store.image(id) for id in table.index),
        evaluation.resolution,
        evaluation.overlap,
        evaluation.tta,
        tta_scales=evaluation.tta_scales,
    )
    for id, probability in zip(table.index, probabilities, strict=True):
        write_array(file, f"probability/{id}", foreground(probability).astype(np.float16))
        write_array(file, f"label/{id}", network.mask(probability))
        if network.head == "instance":
            write_array(file, f"instance/{id}", network.objects(probability))


class ClassPredictions(NamedTuple):
    """Predicted classes of some images."""

    ids: np.ndarray
    """(N,) str, sorted."""
    subsets: np.ndarray
    """(N,) str."""
    logits: np.ndarray
    """(N, K) float32."""
    temperature: float
    """Divides the logits."""
    classes: list[str]
    """Labels of the K classes."""


class Predictions:
    """Context manager over the prediction files (shards) of one run, read only.

    Raises:
        CoverslipError: a file is missing or is not a prediction.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self.paths = sorted(Path(path) for path in paths)
        self._stack = ExitStack()
        self._files: list[h5py.File] = []
        self._file_of: dict[str, h5py.File] = {}
        self.has_instances = False
        """Whether objects were predicted one by one, and not the foreground alone."""

    def __enter__(self) -> Predictions:
        with self._stack as stack:
            for path in self.paths:
                try:
                    file = stack.enter_context(h5py.File(path, "r"))
                    ids = np.char.decode(file["id"][...], "utf-8")
                except (OSError, KeyError, TypeError, UnicodeError) as error:
                    raise CoverslipError(
                        f"{path}: not a readable prediction ({error}): remove it and run again"
                    ) from error
                # A shard of a small study may have no image at all.
                self._files.append(file)
                self._file_of |= {str(id): file for id in ids}
                self.has_instances |= len(file.get("instance", ())) > 0
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ids(self) -> list[str]:
        """Return the ids of all predicted images, sorted."""
        return sorted(self._file_of)

    def label(self, id: str) -> np.ndarray:
        """Return a predicted class map, uint8 HxW, 0 is background."""
        return self._array("label", id, "prediction")

    def mask(self, id: str, shape: tuple[int, int]) -> np.ndarray:
        """Return the predicted foreground, bool HxW: every class but 0.

        Raises:
            CoverslipError: there is none, or it has another size than the truth.
        """
        label = self.label(id)
        self._check_size(id, label.shape, shape)
        return label > 0

    def instances(self, id: str, shape: tuple[int, int]) -> np.ndarray:
        """Return the predicted objects, int32 HxW: 0 is background, each object has its number.

        Raises:
            CoverslipError: there are none, or they have another size than the truth.
        """
        label = self._array("instance", id, "instances")
        self._check_size(id, label.shape, shape)
        return label

    def classes(self) -> ClassPredictions:
        """Return the predicted classes of all images.

        Raises:
            CoverslipError: a file is not a prediction of classes, or shards are of several models.
        """
        parts, facts = [], None
        for file in self._files:
            try:
                model = (float(file.attrs["temperature"]), json.loads(file.attrs["classes"]))
                texts = [np.char.decode(file[name][...], "utf-8") for name in ("id", "subset")]
                parts.append((*texts, file["logits"][...]))
            except (OSError, KeyError, ValueError, UnicodeError) as error:
                raise CoverslipError(
                    f"{file.filename}: not a readable prediction of classes ({error}): remove it "
                    "and run again"
                ) from error
            if facts is not None and model != facts:
                raise CoverslipError(
                    f"{file.filename}: of another model than the others: remove it and run again"
                )
            facts = model
        if facts is None:
            raise CoverslipError("no file of predictions was given")
        ids, subsets, logits = (np.concatenate(column) for column in zip(*parts, strict=True))
        order = np.argsort(ids, kind="stable")
        return ClassPredictions(ids[order], subsets[order], logits[order], *facts)

    def _array(self, kind: str, id: str, words: str) -> np.ndarray:
        if id not in self._file_of or f"{kind}/{id}" not in self._file_of[id]:
            raise CoverslipError(
                f"{self.paths[0].parent}: contains no {words} of '{id}': remove it and run again"
            )
        return self._file_of[id][f"{kind}/{id}"][...]

    def _check_size(self, id: str, size: tuple[int, ...], shape: tuple[int, int]) -> None:
        if size != shape:
            raise CoverslipError(
                f"{self._file_of[id].filename}: the prediction of '{id}' has {size} pixels, "
                f"its truth {shape}: remove the file and run again"
            )


def read_class_predictions(paths: Iterable[Path]) -> ClassPredictions:
    """Return the predicted classes in all shards of one run; errors as of `Predictions`."""
    with Predictions(paths) as predictions:
        return predictions.classes()


# --- Truth and image at the resolution at which predictions are scored


def scored_size(preprocessing: Preprocessing, evaluation: Evaluation) -> tuple[int, int] | None:
    """Return height and width at which predictions are scored; None: each image's own size."""
    return preprocessing.resize if evaluation.resolution == "network" else None


def truth_mask(label: np.ndarray, size: tuple[int, int] | None, method: str) -> np.ndarray:
    """Return the true foreground, bool HxW, of a label image (int HxW), resized as in training."""
    mask = (label > 0).astype(np.uint8)
    return (mask if size is None else preprocessing.resize_mask(mask, size, method)) > 0


def resize_to_scored(image: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """Return the image, HxWxC in its own dtype, at the scored size."""
    if size is None:
        return image
    resized = preprocessing.resize_image(image, size)
    return resized if resized.ndim == 3 else resized[:, :, np.newaxis]
