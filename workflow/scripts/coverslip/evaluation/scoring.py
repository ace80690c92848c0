"""What is compared with what: truth, picture and prediction at the scored resolution."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import cv2
import h5py
import numpy as np

from coverslip.configuration.config import Evaluation, Preprocessing
from coverslip.errors import CoverslipError
from coverslip.models import preprocess


def scored_size(preprocessing: Preprocessing, evaluation: Evaluation) -> tuple[int, int] | None:
    """Height and width at which predictions are scored; none: each picture's own size."""
    return preprocessing.resize if evaluation.resolution == "network" else None


def truth_mask(label: np.ndarray, size: tuple[int, int] | None, method: str) -> np.ndarray:
    """True foreground, bool HxW, of a label map (int HxW), resized as training does it."""
    mask = (label > 0).astype(np.uint8)
    return (mask if size is None else preprocess.resize_mask(mask, size, method)) > 0


def scored_image(image: np.ndarray, size: tuple[int, int] | None) -> np.ndarray:
    """The picture, HxWxC in its own dtype, at the scored size."""
    if size is None:
        return image
    resized = preprocess.resize_image(image, size)
    return resized if resized.ndim == 3 else resized[:, :, np.newaxis]


def count_true_objects(label: np.ndarray) -> int:
    """Number of instances in a label map (int HxW, 0 is background)."""
    return int(np.count_nonzero(np.bincount(label.ravel())[1:]))


def count_objects(mask: np.ndarray, minimum_area: int) -> int:
    """Number of 8-connected components of a mask (bool HxW) of at least `minimum_area` pixels."""
    _, _, facts, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    return int(np.count_nonzero(facts[1:, cv2.CC_STAT_AREA] >= minimum_area))


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
                # A shard of a small study may hold no picture at all.
                self._where |= {id: file for id in file.get("label", ())}
                self.has_instances |= len(file.get("instance", ())) > 0
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def ids(self) -> list[str]:
        """Return the ids of all predicted pictures, sorted."""
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
