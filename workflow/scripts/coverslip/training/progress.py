"""The progress of a training, from its history: one row for each epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from coverslip.config.sections import Training


def finished(history: list[dict], training: Training) -> bool:
    """Return whether all epochs are done, or validation has not improved for `patience` epochs."""
    if len(history) >= training.epochs:
        return True
    waited = len(history) - best_epoch(history, training.monitor)
    return training.patience is not None and waited >= training.patience


def best_epoch(history: list[dict], monitor: str = "validation_loss") -> int:
    """Return the number (from 1) of the best epoch, the first of equals; or 0.

    The best epoch has the lowest loss, or the highest value of another `monitor`.
    """
    if not history:
        return 0
    values = np.array([row[monitor] for row in history])
    return int(np.argmin(values if monitor.endswith("loss") else -values)) + 1


def progress_line(history: list[dict], training: Training) -> str:
    """Return the line that is printed after an epoch; IoU or accuracy is of the validation."""
    row = history[-1]
    recent = [epoch["seconds"] for epoch in history[-3:]]
    left = (training.epochs - len(history)) * sum(recent) / len(recent)
    return (
        f"epoch {row['epoch']}/{training.epochs}  loss {row['loss']:.3f}  "
        f"val loss {row['validation_loss']:.3f}  {_score(row)}  {duration(left)} left"
    )


def _score(row: dict) -> str:
    """Return the score besides the loss: IoU, or accuracy where there are no masks."""
    if "validation_iou" in row:
        return f"IoU {row['validation_iou']:.3f}"
    return f"accuracy {row['validation_accuracy']:.3f}"


def duration(seconds: float) -> str:
    """Return a time in a suitable unit: `40 s`, `6 min`, `1 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


# --- Learning curves for TensorBoard, epoch by epoch, while a training runs

NOT_DRAWN = ("epoch", "seconds")

VALIDATION = "validation_"


def writer(folder: Path | None) -> Callable[[Mapping[str, float]], None]:
    """Return a function that takes the row of each epoch; without a folder it does nothing.

    Args:
        folder: of the event files, in `training` and `validation`; equal scalars have equal tags
            and share a chart. A resumed training adds files.
    """
    if folder is None:
        return lambda row: None
    from tensorboard.summary import Writer

    writers: dict[str, Any] = {
        subset: Writer(str(Path(folder) / subset)) for subset in ("training", "validation")
    }

    def write(row: Mapping[str, float]) -> None:
        for name, value in row.items():
            if name not in NOT_DRAWN:
                subset = "validation" if name.startswith(VALIDATION) else "training"
                writers[subset].add_scalar(name.removeprefix(VALIDATION), value, int(row["epoch"]))
        for subset_writer in writers.values():
            subset_writer.flush()

    return write
