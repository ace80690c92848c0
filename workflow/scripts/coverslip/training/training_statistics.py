"""Statistics of the images that a model is trained on: what `measure` compares own images with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from coverslip.data.image_store import ImageStore
from coverslip.data.tables import select_images
from coverslip.imaging.image_statistics import KEPT, summarize_training


def training_statistics(images: Path, split: Path, fold: int) -> dict[str, Any] | None:
    """Return the section `training_statistics` of `model.json`; none of too few images.

    Args:
        images: the store.
        split: the table of the split.
        fold: the fold; of its training images at most `KEPT` are read, evenly over their names.

    Raises:
        CoverslipError: the store or the split cannot be read.
    """
    ids = select_images(split, fold, ["train"]).index
    places = np.linspace(0, len(ids) - 1, KEPT if len(ids) else 0)
    chosen = np.unique(places.round().astype(int))
    with ImageStore(images) as store:
        return summarize_training(store.image(ids[at]) for at in chosen)
