"""Runs of a study: one training for each fold and seed, in the folder `fold<f>_seed<s>`.

The networks of all seeds of a fold together are a run, too: `fold<f>_ensemble`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from coverslip.errors import CoverslipError
from coverslip.models import folder

PATTERN = re.compile(r"fold(\d+)_(?:seed(\d+)|ensemble)")

ENSEMBLE = -1
"""The seed of an ensemble of all seeds."""

UNTRAINED = ("labels", "baseline", "tool")
"""Kinds of models in `model.json` that are scored on test images alone."""

HISTORY_COLUMNS = (
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
"""Columns of `history.csv`, as far as a training has them. Epochs of K-means are numbers of
clusters."""


def run_name(fold: int, seed: int) -> str:
    """Return the name of a run, as in its folder and in `metrics.json`."""
    return f"fold{fold}_ensemble" if seed == ENSEMBLE else f"fold{fold}_seed{seed}"


def fold_and_seed(run: str) -> tuple[int, int]:
    """Return fold and seed of a run's name.

    Raises:
        ValueError: it is not the name of a run.
    """
    match = PATTERN.fullmatch(run)
    if match is None:
        raise ValueError(f"{run!r} is not the name of a run")
    return int(match[1]), ENSEMBLE if match[2] is None else int(match[2])


def run_of(path: Path) -> str:
    """Return the name of the run whose folder contains `path`.

    Raises:
        ValueError: no folder above the path is that of a run.
    """
    for part in reversed(Path(path).parts):
        if PATTERN.fullmatch(part):
            return part
    raise ValueError(f"{path}: is in no folder of a run (fold<f>_seed<s>)")


def read_history(model: Path) -> pd.DataFrame:
    """Read the history of a training: one row for each epoch, from 1.

    Raises:
        CoverslipError: the file is missing, empty, or not a history.
    """
    path = Path(model) / "history.csv"
    try:
        history = pd.read_csv(path)
        missing = {"epoch", "loss", "accuracy", "validation_loss"} - set(history.columns)
        if missing or history.empty:
            raise ValueError(f"without {', '.join(sorted(missing)) or 'rows'}")
    except (OSError, ValueError) as error:
        raise CoverslipError(
            f"{path}: not the history of a training ({error}): remove the model folder and train "
            "again"
        ) from error
    return history


def read_info(model: Path) -> dict[str, Any]:
    """Read `model.json` of a model folder, with at least `classes` and, if trained, `kept_epoch`.

    Raises:
        CoverslipError: the file is missing or incomplete.
    """
    info = folder.read_info(model)
    try:
        epoch = 1 if is_untrained(info) else int(info["kept_epoch"])
        if len(info["classes"]) < 2 or epoch < 1:
            raise ValueError("fewer than two classes, or no epoch")
    except (ValueError, KeyError, TypeError) as error:
        raise CoverslipError(
            f"{model}/model.json: has no classes or epoch ({error}): remove the model folder and "
            "train again"
        ) from error
    return info


def is_untrained(info: Mapping[str, Any]) -> bool:
    """Return whether a model was not trained here, by its `model.json`: it has no history."""
    return info.get("kind") in UNTRAINED


def at_epoch(history: pd.DataFrame, epoch: int) -> pd.Series:
    """Return the row of a history for an epoch, from 1; the last one if there is no such epoch."""
    rows = history[history["epoch"] == epoch]
    return (rows if len(rows) else history).iloc[-1]
