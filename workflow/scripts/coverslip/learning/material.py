"""What a training goes through: patches of a fold in batches, scaled as fitted on them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.configuration.config import Network, Preprocessing
from coverslip.configuration.config_training import Training
from coverslip.learning import device as devices
from coverslip.learning.batches import Batches, select
from coverslip.learning.patches import Patches
from coverslip.models.preprocess import fit


@dataclass(frozen=True)
class Sections:
    """The sections of the configuration that training goes by, and the seed."""

    preprocessing: Preprocessing
    network: Network
    training: Training
    seed: int
    weights_file: Path | None = None


@dataclass(frozen=True)
class Material:
    """What a training goes through."""

    sections: Sections
    """The sections, with as many outputs of the network as there are classes."""
    batches: dict[str, Batches]
    """Of `train` and `validation`."""
    shape: tuple[int, int, int]
    """Height, width and channels of a patch."""
    classes: list[str]
    """Names of the classes."""
    absent: list[str]
    """Classes of whole pictures of which there is no training picture."""
    fitted: dict[str, Any]
    """What `preprocessing.scaling` needs, from the training patches."""


def gathered(
    patches: list[Path],
    split: Path,
    fold: int,
    sections: Sections,
    device: devices.Device,
    report: Callable[[str], None],
) -> Material:
    """What a training of a fold goes through; the arguments are those of `training.train`.

    Raises:
        CoverslipError: the fold has no patches.
    """
    data = Patches(patches)
    preprocessing, training = sections.preprocessing, sections.training
    network, classes = _outputs(sections.network, data)
    subsets = select(data, split, fold, preprocessing.minimum_foreground)
    absent = _absent(network, data, subsets.training, classes)
    if absent:
        report(f"no training picture of {', '.join(absent)}: none will be predicted as such")
    fitted = fit(data.blocks(subsets.training), preprocessing)
    workers = max(2, min(8, (device.threads or os.cpu_count() or 1) - 1))
    batches = {
        name: Batches(data, rows, preprocessing, fitted, training.batch_size, workers, network.head)
        for name, rows in (("train", subsets.training), ("validation", subsets.validation))
    }
    sections = replace(sections, network=network)
    return Material(sections, batches, data.shape, classes, absent, fitted)


def _outputs(network: Network, patches: Patches) -> tuple[Network, list[str]]:
    """The network section with as many outputs as there are classes, and their names."""
    if network.head == "class":
        classes = patches.classes
        return network.model_copy(update={"outputs": len(classes)}), classes
    extra = [f"class {number}" for number in range(2, network.outputs)]
    return network, ["background", "foreground", *extra]


def _absent(
    network: Network, patches: Patches, training: np.ndarray, classes: list[str]
) -> list[str]:
    """Classes of whole pictures of which there is no training picture."""
    if network.head != "class":
        return []
    return sorted(set(classes) - set(patches.index["class"].to_numpy()[training]))
