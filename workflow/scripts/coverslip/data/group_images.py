"""Find the duplicates and the groups of a dataset, from its images alone; splits follow them.

What is only reported about a dataset is in `coverslip.data.quality_check`, a step of its own: a
change there splits and trains nothing again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from coverslip.config.sections import Dataset
from coverslip.config.tasks import MASKS
from coverslip.data import acquisition_groups, overlap
from coverslip.data import tables as manifests
from coverslip.data.duplicates import Pair
from coverslip.data.group_names import group_names
from coverslip.data.image_store import ImageStore
from coverslip.errors import CoverslipError, first_names
from coverslip.files import atomic_write

DUPLICATE_COLUMNS = ["a", "b", "kind", "distance"]


def group_images(
    images: Path, manifest: Path, dataset: Dataset, groups: Path, duplicates: Path
) -> None:
    """Write the groups and the duplicates of a dataset.

    - `groups` (csv): id, group, modality, stratum (the class where the dataset has classes, else
      the modality);
    - `duplicates` (csv): a, b, kind (exact, near, abutting or overlap), distance
      (`coverslip.data.duplicates`).

    Groups follow `dataset.group_by`; whatever they are, images joined by a pair share one.

    Raises:
        CoverslipError: the dataset cannot be learned from: it has no images, no object and no
            class, or a single group.
    """
    table = manifests.read_manifest(manifest)
    _raise_if_unlabelled(table, dataset, manifest)
    with ImageStore(images) as store:
        scales = _scales(store, table)
        features = [
            acquisition_groups.image_features(store.image(name), scales[dtype])
            for name, dtype in zip(table.index, table["dtype"], strict=True)
        ]
        pairs = acquisition_groups.find_pairs(
            features, table["sha256"].tolist(), dataset.near_duplicate_distance
        )
        if dataset.group_by == "overlap":
            sizes = table[["height", "width"]].to_numpy()
            pairs = with_overlaps(pairs, lambda at: store.image(table.index[at]), sizes)
    if dataset.group_by == "acquisition":
        names = acquisition_groups.acquisition_groups(features, pairs)
    else:
        names = acquisition_groups.merge(group_names(table, dataset), pairs)
    if len(set(names)) < 2:
        raise CoverslipError(
            f"{manifest}: all {len(table)} images are in one group ({names[0]}), so none can be "
            f"held out: give more images, or set `group_by: filename` of dataset {dataset.title} "
            "with a `group_pattern`"
        )
    modality = [image.modality for image in features]
    stratum = table["class"].where(table["class"] != "", modality)
    columns = (table.index, names, modality, stratum)
    _write_csv(dict(zip(manifests.GROUP_COLUMNS, columns, strict=True)), groups)
    ids = table.index
    rows = [(ids[pair.a], ids[pair.b], pair.kind, pair.distance) for pair in pairs]
    found = list(zip(*rows, strict=True)) if rows else [()] * len(DUPLICATE_COLUMNS)
    _write_csv(dict(zip(DUPLICATE_COLUMNS, found, strict=True)), duplicates)


def _write_csv(columns: Mapping[str, Any], path: Path) -> None:
    with atomic_write(path) as part:
        pd.DataFrame(columns).to_csv(part, index=False, lineterminator="\n")


def with_overlaps(
    pairs: list[Pair], image: Callable[[int], np.ndarray], sizes: np.ndarray
) -> list[Pair]:
    """Return the pairs, and those of `overlap.links` that are not yet among them; sorted.

    Args:
        pairs: those that are known.
        image: gives the image of a position, see `overlap.links`.
        sizes: (N, 2) heights and widths in pixels.
    """
    found = {(pair.a, pair.b): pair for pair in [*overlap.links(image, sizes), *pairs]}
    return [found[key] for key in sorted(found)]


def _scales(store: ImageStore, table: pd.DataFrame) -> dict[str, int]:
    """Return the brightest value of each type; reads only images of more than 8 bits."""
    scales = {}
    for dtype, names in table.groupby("dtype").groups.items():
        largest = 0 if dtype == "uint8" else max(int(store.image(name).max()) for name in names)
        scales[dtype] = acquisition_groups.full_scale(str(dtype), largest)
    return scales


def _raise_if_unlabelled(table: pd.DataFrame, dataset: Dataset, manifest: Path) -> None:
    """Raise an error where a dataset has no images, or no object and no class in any of them."""
    if table.empty:
        raise CoverslipError(
            f"{manifest}: no images: check the source and the format ({dataset.format}) of "
            f"dataset {dataset.title}"
        )
    if not table["n_objects"].any() and (table["class"] == "").all():
        wrong, fix = f"none of {len(table)} images has a class", "the labels"
        if dataset.format in MASKS:
            wrong = f"all {len(table)} masks are empty"
            fix = f"the masks and mask_threshold ({dataset.mask_threshold})"
        raise CoverslipError(
            f"{manifest}: {wrong} ({first_names(table.index)}): check {fix} of dataset "
            f"{dataset.title}"
        )
