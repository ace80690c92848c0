"""Predictions of one model on the pictures of a split, kept in an HDF5 file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from coverslip.aside import aside
from coverslip.configuration.config import Evaluation
from coverslip.data.store import Store, write_array
from coverslip.errors import CoverslipError
from coverslip.models.channels import foreground
from coverslip.models.model import Model, load


def predict(
    model: Path,
    pictures: Path,
    split: Path,
    fold: int,
    subsets: Iterable[str],
    evaluation: Evaluation,
    shard: int,
    shards: int,
    output: Path,
    policy: str | None = None,
) -> None:
    """Predict one shard of the pictures of some subsets; a batch of pictures is in memory.

    The file holds `probability/<id>`, float16 HxW, probability of foreground, 0..1, and
    `label/<id>`, uint8 HxW, class of each pixel (`Model.mask`), with the attribute `subset`.
    A model of instances adds `instance/<id>`, int32 HxW, its objects.
    The root has the attributes `fold`, `threshold` and `resolution`. Equal predictions give equal
    bytes.

    Args:
        model: the model folder.
        pictures: the store.
        split: the table of the split.
        fold: which fold of it.
        subsets: which subsets of it: `train`, `validation`, `test`.
        evaluation: resolution, overlap, flips and scales are taken from it.
        shard: number of the shard, from 0; it holds every `shards`-th of the sorted ids.
        shards: number of shards.
        output: the HDF5 file to write.
        policy: dtype policy to predict fast in, see `Model`.

    Raises:
        CoverslipError: the model, store or split cannot be read, or lacks something.
    """
    table = chosen(split, fold, subsets).iloc[shard::shards]
    network = load(model, policy)
    with aside(output) as part, Store(pictures) as store, h5py.File(part, "w") as file:
        file.attrs["fold"] = fold
        file.attrs["threshold"] = network.threshold
        file.attrs["resolution"] = evaluation.resolution
        file.create_group("probability")
        file.create_group("label")
        answers = _answers(network, store, list(table.index), evaluation)
        for (id, subset), answer in zip(table["subset"].items(), answers, strict=True):
            write_array(file, f"probability/{id}", foreground(answer).astype(np.float16))
            label = write_array(file, f"label/{id}", network.mask(answer))
            label.attrs["subset"] = subset
            if network.head == "instances":
                write_array(file, f"instance/{id}", network.objects(answer))


def chosen(split: Path, fold: int, subsets: Iterable[str]) -> pd.DataFrame:
    """Return the rows of a split for a fold and some subsets, indexed by id, sorted.

    Raises:
        CoverslipError: the table cannot be read or has no such fold.
    """
    try:
        table = pd.read_csv(split, dtype={"id": str, "subset": str}, keep_default_na=False)
        table = table[table["fold"].astype(int) == fold].set_index("id")
        rows = table[table["subset"].isin(list(subsets))].sort_index()
    except (OSError, ValueError, KeyError) as error:
        raise CoverslipError(
            f"{split}: not a readable split ({error}): remove it and run again"
        ) from error
    if table.empty:
        raise CoverslipError(f"{split}: has no fold {fold}: remove it and run again")
    return rows


def _answers(
    network: Model, store: Store, ids: list[str], evaluation: Evaluation
) -> Iterator[np.ndarray]:
    if not ids:
        return iter(())
    images = (store.image(id) for id in ids)
    return network.predict(
        images,
        evaluation.resolution,
        evaluation.overlap,
        evaluation.flips,
        scales=evaluation.scales,
    )
