"""Patches: what a network is trained on, cut once and then memory-mapped.

A shard is a folder with `images.npy` (uint8 NxPxPxC), `labels.npy` (uint16) and `index.csv` (one
row for each patch, in the order of the arrays). Labels of masks are NxPxP, instances numbered from
1 in each patch; where masks are resized, foreground is 1. Images with classes are whole, resized,
and their labels are Nx1x1, the number of the class.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from coverslip.config.sections import Preprocessing
from coverslip.data.image_store import ImageStore
from coverslip.data.tables import read_manifest, select_images
from coverslip.errors import CoverslipError
from coverslip.files import atomic_write
from coverslip.imaging.image_statistics import KEPT, summarize_training
from coverslip.imaging.labels import renumber
from coverslip.models import preprocessing
from coverslip.models.tiles import pad, window_starts

INDEX_TYPES = {
    "patch": int,
    "id": str,
    "y": int,
    "x": int,
    "height": int,
    "width": int,
    "foreground": float,
}
"""Columns of an index with their types.

- `patch`: number of the row.
- `id`: the image; `y`, `x`: upper left corner of the patch in it, in pixels.
- `height`, `width`: size of the whole image, in pixels.
- `foreground`: fraction of foreground in the patch, 0..1.
"""

CLASS = "class"
"""A further column of an index of images with classes: the image's label, or empty."""


def corners(height: int, width: int, p: Preprocessing) -> list[tuple[int, int]]:
    """Return the upper left corners (y, x) of the patches of an image, row by row.

    They are `patch * (1 - overlap)` pixels apart, rounded; the last of a row or column is shifted
    inward, so that all pixels are covered. An image that is resized is one patch.
    """
    if p.resize is not None:
        return [(0, 0)]
    return [
        (y, x)
        for y in window_starts(height, p.patch, p.overlap)
        for x in window_starts(width, p.patch, p.overlap)
    ]


def patch_shape(p: Preprocessing) -> tuple[int, int, int]:
    """Return height, width and channels of a patch."""
    height, width = p.resize or (p.patch, p.patch)
    return (height, width, preprocessing.channels(p))


def extract_patches(
    images: Path, manifest: Path, p: Preprocessing, shard: int, shards: int, output: Path
) -> None:
    """Cut the patches of one shard; one image at a time is in memory.

    Shard i has the images i, i + shards, i + 2 shards, ... of the sorted manifest. Images smaller
    than a patch are continued by reflection at their lower and right border. All patches are kept:
    `min_foreground_fraction` is applied in training (`Patches.rows`).

    Args:
        images: the store.
        manifest: the manifest that belongs to it.
        p: the preprocessing section.
        shard: number of the shard, from 0.
        shards: number of shards.
        output: folder to fill; it may exist.

    Raises:
        CoverslipError: an image is missing, of another size than in the manifest, or of a type that
            `preprocessing.to_input` does not read.
    """
    table = read_manifest(manifest).sort_index().iloc[shard::shards]
    counts = [len(corners(h, w, p)) for h, w in zip(table["height"], table["width"], strict=True)]
    shape = (sum(counts), *patch_shape(p))
    with ExitStack() as stack:
        patch_file, labels, add_row = _open_shard(stack, output, shape, shape[:3], INDEX_TYPES)
        store = stack.enter_context(ImageStore(images))
        numbers = itertools.count()
        for id, height, width in zip(table.index, table["height"], table["width"], strict=True):
            image, label = _read_pair(store, id, (height, width), p)
            for y, x in corners(height, width, p):
                window = np.s_[y : y + shape[1], x : x + shape[2]]
                patch_file.write(image[window].tobytes())
                labels.write(_number_instances(label[window]).tobytes())
                foreground = round(float((label[window] > 0).mean()), 6)
                add_row((next(numbers), id, y, x, height, width, foreground))


def extract_class_patches(
    images: Path, manifest: Path, p: Preprocessing, shard: int, shards: int, output: Path
) -> None:
    """Resize the images of one shard of a classification; one image at a time is in memory.

    The index also has the label of the class, empty for images without one, whose number in
    `labels.npy` has no meaning. Arguments and errors are those of `extract_patches`; `p.resize` is
    set.
    """
    table = read_manifest(manifest).sort_index()
    numbers = {label: number for number, label in enumerate(sorted(set(table["class"]) - {""}))}
    table = table.iloc[shard::shards]
    shape = (len(table), *patch_shape(p))
    with ExitStack() as stack:
        patch_file, labels, add_row = _open_shard(
            stack, output, shape, (len(table), 1, 1), [*INDEX_TYPES, CLASS]
        )
        store = stack.enter_context(ImageStore(images))
        rows = table[["class", "height", "width"]].itertuples(name=None)
        for number, (id, label, height, width) in enumerate(rows):
            patch_file.write(network_input(store, id, p).tobytes())
            labels.write(np.uint16(numbers.get(label, 0)).tobytes())
            add_row((number, id, 0, 0, height, width, 1.0, label))


def network_input(store: ImageStore, id: str, p: Preprocessing) -> np.ndarray:
    """Return an image as the network sees it before scaling: uint8 HxWxC, resized if asked."""
    return _to_input(store, id, store.image(id), p)


def _to_input(store: ImageStore, id: str, image: np.ndarray, p: Preprocessing) -> np.ndarray:
    try:
        image = preprocessing.to_input(image, p)
    except CoverslipError as error:
        raise CoverslipError(f"{store.path}: image '{id}': {error}") from error
    if p.resize is None:
        return image
    return preprocessing.resize_image(image, p.resize, p.resize_filter)


def _read_pair(
    store: ImageStore, id: str, size: tuple[int, int], p: Preprocessing
) -> tuple[np.ndarray, np.ndarray]:
    """Return the image as the network sees it (uint8 HxWxC) and its label image (int HxW)."""
    image, label = store.image(id), store.label(id)
    if image.shape[:2] != tuple(size) or label.shape != tuple(size):
        raise CoverslipError(
            f"{store.path}: image '{id}' does not have the size of the manifest "
            f"({size[0]}x{size[1]}): remove the folder of the dataset and run again"
        )
    image = _to_input(store, id, image, p)
    if p.resize is not None:
        return image, preprocessing.resize_mask(label, p.resize, p.mask_resize)
    return pad(image, (p.patch, p.patch)), pad(label, (p.patch, p.patch))


def _number_instances(label: np.ndarray) -> np.ndarray:
    """Number the instances of a patch from 1 on, uint16 HxW."""
    label, count = renumber(label)
    if count > np.iinfo(np.uint16).max:
        raise CoverslipError(
            f"a patch contains {count} objects, and at most 65535 can be stored: set "
            "preprocessing.patch to a smaller size"
        )
    return label.astype(np.uint16)


def _open_shard(
    stack: ExitStack,
    output: Path,
    images: tuple[int, ...],
    labels: tuple[int, ...],
    columns: Iterable[str],
) -> tuple[BinaryIO, BinaryIO, Callable[[Iterable[Any]], Any]]:
    """Open the files of a shard for writing row by row.

    Args:
        stack: closes them, and renames them if no error happened.
        output: folder of the shard; it may exist.
        images: shape of the images.
        labels: shape of the labels.
        columns: of the index.

    Returns:
        The files of the images and of the labels, and a function that writes a row of the index.
    """
    output.mkdir(parents=True, exist_ok=True)
    # The index is renamed last: if it exists, the arrays are complete.
    part = stack.enter_context(atomic_write(output / "index.csv"))
    index = stack.enter_context(part.open("w", newline="", encoding="utf-8"))
    files = (
        _open_array(stack, output / "images.npy", images, np.uint8),
        _open_array(stack, output / "labels.npy", labels, np.uint16),
    )
    rows = csv.writer(index, lineterminator="\n")
    rows.writerow(columns)
    return *files, rows.writerow


def _open_array(stack: ExitStack, path: Path, shape: tuple[int, ...], dtype: type) -> BinaryIO:
    """Open a .npy file for writing row by row, its header written.

    Written as a file, not through a memory map: on a full disk a write raises an error, while a
    memory map would kill the process (SIGBUS).
    """
    file = stack.enter_context(stack.enter_context(atomic_write(path)).open("wb"))
    header = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file


class Patches:
    """All patches of a study, memory-mapped.

    Rows are sorted by id and corner whatever the number of shards, so that the number of shards
    does not change a training.

    Attributes:
        index: the rows of all shards; columns as in `INDEX_TYPES`, `patch` is the row's number.
        shape: height, width and channels of a patch.

    Raises:
        CoverslipError: a folder has no complete shard, or the shards do not belong together.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = [Path(folder) for folder in folders]
        if not self._folders:
            raise CoverslipError("no folder of patches was given")
        self._images = [_map_array(folder / "images.npy") for folder in self._folders]
        self._labels = [_map_array(folder / "labels.npy") for folder in self._folders]
        tables = [_read_index(folder / "index.csv") for folder in self._folders]
        for folder, images, labels, table in zip(
            self._folders, self._images, self._labels, tables, strict=True
        ):
            # An image with a class has one label instead of one for each pixel.
            fits = labels.shape[1:] in (images.shape[1:3], (1, 1))
            same = fits and len(images) == len(labels) == len(table)
            if not same or images.shape[1:] != self._images[0].shape[1:]:
                raise CoverslipError(
                    f"{folder}: does not fit the other patches: remove it and run again"
                )
        self.shape: tuple[int, int, int] = self._images[0].shape[1:]
        index = pd.concat(tables, keys=range(len(tables)), names=["shard", None])
        index = index.reset_index("shard").sort_values(["id", "y", "x"], kind="stable")
        self._shard = index.pop("shard").to_numpy(np.int64)
        self._row = index["patch"].to_numpy(np.int64)
        self.index = index.reset_index(drop=True)
        self.index["patch"] = np.arange(len(index))

    def __len__(self) -> int:
        return len(self.index)

    @property
    def classes(self) -> list[str]:
        """Labels of the classes of whole images, sorted; their numbers are in `labels`."""
        return sorted(set(self.index[CLASS]) - {""})

    def rows(self, ids: Iterable[str], min_foreground_fraction: float = 0.0) -> np.ndarray:
        """Return the numbers of the rows of these images, int64, ascending.

        Args:
            ids: the images.
            min_foreground_fraction: patches with a smaller fraction of foreground are left out.
        """
        keep = self.index["id"].isin(list(ids)) & (
            self.index["foreground"] >= min_foreground_fraction
        )
        return np.flatnonzero(keep.to_numpy())

    def rows_of(self, split: pd.DataFrame, min_foreground_fraction: float = 0.0) -> np.ndarray:
        """Return the rows of the images, or patches, of some rows of a split; see `rows`."""
        found = self.rows(split["id"], min_foreground_fraction)
        if "y" not in split:
            return found
        place = ["id", "y", "x"]
        wanted = pd.MultiIndex.from_frame(split[place])
        return found[pd.MultiIndex.from_frame(self.index[place].iloc[found]).isin(wanted)]

    def images(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return a copy of these images, uint8 NxHxWxC, in the order of `rows`."""
        return self._gather(self._images, rows)

    def labels(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Return a copy of these label images, uint16 NxHxW (0 background), or classes, Nx1x1."""
        return self._gather(self._labels, rows)

    def blocks(self, rows: Sequence[int] | np.ndarray, size: int = 256) -> Iterator[np.ndarray]:
        """Yield the images of these rows in blocks, uint8 NxHxWxC; for `preprocessing.fit`."""
        for start in range(0, len(rows), size):
            yield self.images(rows[start : start + size])

    def _gather(self, arrays: list[np.ndarray], rows: Sequence[int] | np.ndarray) -> np.ndarray:
        rows = np.asarray(rows, np.int64)
        gathered = np.empty((len(rows), *arrays[0].shape[1:]), arrays[0].dtype)
        shards = self._shard[rows]
        for shard in np.unique(shards):
            here = np.flatnonzero(shards == shard)
            gathered[here] = arrays[shard][self._row[rows[here]]]
        return gathered


def _map_array(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise CoverslipError(
            f"{path}: not a readable array of patches ({error}): remove its folder and run again"
        ) from error


def _read_index(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype={"id": str, CLASS: str}, keep_default_na=False)
        columns = [*INDEX_TYPES, *({CLASS} & set(table.columns))]
        return table[columns].astype(INDEX_TYPES)
    except (OSError, ValueError, KeyError) as error:
        raise CoverslipError(
            f"{path}: not a readable index of patches ({error}): remove its folder and run again"
        ) from error


# --- Statistics of the images that a model is trained on: what `measure` compares own images with


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
