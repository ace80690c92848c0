"""The section of the configuration on the search of hyper-parameters."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from coverslip.configuration.config_base import Section


class Values(Section):
    """Values of a key that are tried: a range, or a list of choices."""

    low: int | float | None = None
    """Smallest value. With whole numbers for `low` and `high` (1, not 1.0) only whole numbers are
    drawn."""
    high: int | float | None = None
    """Largest value."""
    log: bool = False
    """Draw evenly on a logarithmic scale."""
    choices: list[Any] | None = Field(default=None, min_length=1)
    """In place of a range: the values, all equally likely."""


class Search(Section):
    """Hyper-parameters found by successive halving before the study's training."""

    space: dict[str, Values] = Field(min_length=1)
    """What is tried, by the path of the key in the study: `training.learning_rate`,
    `network.filters`; any key of `preprocessing`, `network` and `training` but those that say what
    is learned, and `training.epochs`."""
    trials: int = Field(default=16, ge=2)
    """Trials at the start. More of them later leave the earlier ones as they are."""
    epochs_first: int = Field(default=1, ge=1)
    """Epochs that every trial gets: the first rung."""
    epochs_last: int = Field(default=9, ge=1)
    """Largest number of epochs: there are rungs of `epochs_first`, times `eta`, times `eta` again
    up to it, as long as more than one trial is left."""
    eta: int = Field(default=3, ge=2)
    """One trial of so many goes on to the next rung, with so many times the epochs."""
    metric: Literal["loss", "accuracy", "iou"] = "loss"
    """What ranks trials, on validation pictures, at the epoch whose weights would be kept. A low
    loss is better; a high accuracy (of pixels, or of pictures) or IoU."""
    seed: int = Field(default=1, ge=0)
    """Seed of the draw, and of the training of every trial."""
