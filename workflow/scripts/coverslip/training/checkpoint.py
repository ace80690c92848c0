"""The state of a training between two epochs, on disk, so that a killed job can resume.

One file, written under another name and renamed: the state after one epoch or after the next.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.errors import CoverslipError
from coverslip.files import atomic_write

FILE = "state.npz"


@dataclass
class Checkpoint:
    """A training after some epochs."""

    history: list[dict] = field(default_factory=list)
    """One row for each epoch."""
    variables: list[np.ndarray] = field(default_factory=list)
    """All variables of the model, seed generators and running statistics among them."""
    optimizer: list[np.ndarray] = field(default_factory=list)
    """Variables of the optimizer, independent of the parts of batches (`accumulation`)."""
    best: list[np.ndarray] = field(default_factory=list)
    """Variables of the model after its best epoch."""
    halvings: list[dict] = field(default_factory=list)
    """Where memory ran out: the epoch (from 1), and `patches_at_once` from there on."""


ARRAYS = ("variables", "optimizer", "best")


def save(folder: Path, identity: str, state: Checkpoint) -> None:
    """Replace the state in `folder`; on an error (disk full) the former one is kept."""
    facts = {"identity": identity, "history": state.history, "halvings": state.halvings}
    head = json.dumps(facts)
    arrays: dict[str, Any] = {"head": np.frombuffer(head.encode(), dtype=np.uint8)}
    for name in ARRAYS:
        arrays |= {f"{name}/{i:05d}": array for i, array in enumerate(getattr(state, name))}
    try:
        with atomic_write(folder / FILE) as part, open(part, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise CoverslipError(
            f"the state of the training cannot be saved in {folder} ({error.strerror or error}): "
            "make room there and run again; training resumes after the last saved epoch"
        ) from error


def load(folder: Path, identity: str) -> Checkpoint | None:
    """Return the state in `folder`; None if there is none, it is of another run, or damaged."""
    try:
        with np.load(folder / FILE, allow_pickle=False) as file:
            head = json.loads(file["head"].tobytes())
            if head["identity"] != identity:
                return None
            groups = {name: _group(file, name) for name in ARRAYS}
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        # A damaged state costs time, not correctness: training starts again.
        return None
    return Checkpoint(history=head["history"], halvings=head["halvings"], **groups)


def history(folder: Path, identity: str) -> list[dict]:
    """Return the epochs of the training in `folder`; empty if it is of another run.

    The device does not matter, and the arrays are not read.
    """
    try:
        with np.load(folder / FILE, allow_pickle=False) as file:
            head = json.loads(file["head"].tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return []
    return head["history"] if head["identity"].partition(" ")[0] == identity else []


def _group(file: np.lib.npyio.NpzFile, name: str) -> list[np.ndarray]:
    return [file[key] for key in sorted(file.files) if key.startswith(f"{name}/")]


def take(variables: Sequence) -> list[np.ndarray]:
    """Return copies of the values of keras variables."""
    return [np.array(variable.numpy()) for variable in variables]


def put(variables: Sequence, values: Sequence[np.ndarray]) -> None:
    """Assign values to keras variables."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
