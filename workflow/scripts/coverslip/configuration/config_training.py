"""The part of the config that tells how the weights of a network are found."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from coverslip.configuration.config_base import Section


class Augmentation(Section):
    """Random changes of the training patches, drawn anew in each epoch."""

    flips: bool = False
    """Flip left-right and up-down."""
    quarter_turns: bool = False
    """Turn by multiples of 90 degrees."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Smallest and largest magnification (log-uniform)."""
    contrast: tuple[float, float] = (1.0, 1.0)
    """Smallest and largest factor of the contrast about the patch's mean (log-uniform)."""
    gamma: tuple[float, float] = (1.0, 1.0)
    """Smallest and largest exponent of the brightness (log-uniform)."""
    noise: float = Field(default=0.0, ge=0)
    """Largest standard deviation of Gaussian noise, on the scale 0..1."""
    invert: float = Field(default=0.0, ge=0, le=1)
    """Probability of inverting the brightness."""


class Training(Section):
    """How the weights are found."""

    epochs: int = Field(default=50, ge=1)
    """Largest number of epochs."""
    batch_size: int = Field(default=16, ge=1)
    """Patches a step."""
    patches_per_epoch: int | None = Field(default=None, ge=1)
    """Patches drawn for an epoch, from all pictures alike; none: every patch once."""
    learning_rate: float = Field(default=1.0e-3, gt=0)
    """Learning rate at the start (Adam)."""
    schedule: Literal["constant", "step", "cosine"] = "constant"
    """`step`: times `step_factor` every `step_epochs`; `cosine`: to zero at the last epoch."""
    restarts: list[Annotated[int, Field(ge=1)]] = []
    """For `cosine`: epochs after which the learning rate is at its height again, to fall to zero
    once more; [60] with 100 epochs goes on where a training of 60 epochs ends."""
    step_epochs: int = Field(default=10, ge=1)
    """For `step`: epochs between two steps."""
    step_factor: float = Field(default=0.9, gt=0, le=1)
    """For `step`: factor at each step."""
    loss: Literal["crossentropy", "dice", "crossentropy+dice"] = "crossentropy"
    """Loss function; cross-entropy is binary with one output channel."""
    dice: Literal["batch", "patch"] = "batch"
    """For Dice: over all pixels of a batch, or of each patch on its own, which gives a patch with
    little foreground the same say."""
    statistics: Literal["running", "precise"] = "running"
    """Of batch normalization, for prediction. `running`: those that training leaves, which follow
    its last few batches; `precise`: taken anew from some hundred batches at the end."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced`: weights inverse to the share of a class among the training pixels."""
    patience: int | None = Field(default=None, ge=1)
    """Stop after this many epochs without a better validation loss; none: never."""
    restore_best: bool = True
    """Keep the weights of the best epoch rather than of the last."""
    threshold: Literal["iou", "iou_pooled", "confluency"] | None = None
    """What the threshold on the probability of foreground is tuned for, on the validation pictures:
    mean IoU of pictures, IoU of all their pixels, or confluency; none: `confluency` for that task,
    else `iou`. With `protocol: as-published` it stays 0.5."""
    augmentation: Augmentation = Augmentation()
    """Random changes of the training patches."""
