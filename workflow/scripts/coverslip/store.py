"""The store: pictures and label maps at native size in one HDF5 file.

A file holds two datasets a picture, `image/<id>` and `label/<id>`. It is written in the order of
the calls, without time stamps, so that equal calls give equal bytes.
"""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np

from coverslip.aside import aside
from coverslip.errors import CoverslipError

CHUNK_BYTES = 1 << 20
"""Largest chunk: HDF5's default cache holds one, so that a window of a large picture is cheap."""

IMAGE_TYPES = (np.dtype(np.uint8), np.dtype(np.uint16))


def chunk_shape(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Whole rows, as many as fit into `CHUNK_BYTES`, at least one."""
    row = itemsize * math.prod(shape[1:])
    return (max(1, min(shape[0], CHUNK_BYTES // max(row, 1))), *shape[1:])


class StoreWriter:
    """Context manager that writes a store; the file appears only when all went well.

    Args:
        path: the HDF5 file to make; it is written to `<path>.part` until the end.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.part = self.path

    def __enter__(self) -> StoreWriter:
        self._stack = contextlib.ExitStack()
        self.part = self._stack.enter_context(aside(self.path))
        try:
            self._file = h5py.File(self.part, "w")
        except BaseException as error:
            self._stack.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            try:
                self._file.close()
            except BaseException as late:
                # HDF5 writes its last blocks here: a full disk may show only now.
                self._stack.__exit__(type(late), late, late.__traceback__)
                raise
        else:
            # The file is thrown away and the first error is the one to tell.
            with contextlib.suppress(OSError, RuntimeError):
                self._file.close()
        self._stack.__exit__(kind, error, trace)

    def image(self, id: str, array: np.ndarray) -> None:
        """Add a picture, HxW or HxWxC, uint8 or uint16.

        Raises:
            ValueError: another shape or dtype, or an id that is taken or cannot be a name.
        """
        if array.ndim == 2:
            array = array[:, :, np.newaxis]
        if array.ndim != 3 or array.dtype not in IMAGE_TYPES:
            raise ValueError(f"{id}: not a picture: {array.dtype} {array.shape}")
        self._write("image", id, array)

    def label(self, id: str, array: np.ndarray) -> None:
        """Add a label map, HxW integers, 0 is background; it is kept as int32.

        Raises:
            ValueError: another shape or dtype, or an id that is taken or cannot be a name.
        """
        if array.ndim != 2 or array.dtype.kind not in "bui":
            raise ValueError(f"{id}: not a label map: {array.dtype} {array.shape}")
        self._write("label", id, array.astype(np.int32, copy=False))

    def _write(self, kind: str, id: str, array: np.ndarray) -> None:
        if not id or "/" in id or id in (".", ".."):
            raise ValueError(f"{id!r} cannot be the id of a picture")
        self._file.create_dataset(
            f"{kind}/{id}",
            data=array,
            chunks=chunk_shape(array.shape, array.itemsize),
            compression="lzf",
            shuffle=array.itemsize > 1,
            track_times=False,
        )


class Store:
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
                f"{self.path}: not a readable store of pictures ({error}): "
                "remove it and run again, so that it is ingested anew"
            ) from error

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the context manager does it too."""
        self._file.close()

    def ids(self) -> list[str]:
        """Return the ids of all pictures, sorted."""
        return sorted(self._file["image"]) if "image" in self._file else []

    def image(self, id: str) -> np.ndarray:
        """Return a picture, HxWxC (grey: C=1), uint8 or uint16 as ingested."""
        return self._read("image", id)

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
