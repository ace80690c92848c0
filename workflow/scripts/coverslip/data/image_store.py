"""The store: images and label maps at native size in one HDF5 file.

A file holds two datasets an image, `image/<id>` and `label/<id>`; an image that has only a class
has no label map. It is written in the order of the calls, without time stamps, so that equal calls
give equal bytes.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np

from coverslip.data.hdf5 import write_array, write_hdf5
from coverslip.errors import CoverslipError

IMAGE_TYPES = (np.dtype(np.uint8), np.dtype(np.uint16))


class ImageStoreWriter:
    """Context manager that writes a store; the file appears only when all went well.

    Args:
        path: the HDF5 file to make.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> ImageStoreWriter:
        self._file = self._stack.enter_context(write_hdf5(self.path))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def size(self) -> int:
        """Return the bytes that are written so far."""
        return self._file.id.get_filesize()

    def image(self, id: str, array: np.ndarray) -> None:
        """Add an image, HxW or HxWxC, uint8 or uint16.

        Raises:
            ValueError: another shape or dtype, or an id that is taken or cannot be a name.
            OSError: it cannot be written, for example for want of space.
        """
        if array.ndim == 2:
            array = array[:, :, np.newaxis]
        if array.ndim != 3 or array.dtype not in IMAGE_TYPES:
            raise ValueError(f"{id}: not an image: {array.dtype} {array.shape}")
        self._write("image", id, array)

    def label(self, id: str, array: np.ndarray) -> None:
        """Add a label map, HxW integers, 0 is background; it is kept as int32.

        Raises:
            ValueError: another shape or dtype, or an id that is taken or cannot be a name.
            OSError: it cannot be written, for example for want of space.
        """
        if array.ndim != 2 or array.dtype.kind not in "bui":
            raise ValueError(f"{id}: not a label map: {array.dtype} {array.shape}")
        self._write("label", id, array.astype(np.int32, copy=False))

    def _write(self, kind: str, id: str, array: np.ndarray) -> None:
        if not id or "/" in id or id in (".", ".."):
            raise ValueError(f"{id!r} cannot be the id of an image")
        write_array(self._file, f"{kind}/{id}", array)


class ImageStore:
    """Context manager that reads a store.

    Args:
        path: the HDF5 file.

    Raises:
        CoverslipError: the file is missing or is not a store.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        try:
            self._file = h5py.File(self.path, "r")
        except OSError as error:
            raise CoverslipError(
                f"{self.path}: not a readable store of images ({error}): "
                "remove it and run again, so that it is ingested again"
            ) from error

    def __enter__(self) -> ImageStore:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the context manager does it too."""
        self._file.close()

    def ids(self) -> list[str]:
        """Return the ids of all images, sorted."""
        return sorted(self._file["image"]) if "image" in self._file else []

    def image(self, id: str) -> np.ndarray:
        """Return an image, HxWxC (grey: C=1), uint8 or uint16 as ingested."""
        return self._read("image", id)

    def has_label(self, id: str) -> bool:
        """Return whether an image has a label map; with only a class it has none."""
        return f"label/{id}" in self._file

    def label(self, id: str) -> np.ndarray:
        """Return a label map, HxW int32, 0 is background."""
        return self._read("label", id)

    def _read(self, kind: str, id: str) -> np.ndarray:
        name = f"{kind}/{id}"
        if name not in self._file:
            raise CoverslipError(
                f"{self.path}: holds no {kind} of '{id}': remove the file and run again"
            )
        return self._file[name][...]
