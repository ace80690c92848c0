"""Learning-rate schedules."""

from __future__ import annotations

from math import cos, pi
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coverslip.configuration.config_training import Training


def rate(training: Training, progress: float) -> float:
    """Learning rate after `progress` epochs (2.5: in the middle of the third).

    `step` multiplies by `step_factor` after every `step_epochs`; `cosine` falls along half a
    cosine to zero, from the start or the last of `restarts` to the next one or the end of the last
    epoch (Loshchilov and Hutter, SGDR, ICLR 2017).
    """
    start = training.learning_rate
    if training.schedule == "step":
        return start * training.step_factor ** (int(progress) // training.step_epochs)
    if training.schedule == "cosine":
        borders = [0, *training.restarts, training.epochs]
        first = max(border for border in borders[:-1] if border <= progress)
        length = borders[borders.index(first) + 1] - first
        return start * 0.5 * (1.0 + cos(pi * min((progress - first) / length, 1.0)))
    return start
