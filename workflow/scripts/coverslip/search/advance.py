"""The first epochs of a training, for a trial: no model folder, and the state is kept.

`coverslip.learning.device.prepare` has to be called before this module is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from coverslip.learning import device as devices
from coverslip.learning import memory
from coverslip.learning.material import Sections, gathered
from coverslip.learning.steps import terminable
from coverslip.learning.training import (
    SMALLER,
    Diverged,
    Loop,
    dtype_policy,
    state_identity,
)


def advance(
    patches: list[Path],
    split: Path,
    fold: int,
    sections: Sections,
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
    material = gathered(patches, split, fold, sections, device, report)
    with (
        memory.explained(SMALLER),
        dtype_policy(device.dtype_policy),
        terminable() as stop,
    ):
        key = state_identity(identity, device)
        loop = Loop(material.sections, device, material.batches, state, key, stop, report)
        try:
            loop.run(until)
        except Diverged as error:
            report(str(error))
            return loop.current.history, True, loop.resumed
        return loop.current.history, False, loop.resumed
