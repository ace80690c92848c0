"""The learning rate before each step, and the end of a training by SIGTERM."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import cos, pi
from typing import Any

import keras

from coverslip.config.sections import Training
from coverslip.runtime.run_script import TERMINATED
from coverslip.runtime.terminal import is_interrupted
from coverslip.training.dataset import Batches


def rate(training: Training, progress: float) -> float:
    """Return the learning rate after `progress` epochs (2.5: in the middle of the third).

    `step` multiplies by `step_factor` after every `step_epochs`; `cosine` falls along half a
    cosine to zero, from the start or the last of `warm_restarts` to the next one or the end of
    the last epoch (Loshchilov and Hutter, SGDR, ICLR 2017).
    """
    start = training.learning_rate
    if training.schedule == "step":
        return start * training.step_factor ** (int(progress) // training.step_epochs)
    if training.schedule == "cosine":
        borders = [0, *training.warm_restarts, training.epochs]
        first = max(border for border in borders[:-1] if border <= progress)
        length = borders[borders.index(first) + 1] - first
        return start * 0.5 * (1.0 + cos(pi * min((progress - first) / length, 1.0)))
    return start


class LearningRateSchedule(keras.callbacks.Callback):
    """Set the learning rate before each step, and stop after a step if SIGTERM came."""

    def __init__(
        self,
        training: Training,
        epoch: int,
        batches: Batches,
        stop: threading.Event,
        report: Callable[[str], None],
    ):
        super().__init__()
        self.training = training
        self.epoch = epoch
        self.parts = batches.parts
        self.steps = len(batches) // batches.parts
        self.stop = stop
        self.report = report

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        progress = self.epoch + batch // self.parts / self.steps
        self.model.optimizer.learning_rate = rate(self.training, progress)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if self.stop.is_set():
            self.report(f"terminated after epoch {self.epoch}: run again to go on from there")
            raise SystemExit(TERMINATED)


def validate_in_training_mode(network: keras.Model) -> Callable[[Any], dict[str, Any]]:
    """Return a `test_step` that calls the network as in training, but changes no weight.

    Dropout is on; batch normalization uses the statistics of the batch and updates its running
    ones.
    """

    def step(data: Any) -> dict[str, Any]:
        images, targets, weights = keras.utils.unpack_x_y_sample_weight(data)
        given = {"x": images, "y": targets, "sample_weight": weights}
        predicted = network(images, training=True)
        loss = network.compute_loss(y_pred=predicted, training=True, **given)
        network.metrics[0].update_state(loss, sample_weight=keras.ops.shape(images)[0])
        return network.compute_metrics(y_pred=predicted, **given)

    return step


@contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """Yield an event that SIGTERM sets, so that a state is never written in part."""
    stop = threading.Event()
    if is_interrupted():  # modules of others swallow an interruption while they are imported
        stop.set()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    former = signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, former)
