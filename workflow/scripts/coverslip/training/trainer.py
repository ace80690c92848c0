"""Train a network: from patches and a split to a model folder.

`coverslip.runtime.device.prepare` has to be called before this module is imported.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np
import pandas as pd

from coverslip.config.sections import Augmentation, Network, Preprocessing, Training
from coverslip.errors import CoverslipError
from coverslip.evaluation.runs import HISTORY_COLUMNS
from coverslip.files import atomic_write
from coverslip.models import model, networks
from coverslip.runtime import device as devices
from coverslip.runtime import oom
from coverslip.runtime.run_script import TERMINATED
from coverslip.training import accumulation, batchnorm, calibration, losses, schedule
from coverslip.training import checkpoint as states
from coverslip.training.calibration import Goal
from coverslip.training.dataset import Batches, TrainingConfig, class_weights, load_training_data
from coverslip.training.progress import best_epoch, finished, progress_line
from coverslip.training.schedule import (
    LearningRateSchedule,
    stop_on_signal,
    validate_in_training_mode,
)

T = TypeVar("T")

SMALLER = "use a smaller preprocessing.patch or resize, or smaller network.filters"
"""Hint for a single patch that does not fit in memory."""


class Diverged(CoverslipError):
    """The loss of a training is not a number."""


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
    goal: Goal | None = "iou",
    report: Callable[[str], None] = print,
    watch: Callable[[dict[str, float]], None] | None = None,
) -> dict[str, Any]:
    """Train a network and write its model folder.

    Args:
        patches: folders of patches (`coverslip.training.patches`).
        split: table of the split.
        fold: fold of it to train.
        seed: seed of the weights, the order of the patches, augmentation and dropout.
        preprocessing: the section; what `input_scaling` needs is fitted on the training patches.
        network: the section.
        training: the section.
        output: the model folder: `model.keras`, `model.json`, `history.csv`.
        state: folder that keeps the training while it runs; removed when it is done. A killed
            job resumes after the last epoch and ends with the same numbers.
        facts: merged into `model.json` (digests, licence, study).
        identity: digest of everything that the result depends on; another state is discarded.
        device: of `coverslip.runtime.device.prepare`; without it, it is called with its defaults.
        weights_file: pretrained weights, where `network.weights` asks for them.
        goal: what the threshold is tuned for on validation; None: it is 0.5.
        report: receives one line for each epoch.
        watch: receives the row of the history of each epoch.

    Returns:
        Facts for the record of the run: device, epochs, seconds.

    Raises:
        CoverslipError: no patches, weights that do not fit, memory exhausted by a single patch,
            no room on the disk, a loss that is not finite.
        SystemExit: 143 after SIGTERM; the state of the last whole epoch is kept.
    """
    device = device or devices.prepare()
    sections = TrainingConfig(preprocessing, network, training, seed, weights_file)
    data = load_training_data(patches, split, fold, sections, device, report)
    sections, batches, shape = data.sections, data.batches, data.shape
    with oom.explain_out_of_memory(SMALLER):
        with dtype_policy(device.dtype_policy), stop_on_signal() as stop:
            key = state_identity(identity, device)
            loop = Trainer(sections, device, batches, Path(state), key, stop, report, watch)
            history, best = loop.run()
        final = _final(sections, shape, best)
        if training.batchnorm_statistics == "recalibrated":
            report("statistics of batch normalization are computed again from training patches")
            drawn = _draw_batches(batches["train"], sections, len(history))
            loop.fitting(lambda size: calibration.recalibrate_batchnorm(final, drawn.cut(size)))
        validation = batches["validation"]
        settings = loop.fitting(
            lambda size: calibration.calibrate(final, validation.smaller(size), goal)
        )
    if sections.network.head == "instance":
        given = batches["train"]
        labels = (given.patches.labels(given.label_rows[[i]])[0] for i in range(len(given.rows)))
        settings["diameter_px"] = calibration.object_diameter(labels, given.units)
    halved = {"memory": loop.memory_facts()} if loop.current.halvings else {}
    info = (
        _info(sections, shape, data.fitted, history, final)
        | settings
        | ({"absent_classes": data.absent} if data.absent else {})
        | halved
        | {
            "classes": data.classes,
            "fold": fold,
            "device": device.facts(),
            "versions": devices.versions(),
        }
    )
    with atomic_write(Path(output) / "history.csv") as part:
        columns = [name for name in HISTORY_COLUMNS if name in history[0]]
        pd.DataFrame(history, columns=columns).to_csv(part, index=False)
    model.save(Path(output), final, info | facts)
    loop.clear()
    return {
        "device": device.facts(),
        "epochs": len(history),
        "best_epoch": info["best_epoch"],
        "training_seconds": round(sum(row["seconds"] for row in history), 1),
        "resumed_after_epoch": loop.resumed,
        **halved,
    }


def state_identity(identity: str, device: devices.Device) -> str:
    """Return the identity of a resumable state: the precision changes the numbers."""
    return f"{identity} {device.dtype_policy}"


class Trainer:
    """The epochs of one training, resumable after each."""

    model: keras.Model

    def __init__(
        self,
        sections: TrainingConfig,
        device: devices.Device,
        batches: dict[str, Batches],
        folder: Path,
        identity: str,
        stop: threading.Event,
        report: Callable[[str], None],
        watch: Callable[[dict[str, float]], None] | None = None,
    ):
        self.sections = sections
        self.training = sections.training
        self.device = device
        self.batches = batches
        self.folder = folder
        self.identity = identity
        self.stop = stop
        self.report = report
        self.watch = watch
        self.current = states.load(folder, identity) or states.Checkpoint()
        self.resumed = len(self.current.history)
        self._build(self._at_once())
        if self.resumed:
            report(f"goes on after epoch {self.resumed}/{self.training.epochs}")

    def run(self, until: int | None = None) -> tuple[list[dict], list[np.ndarray]]:
        """Train to the end, or to an epoch; return the history and the variables to keep."""
        history = self.current.history
        last = self.training.epochs if until is None else until
        while not finished(history, self.training) and len(history) < last:
            row = self.fitting(self._epoch_of)
            history.append(row)
            if not all(math.isfinite(row[name]) for name in ("loss", "validation_loss")):
                raise Diverged(
                    f"training diverged: the loss is not a number in epoch {row['epoch']}: lower "
                    f"training.learning_rate ({self.training.learning_rate})"
                )
            self._save()
            if self.watch:
                self.watch(row)
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

    def fitting(self, attempt: Callable[[int], T]) -> T:
        """Call with the number of patches at once; with fewer from now on if memory runs out."""
        before = self._at_once()
        result, size = oom.fit_in_memory(attempt, before, "patches", SMALLER, self.report)
        if size < before:
            epoch = len(self.current.history) + 1
            self.current.halvings.append({"epoch": epoch, "patches_at_once": size})
        return result

    def memory_facts(self) -> dict[str, Any]:
        """Return how batches were divided to fit in memory, for `model.json` and the record."""
        return {"batch_size": self.training.batch_size, "halvings": self.current.halvings}

    def _at_once(self) -> int:
        halvings, size = self.current.halvings, self.training.batch_size
        if halvings:
            return halvings[-1]["patches_at_once"]
        return min(size, self.training.micro_batch_size or size)

    def _build(self, size: int) -> None:
        """Build the network after the last complete epoch, for so many patches at once."""
        self.model = None  # its memory is needed
        self.size = size
        self.parts = accumulation.split_batch(self.training.batch_size, size)
        self.model = _compile(self.sections, self.device, self.batches["train"], self.parts)
        if self.current.history:
            states.put(self.model.variables, self.current.variables)
            accumulation.put_variables(self.model.optimizer, self.current.optimizer, self.parts)

    def _epoch_of(self, size: int) -> dict[str, float]:
        """Train the next epoch; build the network again for another number of patches at once."""
        if size != self.size:
            self._build(size)
        return self._epoch(len(self.current.history))

    def _epoch(self, epoch: int) -> dict[str, float]:
        started = time.monotonic()
        batches = _draw_batches(self.batches["train"], self.sections, epoch).cut(self.size)
        callback = LearningRateSchedule(self.training, epoch, batches, self.stop, self.report)
        logs = self.model.fit(batches, epochs=1, verbose=0, shuffle=False, callbacks=[callback])
        row: dict[str, float] = {"epoch": epoch + 1}
        watched = losses.metric_names(self.sections.network.head)
        row |= {name: float(logs.history[name][0]) for name in watched}
        held_out = self._held_out(epoch)
        scores = self.model.evaluate(held_out, verbose=0, return_dict=True)
        row |= {f"validation_{name}": float(scores[name]) for name in watched}
        row["learning_rate"] = schedule.rate(self.training, epoch)
        row["seconds"] = round(time.monotonic() - started, 2)
        return row

    def _held_out(self, epoch: int) -> Batches:
        """Return the validation batches of an epoch."""
        batches, steps = self.batches["validation"], self.training.validation_steps
        if self.training.validation_mode == "training":
            # Batch normalization must not see the images of one class together.
            batches = batches.shuffled(self.sections.seed, epoch, Augmentation())
        return (batches if steps is None else batches.repeated(steps)).smaller(self.size)

    def _save(self) -> None:
        history = self.current.history
        self.current.variables = states.take(self.model.variables)
        self.current.optimizer = accumulation.take_variables(self.model.optimizer, self.parts)
        if best_epoch(history, self.training.monitor) == len(history):
            self.current.best = self.current.variables
        states.save(self.folder, self.identity, self.current)


def _draw_batches(batches: Batches, sections: TrainingConfig, epoch: int) -> Batches:
    """Return the training batches of an epoch, from 0."""
    t = sections.training
    chosen = (t.patches_per_epoch, t.steps_per_epoch, t.shuffle)
    return batches.shuffled(sections.seed, epoch, t.augmentation, *chosen)


def _compile(
    sections: TrainingConfig, device: devices.Device, batches: Batches, parts: int
) -> keras.Model:
    keras.utils.set_random_seed(sections.seed)
    training, network = sections.training, sections.network
    built = networks.build(network, batches.patches.shape)
    if network.weights != "none":
        networks.load_pretrained(built, network, sections.weights_file)
    weights = None
    if training.class_weights == "balanced":
        classes = losses.CLASSES if network.head == "instance" else max(network.num_classes, 2)
        weights = class_weights(batches.patches, batches.rows, classes, network.head)
    if device.fused_normalization:
        built = batchnorm.fuse_batchnorm(built)
    accumulation.adapt_momentum(built, parts)
    built.compile(
        optimizer=accumulation.adam(training.learning_rate, parts, training.adam_epsilon),
        loss=losses.make(training, network.head, weights),
        weighted_metrics=losses.metrics(network.head),
        jit_compile=device.jit_compile,
    )
    if training.validation_mode == "training":
        built.test_step = validate_in_training_mode(built)
    built.optimizer.build(built.trainable_variables)
    return built


def _final(
    sections: TrainingConfig, shape: tuple[int, int, int], variables: list[np.ndarray]
) -> keras.Model:
    """Return the network in float32, not compiled, with the given values.

    It takes images of any size; a classification those of the size of `resize`.
    """
    any_size = sections.network.head != "classification"
    final = networks.build(sections.network, (None, None, shape[2]) if any_size else shape)
    states.put(final.variables, variables)
    return final


def _info(
    sections: TrainingConfig,
    shape: tuple[int, int, int],
    fitted: dict,
    history: list[dict],
    final: keras.Model,
) -> dict[str, Any]:
    """Return what `model.json` has about the training."""
    network = sections.network
    best = best_epoch(history, sections.training.monitor)
    return {
        "task": "classification" if network.head == "classification" else "segmentation",
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
        "regularization_loss": float(sum(map(float, final.losses))),
        "seed": sections.seed,
    }


@contextmanager
def dtype_policy(name: str) -> Iterator[None]:
    former = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(former)
