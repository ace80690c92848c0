"""Training: from patches and a split to a model folder.

`coverslip.learning.device.prepare` has to be called before this module is imported.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from coverslip.aside import aside
from coverslip.configuration.config import Network, Preprocessing, Training
from coverslip.errors import CoverslipError
from coverslip.learning import calibration, losses, schedules
from coverslip.learning import device as devices
from coverslip.learning import state as states
from coverslip.learning.batches import Batches, class_weights, select
from coverslip.learning.patches import Patches
from coverslip.learning.progress import best_epoch, finished, progress_line
from coverslip.models import model, networks
from coverslip.models.preprocess import fit

HISTORY = (
    "epoch",
    "loss",
    "accuracy",
    "iou",
    "validation_loss",
    "validation_accuracy",
    "validation_iou",
    "learning_rate",
    "seconds",
)
TERMINATED = 143


@dataclass(frozen=True)
class Sections:
    """The sections of the configuration that training goes by, and the seed."""

    preprocessing: Preprocessing
    network: Network
    training: Training
    seed: int
    weights_file: Path | None = None


def train(
    patches: list[Path],
    split: Path,
    fold: int,
    seed: int,
    preprocessing: Preprocessing,
    network: Network,
    training: Training,
    output: Path,
    state: Path,
    facts: dict[str, Any],
    *,
    identity: str,
    device: devices.Device | None = None,
    weights_file: Path | None = None,
    tune_threshold: bool = True,
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train a network and write its model folder.

    Args:
        patches: folders of patches (`coverslip.learning.patches`).
        split: table of the split.
        fold: fold of it to train.
        seed: seed of the weights, the order of the patches, augmentation and dropout.
        preprocessing: the section; what `scaling` needs is fitted on the training patches.
        network: the section.
        training: the section.
        output: the model folder: `model.keras`, `model.json`, `history.csv`.
        state: folder that holds the training while it runs; removed when it is done. A killed
            job that finds it there goes on from the last epoch and ends with the same numbers.
        facts: merged into `model.json` (digests, licence, study).
        identity: digest of all that the result depends on; a state of another one is discarded.
        device: what `coverslip.learning.device.prepare` gave; without it, it is called with its
            defaults.
        weights_file: pretrained weights, where `network.weights` asks for them.
        tune_threshold: tune the threshold on validation instead of leaving it at 0.5.
        report: receives one line an epoch.

    Returns:
        Facts for the record of the run: device, epochs, seconds.

    Raises:
        CoverslipError: no patches, weights that do not fit, memory or disk exhausted, a loss that
            is not finite.
        SystemExit: 143 after SIGTERM; the state of the last whole epoch is kept.
    """
    device = device or devices.prepare()
    data = Patches(patches)
    network, classes = _outputs(network, data)
    sections = Sections(preprocessing, network, training, seed, weights_file)
    subsets = select(data, split, fold, preprocessing.minimum_foreground)
    absent = _absent(network, data, subsets.training, classes)
    if absent:
        report(f"no training picture of {', '.join(absent)}: none will be predicted as such")
    fitted = fit(data.blocks(subsets.training), preprocessing)
    workers = max(2, min(8, (device.threads or os.cpu_count() or 1) - 1))
    batches = {
        name: Batches(data, rows, preprocessing, fitted, training.batch_size, workers, network.head)
        for name, rows in (("train", subsets.training), ("validation", subsets.validation))
    }
    try:
        with _dtype_policy(device.dtype_policy), _terminable() as stop:
            loop = Loop(sections, device, batches, Path(state), identity, stop, report)
            history, best = loop.run()
        final = _final(sections, data.shape, best)
        if training.statistics == "precise":
            report("statistics of batch normalization are taken anew from training patches")
            calibration.settle_statistics(final, _drawn(batches["train"], sections, len(history)))
        found = calibration.fit(final, batches["validation"], tune_threshold)
    except devices.memory_errors() as error:
        raise CoverslipError(_memory_message(training.batch_size)) from error
    info = (
        _info(sections, data.shape, fitted, history, final)
        | found
        | ({"absent_classes": absent} if absent else {})
        | {
            "classes": classes,
            "fold": fold,
            "device": device.facts(),
            "versions": devices.versions(),
        }
    )
    with aside(Path(output) / "history.csv") as part:
        columns = [name for name in HISTORY if name in history[0]]
        pd.DataFrame(history, columns=columns).to_csv(part, index=False)
    model.save(Path(output), final, info | facts)
    loop.clear()
    return {
        "device": device.facts(),
        "epochs": len(history),
        "best_epoch": info["best_epoch"],
        "training_seconds": round(sum(row["seconds"] for row in history), 1),
        "resumed_after_epoch": loop.resumed,
    }


class Loop:
    """The epochs of one training, resumable after each."""

    def __init__(
        self,
        sections: Sections,
        device: devices.Device,
        batches: dict[str, Batches],
        folder: Path,
        identity: str,
        stop: threading.Event,
        report: Callable[[str], None],
    ):
        self.sections = sections
        self.training = sections.training
        self.batches = batches
        self.folder = folder
        self.identity = identity
        self.stop = stop
        self.report = report
        self.model = _compiled(sections, device, batches["train"])
        self.current = states.load(folder, identity) or states.State()
        self.resumed = len(self.current.history)
        if self.resumed:
            states.put(self.model.variables, self.current.variables)
            states.put(self.model.optimizer.variables, self.current.optimizer)
            report(f"goes on after epoch {self.resumed}/{self.training.epochs}")

    def run(self) -> tuple[list[dict], list[np.ndarray]]:
        """Train to the end; give the history and the variables of the model to keep."""
        history = self.current.history
        while not finished(history, self.training):
            row = self._epoch(len(history))
            history.append(row)
            if not all(math.isfinite(row[name]) for name in ("loss", "validation_loss")):
                raise CoverslipError(
                    f"training diverged: the loss is not a number in epoch {row['epoch']}: lower "
                    f"training.learning_rate ({self.training.learning_rate})"
                )
            self._save()
            self.report(progress_line(history, self.training))
            if self.stop.is_set():
                self.report(f"terminated after epoch {row['epoch']}: run again to go on from there")
                raise SystemExit(TERMINATED)
        keep = self.current.best if self.training.restore_best else self.current.variables
        return history, keep

    def clear(self) -> None:
        """Remove the state; the training is done."""
        (self.folder / states.FILE).unlink(missing_ok=True)
        with suppress(OSError):
            self.folder.rmdir()

    def _epoch(self, epoch: int) -> dict[str, float]:
        started = time.monotonic()
        batches = _drawn(self.batches["train"], self.sections, epoch)
        callback = _Steps(self.training, epoch, len(batches), self.stop, self.report)
        logs = self.model.fit(batches, epochs=1, verbose=0, shuffle=False, callbacks=[callback])
        row: dict[str, float] = {"epoch": epoch + 1}
        watched = losses.watched(self.sections.network.head)
        row |= {name: float(logs.history[name][0]) for name in watched}
        scores = self.model.evaluate(self.batches["validation"], verbose=0, return_dict=True)
        row |= {f"validation_{name}": float(scores[name]) for name in watched}
        row["learning_rate"] = schedules.rate(self.training, epoch)
        row["seconds"] = round(time.monotonic() - started, 2)
        return row

    def _save(self) -> None:
        history = self.current.history
        self.current.variables = states.take(self.model.variables)
        self.current.optimizer = states.take(self.model.optimizer.variables)
        if best_epoch(history) == len(history):
            self.current.best = self.current.variables
        states.save(self.folder, self.identity, self.current)


class _Steps(keras.callbacks.Callback):
    """Sets the learning rate before each step and heeds SIGTERM after it."""

    def __init__(
        self,
        training: Training,
        epoch: int,
        steps: int,
        stop: threading.Event,
        report: Callable[[str], None],
    ):
        super().__init__()
        self.training = training
        self.epoch = epoch
        self.steps = steps
        self.stop = stop
        self.report = report

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        progress = self.epoch + batch / self.steps
        self.model.optimizer.learning_rate = schedules.rate(self.training, progress)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if self.stop.is_set():
            self.report(f"terminated after epoch {self.epoch}: run again to go on from there")
            raise SystemExit(TERMINATED)


def _drawn(batches: Batches, sections: Sections, epoch: int) -> Batches:
    """The training batches of an epoch, from 0."""
    training = sections.training
    return batches.shuffled(sections.seed, epoch, training.augmentation, training.patches_per_epoch)


def _compiled(sections: Sections, device: devices.Device, batches: Batches) -> keras.Model:
    keras.utils.set_random_seed(sections.seed)
    training, network = sections.training, sections.network
    built = networks.build(network, batches.patches.shape)
    if network.weights != "none":
        networks.load_pretrained(built, network, sections.weights_file)
    weights = None
    if training.class_weights == "balanced":
        classes = losses.CLASSES if network.head == "instances" else max(network.outputs, 2)
        weights = class_weights(batches.patches, batches.rows, classes, network.head)
    built.compile(
        optimizer=keras.optimizers.Adam(training.learning_rate),
        loss=losses.make(training, network.head, weights),
        metrics=losses.metrics(network.head),
        jit_compile=device.jit_compile,
    )
    built.optimizer.build(built.trainable_variables)
    return built


def _outputs(network: Network, patches: Patches) -> tuple[Network, list[str]]:
    """The network section with as many outputs as there are classes, and their names."""
    if network.head == "class":
        classes = patches.classes
        return network.model_copy(update={"outputs": len(classes)}), classes
    extra = [f"class {number}" for number in range(2, network.outputs)]
    return network, ["background", "foreground", *extra]


def _absent(
    network: Network, patches: Patches, training: np.ndarray, classes: list[str]
) -> list[str]:
    """Classes of whole pictures of which there is no training picture."""
    if network.head != "class":
        return []
    return sorted(set(classes) - set(patches.index["class"].to_numpy()[training]))


def _final(
    sections: Sections, shape: tuple[int, int, int], variables: list[np.ndarray]
) -> keras.Model:
    """The network in float32, not compiled, with the given values; for pictures of any size,
    or of the one that they are resized to if it is about their classes."""
    any_size = sections.network.head != "class"
    final = networks.build(sections.network, (None, None, shape[2]) if any_size else shape)
    states.put(final.variables, variables)
    return final


def _info(
    sections: Sections,
    shape: tuple[int, int, int],
    fitted: dict,
    history: list[dict],
    final: keras.Model,
) -> dict[str, Any]:
    """What `model.json` tells about the training."""
    network = sections.network
    best = best_epoch(history)
    return {
        "task": "classification" if network.head == "class" else "segmentation",
        "architecture": network.architecture,
        "network": network.model_dump(mode="json"),
        "preprocessing": sections.preprocessing.model_dump(mode="json"),
        "fitted": fitted,
        "training": sections.training.model_dump(mode="json"),
        "head": network.head,
        "patch": list(shape[:2]),
        "channels": shape[2],
        "best_epoch": best,
        "kept_epoch": best if sections.training.restore_best else len(history),
        "epochs_run": len(history),
        "parameters": final.count_params(),
        "trainable_parameters": sum(math.prod(v.shape) for v in final.trainable_variables),
        "seed": sections.seed,
    }


def _memory_message(batch_size: int) -> str:
    mend = (
        f"set training.batch_size to {batch_size // 2} (it is {batch_size})"
        if batch_size > 1
        else "use a smaller preprocessing.patch or network.filters (training.batch_size is 1)"
    )
    return f"memory is exhausted in training: {mend}; or run on a machine with more"


@contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    former = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(former)


@contextmanager
def _terminable() -> Iterator[threading.Event]:
    """An event that SIGTERM sets, so that a state that is being written is written to its end."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    former = signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, former)
