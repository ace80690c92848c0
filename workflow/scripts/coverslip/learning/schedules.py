"""Learning-rate schedules."""

from __future__ import annotations

from math import cos, pi
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coverslip.configuration.config import Training


def rate(training: Training, progress: float) -> float:
    """Learning rate after `progress` epochs (2.5: in the middle of the third).

    `step` multiplies by `step_factor` after every `step_epochs`; `cosine` falls along half a
    cosine to zero at the end of the last epoch (Loshchilov and Hutter, SGDR, ICLR 2017, without
    restarts).
    """
    start = training.learning_rate
    if training.schedule == "step":
        return start * training.step_factor ** (int(progress) // training.step_epochs)
    if training.schedule == "cosine":
        return start * 0.5 * (1.0 + cos(pi * min(progress / training.epochs, 1.0)))
    return start
