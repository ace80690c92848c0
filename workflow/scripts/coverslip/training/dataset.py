"""Training data of one fold: batches of patches, normalized, reproducible in any order."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from coverslip.config.sections import Augmentation, Network, Preprocessing, Training
from coverslip.data import splits
from coverslip.data.tables import read_split
from coverslip.errors import CoverslipError
from coverslip.imaging.augment import augment
from coverslip.models.heads import encode
from coverslip.models.preprocessing import batch, fit
from coverslip.runtime import device as devices
from coverslip.training.accumulation import split_batch
from coverslip.training.patches import Patches

# --- Batches of patches for training and validation, reproducible in any order

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
    test: np.ndarray
    """Rows of the test patches, int64."""
    groups: np.ndarray
    """Group of each training patch in the split, str."""


def select(patches: Patches, split: Path, fold: int, min_foreground_fraction: float) -> Data:
    """Return the rows of one fold by the table `split`.

    Training patches with a smaller share of foreground than `min_foreground_fraction` are left out;
    validation keeps all. A split without validation images validates on its test images. Raises
    CoverslipError if either subset has no patch.
    """
    table = read_split(split)
    table = table[table["fold"] == fold]
    parts = {name: table[table["subset"] == name] for name in splits.SUBSETS}
    if parts["validation"].empty:
        parts["validation"] = parts["test"]
    for name, found in parts.items():
        if found.empty and name != "test":
            raise CoverslipError(
                f"fold {fold} of {split} has no {name} images: change the shares in split"
            )
    training = patches.rows_of(parts["train"], min_foreground_fraction)
    validation = patches.rows_of(parts["validation"])
    if not len(training):
        raise CoverslipError(
            f"no training patch of fold {fold} of {split} has the foreground that "
            f"preprocessing.min_foreground_fraction asks for ({min_foreground_fraction}): lower it"
        )
    if not len(validation):
        raise CoverslipError(
            f"there are no patches of the validation images of fold {fold} of {split}: remove "
            "the patches of the study and run again"
        )
    group = table.drop_duplicates("id").set_index("id")["group"]
    groups = group.loc[patches.index["id"].to_numpy()[training]].to_numpy(str)
    return Data(patches, training, validation, patches.rows_of(parts["test"]), groups)


class Batches(keras.utils.PyDataset):
    """Batches of images, float32 (N, height, width, channels), and targets (`heads.encode`).

    In the order of `rows`, or, with an `epoch`, in an order and with an augmentation that depend
    on nothing but (seed, epoch, place in the epoch); the last batch may be smaller. Where batches
    are cut into parts, weights of the patches come third, float32 (N,), see `cut`.

    Labels are those of `label_rows`, which are `rows` unless others are given. With
    `augmentation.frozen_copies`, `rows` has the rows as often again after them.
    """

    def __init__(
        self,
        patches: Patches,
        rows: np.ndarray,
        preprocessing: Preprocessing,
        fitted: dict,
        batch_size: int,
        workers: int = 1,
        head: str = "semantic",
        label_rows: np.ndarray | None = None,
        units: np.ndarray | None = None,
    ):
        super().__init__(workers=workers, use_multiprocessing=False, max_queue_size=2 * workers)
        self.patches = patches
        self.rows = rows
        self.label_rows = rows if label_rows is None else label_rows
        self.preprocessing = preprocessing
        self.fitted = fitted
        self.batch_size = batch_size
        self.head = head
        self.units = patches.index["id"].to_numpy()[rows] if units is None else units
        self.order = np.arange(len(rows))
        self.bounds = self._bounds()
        self.augmentation: Augmentation | None = None
        self.seed: tuple[int, int] = (0, 0)
        self.parts = 1

    def _like(self, batch_size: int) -> Batches:
        made = Batches(
            self.patches,
            self.rows,
            self.preprocessing,
            self.fitted,
            batch_size,
            self.workers,
            self.head,
            self.label_rows,
            self.units,
        )
        made.order, made.augmentation, made.seed = self.order, self.augmentation, self.seed
        made.bounds = self.bounds if batch_size == self.batch_size else made._bounds()
        return made

    def _bounds(self) -> np.ndarray:
        """Places in the order where batches begin, and its end."""
        return np.append(np.arange(0, len(self.order), self.batch_size), len(self.order))

    def smaller(self, batch_size: int) -> Batches:
        """Return the same patches in the same order, not augmented, in smaller batches."""
        made = self._like(batch_size)
        made.augmentation = None
        return made

    def cut(self, at_once: int) -> Batches:
        """Return the same batches in parts of at most `at_once` patches, as many for each batch.

        A patch's weight makes the mean over the parts of a batch the mean over its patches: parts
        are as large as one another, give or take one. The last, smaller batch of an epoch may have
        parts without a patch of their own; they have one of weight 0. (The mean loss of an epoch
        in the history weights that batch slightly differently than without parts.)
        """
        made = self._like(self.batch_size)
        made.parts = split_batch(self.batch_size, at_once)
        return made

    def shuffled(
        self,
        seed: int,
        epoch: int,
        augmentation: Augmentation,
        count: int | None = None,
        steps: int | None = None,
        shuffle: str = "each_epoch",
    ) -> Batches:
        """Return the batches of one epoch of training: all patches once, or `count` random ones.

        Random patches come from all `units` (images or groups) equally often, however many patches
        one has. With `steps` the epoch has so many batches of the passes that follow those of the
        epochs before it; with `shuffle: once` all passes have the same random order.
        """
        epoch_batches = self._like(self.batch_size)

        def order(number: int) -> np.ndarray:
            key = (ORDER, seed, number if shuffle == "each_epoch" else 0)
            return np.random.default_rng(key).permutation(len(self.rows))

        if steps is not None:
            epoch_batches._stream(epoch * steps, steps, order)
        else:
            if count is None:
                epoch_batches.order = order(epoch)
            else:
                rng = np.random.default_rng((ORDER, seed, epoch))
                epoch_batches.order = draw(self.units, count, rng)
            epoch_batches.bounds = epoch_batches._bounds()
        epoch_batches.augmentation = augmentation
        epoch_batches.seed = (seed, epoch)
        return epoch_batches

    def repeated(self, steps: int) -> Batches:
        """Return so many batches, from the first patch on and round again after the last."""
        made = self._like(self.batch_size)
        made._stream(0, steps, lambda number: self.order)
        return made

    def _stream(self, first: int, steps: int, order: Callable[[int], np.ndarray]) -> None:
        """Take `steps` batches of an endless stream of passes, from batch number `first` on."""
        found: list[np.ndarray] = []
        cuts = range(self.batch_size, len(self.order), self.batch_size)
        a_pass = len(cuts) + 1
        for number in range(first // a_pass, -(-(first + steps) // a_pass)):
            whole = np.split(order(number), cuts)
            start = number * a_pass
            found += whole[max(0, first - start) : first + steps - start]
        self.order = np.concatenate(found)
        self.bounds = np.cumsum([0, *map(len, found)])

    def __len__(self) -> int:
        return (len(self.bounds) - 1) * self.parts

    def places(self, index: int) -> np.ndarray:
        """Return the places in `rows` of the patches of a batch."""
        first, stop, _ = self._span(index)
        return self.order[first:stop]

    def _span(self, index: int) -> tuple[int, int, float]:
        """Return first and last place (excluded) of a batch or part, and its weight."""
        whole, part = divmod(index, self.parts)
        first = int(self.bounds[whole])
        count = int(self.bounds[whole + 1]) - first
        start, stop = (first + at * count // self.parts for at in (part, part + 1))
        if start == stop:
            return first, first + 1, 0.0
        return start, stop, self.parts * (stop - start) / count

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        first, stop, weight = self._span(index)
        places = self.order[first:stop]
        images = self.patches.images(self.rows[places])
        labels = self.patches.labels(self.label_rows[places])
        # Augmentation does not change the class of an image.
        maps = labels if self.head != "classification" else np.zeros(images.shape[:3], np.uint8)
        if self.augmentation is not None:
            copies = self.augmentation.frozen_copies
            unchanged = len(self.rows) // (1 + copies) if copies else 0
            for i, place in enumerate(places):
                if place < unchanged:
                    continue
                key = (self.seed[0], int(place)) if copies else (*self.seed, first + i)
                rng = np.random.default_rng((AUGMENT, *key))
                images[i], maps[i] = augment(images[i], maps[i], self.augmentation, rng)
        data = batch(images, self.preprocessing, self.fitted), encode(labels, self.head)
        return data if self.parts == 1 else (*data, np.full(len(places), weight, np.float32))


def draw(units: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw `count` places of `units`, int64: images (or groups) in turn, a random patch of each.

    Every one is drawn equally often, give or take one, so that a large image does not outweigh
    many small ones.
    """
    order = np.argsort(units, kind="stable")
    _, starts, sizes = np.unique(units[order], return_index=True, return_counts=True)
    rounds = -(-count // len(starts))
    turns = np.concatenate([rng.permutation(len(starts)) for _ in range(rounds)])[:count]
    return order[starts[turns] + rng.integers(0, sizes[turns])]


def class_weights(patches: Patches, rows: np.ndarray, classes: int, head: str) -> list[float]:
    """Return weights inverse to the fraction of each class among the pixels (or images).

    n / (k n_c), with k the number of classes that occur, so that the mean weight of a pixel is 1;
    0 for a class that does not occur.
    """
    counts = np.zeros(classes, dtype=np.int64)
    for start in range(0, len(rows), 256):
        targets = encode(patches.labels(rows[start : start + 256]), head)
        true = targets[..., 0] if head == "instance" else targets
        counts += np.bincount(true.ravel(), minlength=classes)
    present = int((counts > 0).sum())
    return [float(counts.sum() / (present * n)) if n else 0.0 for n in counts]


# --- Training data of one fold: batches of patches, normalized with the fold's statistics


@dataclass(frozen=True)
class TrainingConfig:
    """The sections of the configuration that training uses, and the seed."""

    preprocessing: Preprocessing
    network: Network
    training: Training
    seed: int
    weights_file: Path | None = None


@dataclass(frozen=True)
class TrainingData:
    """Batches of one fold, and facts about them."""

    sections: TrainingConfig
    """The sections, with one output of the network for each class."""
    batches: dict[str, Batches]
    """Of `train` and `validation`."""
    shape: tuple[int, int, int]
    """Height, width and channels of a patch."""
    classes: list[str]
    """Names of the classes."""
    absent: list[str]
    """Classes of whole images without a training image."""
    fitted: dict[str, Any]
    """What `preprocessing.input_scaling` needs."""


def load_training_data(
    patches: list[Path],
    split: Path,
    fold: int,
    sections: TrainingConfig,
    device: devices.Device,
    report: Callable[[str], None],
) -> TrainingData:
    """Load the patches of a fold; the arguments are those of `trainer.train`.

    Raises:
        CoverslipError: the fold has no patches.
    """
    data = Patches(patches)
    preprocessing, training = sections.preprocessing, sections.training
    network, classes = _outputs(sections.network, data)
    subsets = select(data, split, fold, preprocessing.min_foreground_fraction)
    absent = _absent(network, data, subsets.training, classes)
    if absent:
        report(f"no training image of {', '.join(absent)}: none will be predicted as such")
    fitted = _fitted(data, subsets, preprocessing)
    workers = max(2, min(8, (device.threads or os.cpu_count() or 1) - 1))
    labels = subsets.training.copy()
    if training.overwrite_masks:
        count = min(len(labels), len(subsets.test))
        labels[:count] = subsets.test[:count]
    copies = 1 + training.augmentation.frozen_copies
    groups = np.tile(subsets.groups, copies) if training.sampling == "group" else None
    given = {
        "train": (np.tile(subsets.training, copies), np.tile(labels, copies), groups),
        "validation": (subsets.validation, None, None),
    }
    size, head = training.batch_size, network.head
    batches = {
        name: Batches(data, rows, preprocessing, fitted, size, workers, head, label_rows, units)
        for name, (rows, label_rows, units) in given.items()
    }
    sections = replace(sections, network=network)
    return TrainingData(sections, batches, data.shape, classes, absent, fitted)


def _fitted(data: Patches, subsets: Data, preprocessing: Preprocessing) -> dict[str, Any]:
    """Return what `preprocessing.input_scaling` needs, fitted on what `fit_scaling_on` names.

    For `each_subset` the numbers of the test patches are under `test`.
    """
    rows = subsets.training
    if preprocessing.fit_scaling_on != "training":
        rows = np.union1d(rows, subsets.validation)
    if preprocessing.fit_scaling_on == "all":
        rows = np.union1d(rows, subsets.test)
    fitted = fit(data.blocks(rows), preprocessing)
    if preprocessing.fit_scaling_on == "each_subset":
        fitted["test"] = fit(data.blocks(subsets.test), preprocessing)
    return fitted


def _outputs(network: Network, patches: Patches) -> tuple[Network, list[str]]:
    """Return the network section with one output for each class, and their names."""
    if network.head == "classification":
        classes = patches.classes
        return network.model_copy(update={"num_classes": len(classes)}), classes
    extra = [f"class {number}" for number in range(2, network.num_classes)]
    return network, ["background", "foreground", *extra]


def _absent(
    network: Network, patches: Patches, training: np.ndarray, classes: list[str]
) -> list[str]:
    """Return the classes of whole images without a training image."""
    if network.head != "classification":
        return []
    return sorted(set(classes) - set(patches.index["class"].to_numpy()[training]))
