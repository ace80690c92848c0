"""Images as a classification learns them: whole, resized, each with the number of its class."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pandas as pd

from coverslip.config.sections import Preprocessing
from coverslip.data import tables as manifests
from coverslip.data.image_store import ImageStore
from coverslip.errors import CoverslipError
from coverslip.models import preprocessing
from coverslip.training.patches import CLASS, INDEX_TYPES, patch_shape, shard_files


def class_labels(table: pd.DataFrame) -> list[str]:
    """Labels of the classes in a manifest, sorted; a class' number is its place here."""
    return sorted(set(table["class"]) - {""})


def prepare(
    images: Path, manifest: Path, p: Preprocessing, shard: int, shards: int, output: Path
) -> None:
    """Resize the images of one shard; one is in memory at a time.

    `images.npy` is uint8 NxHxWxC, `labels.npy` uint16 Nx1x1, the number of the class, and
    `index.csv` has the columns of `patches.INDEX_TYPES` and the class' label, empty for images
    without one, whose number means nothing.

    Args:
        images: the store.
        manifest: the manifest that belongs to it.
        p: the preprocessing section, with `resize`.
        shard: number of the shard, from 0; it holds every `shards`-th of the sorted ids.
        shards: number of shards.
        output: folder to fill; it may exist.

    Raises:
        CoverslipError: an image is missing, or of a type that `preprocess.image` does not read.
    """
    table = manifests.read(manifest).sort_index()
    numbers = {label: number for number, label in enumerate(class_labels(table))}
    table = table.iloc[shard::shards]
    shape = (len(table), *patch_shape(p))
    with contextlib.ExitStack() as stack:
        patch_file, labels, add_row = shard_files(
            stack, output, shape, (len(table), 1, 1), [*INDEX_TYPES, CLASS]
        )
        store = stack.enter_context(ImageStore(images))
        columns = table[["class", "height", "width"]].itertuples(name=None)
        for number, (id, label, height, width) in enumerate(columns):
            image = network_input(store, id, p)
            patch_file.write(image.tobytes())
            labels.write(np.uint16(numbers.get(label, 0)).tobytes())
            add_row((number, id, 0, 0, height, width, 1.0, label))


def network_input(store: ImageStore, id: str, p: Preprocessing) -> np.ndarray:
    """An image as the network sees it before scaling: uint8 HxWxC of the size `p.resize`."""
    try:
        image = preprocessing.to_input(store.image(id), p)
    except CoverslipError as error:
        raise CoverslipError(f"{store.path}: image '{id}': {error}") from error
    if p.resize is None:
        return image
    return preprocessing.resize_image(image, p.resize, p.resize_filter)
