"""What happens beside each step of a training: the learning rate, and an end that was asked for."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import keras

from coverslip.configuration.config_training import Training
from coverslip.job import TERMINATED
from coverslip.learning import schedules
from coverslip.learning.batches import Batches


class Steps(keras.callbacks.Callback):
    """Sets the learning rate before each step and heeds SIGTERM after it."""

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
        self.model.optimizer.learning_rate = schedules.rate(self.training, progress)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        if self.stop.is_set():
            self.report(f"terminated after epoch {self.epoch}: run again to go on from there")
            raise SystemExit(TERMINATED)


@contextmanager
def terminable() -> Iterator[threading.Event]:
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
