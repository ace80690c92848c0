"""One trial of a search on one rung: its training goes on to the epochs of the rung.

The training of a trial is the beginning of the study's own training with other values: the same
schedule over `training.epochs`, cut off after the epochs of a rung. Its state lies in a folder that
is named by all that the trial depends on and is kept. Whoever asks for the trial again, on the
next rung or because there are more trials now, goes on from there, or finds it all done. Without
the folder the training starts again, and comes to the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from coverslip.config.sections import Network, Preprocessing, Training
from coverslip.files import atomic_write, write_json
from coverslip.runtime import device as devices
from coverslip.runtime import oom
from coverslip.training import checkpoint as states
from coverslip.training.dataset import TrainingConfig, load_training_data
from coverslip.training.progress import best_epoch, finished
from coverslip.training.schedule import stop_on_signal
from coverslip.training.trainer import SMALLER, Diverged, Trainer, dtype_policy, state_identity


def advance(
    patches: list[Path],
    split: Path,
    fold: int,
    sections: TrainingConfig,
    until: int,
    state: Path,
    identity: str,
    device: devices.Device,
    report: Callable[[str], None],
) -> tuple[list[dict], bool, int]:
    """Train from where the state stands to an epoch, as `training.train` would on its way.

    Args:
        patches, split, fold, identity, device, report: as of `training.train`.
        sections: the sections and the seed.
        until: number of epochs; early stopping may end the training sooner.
        state: folder that keeps the training.

    Returns:
        One row an epoch; whether the loss was no number in the last of them; the number of epochs
        that the state had before.

    Raises:
        CoverslipError, SystemExit: as `training.train`.
    """
    material = load_training_data(patches, split, fold, sections, device, report)
    with (
        oom.explain_out_of_memory(SMALLER),
        dtype_policy(device.dtype_policy),
        stop_on_signal() as stop,
    ):
        key = state_identity(identity, device)
        loop = Trainer(material.sections, device, material.batches, state, key, stop, report)
        try:
            loop.run(until)
        except Diverged as error:
            report(str(error))
            return loop.current.history, True, loop.resumed
        return loop.current.history, False, loop.resumed


# --- One trial of a search on one rung: its training goes on to the epochs of the rung


@dataclass(frozen=True)
class Trial:
    """A trial: what is trained, on what, from which seed."""

    number: int
    """Its place in the draw, from 0."""
    values: Mapping[str, Any]
    """Its values by their keys."""
    sections: Mapping[str, Any]
    """`preprocessing`, `network` and `training` with these values."""
    patches: tuple[Path, ...]
    """Folders of patches."""
    split: Path
    """Table of the split."""
    fold: int
    """Fold of it."""
    seed: int
    """Seed of the weights, the order of the patches, augmentation and dropout."""
    weights_file: Path | None = None
    """Pretrained weights, where the network begins with such."""


def run(
    trial: Trial,
    epochs: int,
    state: Path,
    identity: str,
    output: Path,
    *,
    threads: int | None = None,
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Train a trial to a number of epochs and write `history.csv` and `trial.json`.

    Early stopping (`training.patience`) ends a trial sooner; so does a loss that is not a number:
    such a trial diverged, and has no score.

    Args:
        trial: what is trained.
        epochs: of the rung.
        state: folder that keeps the training, for later rungs and runs.
        identity: digest of all that the trial depends on; a state of another one is discarded.
        output: folder of the two files.
        threads: CPU threads of one operation.
        report: receives one line an epoch.

    Returns:
        Facts for the record of the run: the trial, its epochs, how many of them were trained now,
        the device if any were.
    """
    training = Training(**trial.sections["training"])
    history = states.history(state, identity)
    known = len(history)
    facts: dict[str, Any] = {}
    diverged = False
    if known < epochs and not finished(history, training):
        found = devices.prepare(threads=threads)
        found = found.suited(trial.sections["network"]["architecture"])
        facts["device"] = asdict(found)
        history, diverged, known = _advance(trial, training, epochs, state, identity, found, report)
    else:
        report(f"trial {trial.number}: trained to epoch {known} before, nothing is left to do")
    history = history[:epochs]
    kept = best_epoch(history, training.monitor) if training.restore_best else len(history)
    told = {
        "trial": trial.number,
        "values": dict(trial.values),
        "epochs": len(history),
        "kept_epoch": None if diverged else kept,
        "diverged": diverged,
    }
    with atomic_write(Path(output) / "history.csv") as part:
        pd.DataFrame(history).to_csv(part, index=False)
    write_json(Path(output) / "trial.json", told)
    return facts | {"search": told | {"epochs_trained": max(len(history) - known, 0)}}


def _advance(
    trial: Trial,
    training: Training,
    epochs: int,
    state: Path,
    identity: str,
    found: devices.Device,
    report: Callable[[str], None],
) -> tuple[list[dict], bool, int]:
    # TensorFlow is started only where there is something to train.
    from coverslip.training.dataset import TrainingConfig as Sections

    pass

    return advance(
        patches=list(trial.patches),
        split=trial.split,
        fold=trial.fold,
        sections=Sections(
            preprocessing=Preprocessing(**trial.sections["preprocessing"]),
            network=Network(**trial.sections["network"]),
            training=training,
            seed=trial.seed,
            weights_file=trial.weights_file,
        ),
        until=epochs,
        state=state,
        identity=identity,
        device=found,
        report=report,
    )
