"""Batches of patches for training and validation, the same ones whenever they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from coverslip.configuration.config import Augmentation, Preprocessing
from coverslip.errors import CoverslipError
from coverslip.learning.augment import augment
from coverslip.learning.patches import Patches
from coverslip.learning.targets import encode
from coverslip.models.preprocess import batch

# First numbers of the seeds, so that order and augmentation draw from streams of their own.
ORDER, AUGMENT = 1, 2


@dataclass(frozen=True)
class Data:
    """The patches of one fold."""

    patches: Patches
    """All patches of the study."""
    training: np.ndarray
    """Rows of the training patches, int64."""
    validation: np.ndarray
    """Rows of the validation patches, int64."""


def select(patches: Patches, split: Path, fold: int, minimum_foreground: float) -> Data:
    """Rows of one fold by the table `split` (columns id, fold, subset).

    Training patches with a smaller share of foreground than `minimum_foreground` are left out;
    validation keeps all. Raises CoverslipError if either subset has no patch.
    """
    table = pd.read_csv(split, dtype={"id": str}, keep_default_na=False)
    table = table[table["fold"] == fold]
    ids = {name: table.loc[table["subset"] == name, "id"] for name in ("train", "validation")}
    for name, found in ids.items():
        if found.empty:
            raise CoverslipError(
                f"fold {fold} of {split} has no {name} pictures: change the shares in split"
            )
    training = patches.rows(ids["train"], minimum_foreground)
    validation = patches.rows(ids["validation"])
    if not len(training):
        raise CoverslipError(
            f"no training patch of fold {fold} of {split} has the foreground that "
            f"preprocessing.minimum_foreground asks for ({minimum_foreground}): lower it"
        )
    if not len(validation):
        raise CoverslipError(
            f"there are no patches of the validation pictures of fold {fold} of {split}: remove "
            "the patches of the study and run again"
        )
    return Data(patches, training, validation)


class Batches(keras.utils.PyDataset):
    """Batches of images, float32 (N, height, width, channels), and targets (`targets.encode`).

    In the order of `rows`, or, with an `epoch`, in an order and with an augmentation that depend
    on nothing but (seed, epoch, place in the epoch); the last batch may be smaller.
    """

    def __init__(
        self,
        patches: Patches,
        rows: np.ndarray,
        preprocessing: Preprocessing,
        fitted: dict,
        batch_size: int,
        workers: int = 1,
        head: str = "mask",
    ):
        super().__init__(workers=workers, use_multiprocessing=False, max_queue_size=2 * workers)
        self.patches = patches
        self.rows = rows
        self.preprocessing = preprocessing
        self.fitted = fitted
        self.batch_size = batch_size
        self.head = head
        self.order = np.arange(len(rows))
        self.augmentation: Augmentation | None = None
        self.seed: tuple[int, int] = (0, 0)

    def shuffled(
        self, seed: int, epoch: int, augmentation: Augmentation, count: int | None = None
    ) -> Batches:
        """The batches of one epoch of training: all patches once, or `count` drawn ones.

        Drawn patches come from all pictures alike, however many patches a picture has.
        """
        epoch_batches = Batches(
            self.patches,
            self.rows,
            self.preprocessing,
            self.fitted,
            self.batch_size,
            self.workers,
            self.head,
        )
        rng = np.random.default_rng((ORDER, seed, epoch))
        if count is None:
            epoch_batches.order = rng.permutation(len(self.rows))
        else:
            ids = self.patches.index["id"].to_numpy()[self.rows]
            epoch_batches.order = draw(ids, count, rng)
        epoch_batches.augmentation = augmentation
        epoch_batches.seed = (seed, epoch)
        return epoch_batches

    def __len__(self) -> int:
        return -(-len(self.order) // self.batch_size)

    def places(self, index: int) -> np.ndarray:
        """Places in `rows` of the patches of a batch."""
        return self.order[index * self.batch_size : (index + 1) * self.batch_size]

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        places = self.places(index)
        images = self.patches.images(self.rows[places])
        labels = self.patches.labels(self.rows[places])
        # The class of a picture stays what it is, however the picture is turned.
        maps = labels if self.head != "class" else np.zeros(images.shape[:3], np.uint8)
        if self.augmentation is not None:
            for i in range(len(places)):
                rng = np.random.default_rng((AUGMENT, *self.seed, index * self.batch_size + i))
                images[i], maps[i] = augment(images[i], maps[i], self.augmentation, rng)
        return batch(images, self.preprocessing, self.fitted), encode(labels, self.head)


def draw(ids: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw `count` places of `ids`, int64: pictures in turn, a random patch of each.

    Every picture comes up equally often, give or take one; which patches it gives is left to
    chance, so that a large picture does not outweigh many small ones.
    """
    order = np.argsort(ids, kind="stable")
    _, starts, sizes = np.unique(ids[order], return_index=True, return_counts=True)
    rounds = -(-count // len(starts))
    turns = np.concatenate([rng.permutation(len(starts)) for _ in range(rounds)])[:count]
    return order[starts[turns] + rng.integers(0, sizes[turns])]


def class_weights(patches: Patches, rows: np.ndarray, classes: int, head: str) -> list[float]:
    """Weights inverse to the share of each class among the pixels (or pictures) of these rows.

    n / (k n_c), with k the number of classes that occur, so that the mean weight of a pixel is 1;
    0 for a class that does not occur.
    """
    counts = np.zeros(classes, dtype=np.int64)
    for start in range(0, len(rows), 256):
        targets = encode(patches.labels(rows[start : start + 256]), head)
        true = targets[..., 0] if head == "instances" else targets
        counts += np.bincount(true.ravel(), minlength=classes)
    present = int((counts > 0).sum())
    return [float(counts.sum() / (present * n)) if n else 0.0 for n in counts]
