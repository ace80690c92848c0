"""Predictions of one model on the images of a split, kept in an HDF5 file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import cv2
import h5py
import numpy as np
import pandas as pd

from coverslip.config.sections import Evaluation, Preprocessing
from coverslip.data.image_store import ImageStore, write_array
from coverslip.errors import CoverslipError
from coverslip.files import atomic_write
from coverslip.models import preprocessing
from coverslip.models.heads import foreground
from coverslip.models.model import Model, load


def predict(
    model: Path,
    images: Path,
    split: Path,
    fold: int,
    subsets: Iterable[str],
    evaluation: Evaluation,
    shard: int,
    shards: int,
    output: Path,
    policy: str | None = None,
) -> None:
    """Predict one shard of the images of some subsets; a batch of images is in memory.

    The file holds `probability/<id>`, float16 HxW, probability of foreground, 0..1, and
    `label/<id>`, uint8 HxW, class of each pixel (`Model.mask`), with the attribute `subset`.
    A model of instances adds `instance/<id>`, int32 HxW, its objects.
    The root has the attributes `fold`, `threshold` and `resolution`. Equal predictions give equal
    bytes.

    Args:
        model: the model folder.
        images: the store.
        split: the table of the split.
        fold: which fold of it.
        subsets: which subsets of it: `train`, `validation`, `test`.
        evaluation: resolution, overlap, tta and tta_scales are taken from it.
        shard: number of the shard, from 0; it holds every `shards`-th of the sorted ids.
        shards: number of shards.
        output: the HDF5 file to write.
        policy: dtype policy to predict fast in, see `Model`.

    Raises:
        CoverslipError: the model, store or split cannot be read, or lacks something.
    """
    table = selected_images(split, fold, subsets).iloc[shard::shards]
    network = load(model, policy)
    with atomic_write(output) as part, ImageStore(images) as store, h5py.File(part, "w") as file:
        file.attrs["fold"] = fold
        file.attrs["threshold"] = network.threshold
        file.attrs["resolution"] = evaluation.resolution
        file.create_group("probability")
        file.create_group("label")
        answers = _predict_images(network, store, list(table.index), evaluation)
        for (id, subset), answer in zip(table["subset"].items(), answers, strict=True):
            write_array(file, f"probability/{id}", foreground(answer).astype(np.float16))
            label = write_array(file, f"label/{id}", network.mask(answer))
            label.attrs["subset"] = subset
            if network.head == "instance":
                write_array(file, f"instance/{id}", network.objects(answer))


def selected_images(split: Path, fold: int, subsets: Iterable[str]) -> pd.DataFrame:
    """Return the rows of a split for a fold and some subsets, indexed by id, sorted.

    Raises:
        CoverslipError: the table cannot be read or has no such fold.
    """
    try:
        table = pd.read_csv(split, dtype={"id": str, "subset": str}, keep_default_na=False)
        table = table[table["fold"].astype(int) == fold].set_index("id")
        rows = table[table["subset"].isin(list(subsets))].sort_index()
        rows = rows[~rows.index.duplicated()]  # a split of patches has several of an image
    except (OSError, ValueError, KeyError) as error:
        raise CoverslipError(
            f"{split}: not a readable split ({error}): remove it and run again"
        ) from error
    if table.empty:
        raise CoverslipError(f"{split}: has no fold {fold}: remove it and run again")
    return rows


def _predict_images(
    network: Model, store: ImageStore, ids: list[str], evaluation: Evaluation
) -> Iterator[np.ndarray]:
    if not ids:
        return iter(())
    images = (store.image(id) for id in ids)
    return network.predict(
        images,
        evaluation.resolution,
        evaluation.overlap,
        evaluation.tta,
        tta_scales=evaluation.tta_scales,
    )


# --- What is compared with what: truth, image and prediction at the scored resolution


def scored_size(preprocessing: Preprocessing, evaluation: Evaluation) -> tuple[int, int] | None:
    """Height and width at which predictions are scored; none: each image's own size."""
    return preprocessing.resize if evaluation.resolution == "network" else None


def truth_mask(label: np.ndarray, size: tuple[int, int] | None, method: str) -> np.ndarray:
    """True foreground, bool HxW, of a label map (int HxW), resized as training does it."""
    mask = (label > 0).astype(np.uint8)
    return (mask if size is None else preprocessing.resize_mask(mask, size, method)) > 0


def scored_image(image: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """The image, HxWxC in its own dtype, at the scored size."""
    if size is None:
        return image
    resized = preprocessing.resize_image(image, size)
    return resized if resized.ndim == 3 else resized[:, :, np.newaxis]


def count_true_objects(label: np.ndarray) -> int:
    """Number of instances in a label map (int HxW, 0 is background)."""
    return int(np.count_nonzero(np.bincount(label.ravel())[1:]))


def count_objects(mask: np.ndarray, min_area_px: int) -> int:
    """Number of 8-connected components of a mask (bool HxW) of at least `min_area_px` pixels."""
    _, _, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return int(np.count_nonzero(facts[1:, cv2.CC_STAT_AREA] >= min_area_px))


class Predictions:
    """Context manager over the prediction files (shards) of one run, read only.

    Raises:
        CoverslipError: a file is missing or is not a prediction.
    """

    def __init__(self, paths: list[Path]) -> None:
        self.paths = sorted(Path(path) for path in paths)
        self._stack = ExitStack()
        self._where: dict[str, h5py.File] = {}
        self.has_instances = False
        """Whether objects were predicted one by one, and not the foreground alone."""

    def __enter__(self) -> Predictions:
        with self._stack as stack:
            for path in self.paths:
                try:
                    file = stack.enter_context(h5py.File(path, "r"))
                except OSError as error:
                    raise CoverslipError(
                        f"{path}: not a readable prediction ({error}): remove it and run again"
                    ) from error
                # A shard of a small study may hold no image at all.
                self._where |= {id: file for id in file.get("label", ())}
                self.has_instances |= len(file.get("instance", ())) > 0
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ids(self) -> list[str]:
        """Return the ids of all predicted images, sorted."""
        return sorted(self._where)

    def label(self, id: str) -> np.ndarray:
        """Return a predicted class map, uint8 HxW, 0 is background."""
        if id not in self._where:
            raise CoverslipError(
                f"{self.paths[0].parent}: holds no prediction of '{id}': remove it and run again"
            )
        return self._where[id][f"label/{id}"][...]

    def mask(self, id: str, shape: tuple[int, int]) -> np.ndarray:
        """Return the predicted foreground, bool HxW: every class but 0.

        Raises:
            CoverslipError: there is none, or it has another size than the truth.
        """
        label = self.label(id)
        self._refuse_size(id, label.shape, shape)
        return label > 0

    def instances(self, id: str, shape: tuple[int, int]) -> np.ndarray:
        """Return the predicted objects, int32 HxW: 0 is background, each object has its number.

        Raises:
            CoverslipError: there are none, or they have another size than the truth.
        """
        if id not in self._where or f"instance/{id}" not in self._where[id]:
            raise CoverslipError(
                f"{self.paths[0].parent}: holds no instances of '{id}': remove it and run again"
            )
        label = self._where[id][f"instance/{id}"][...]
        self._refuse_size(id, label.shape, shape)
        return label

    def _refuse_size(self, id: str, found: tuple[int, ...], shape: tuple[int, int]) -> None:
        if found != shape:
            raise CoverslipError(
                f"{self._where[id].filename}: the prediction of '{id}' has {found} pixels, "
                f"its truth {shape}: remove the file and run again"
            )
