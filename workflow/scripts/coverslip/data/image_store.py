"""The store: images and label maps at native size in one HDF5 file.

A file holds two datasets an image, `image/<id>` and `label/<id>`; an image that has only a class
has no label map. It is written in the order of the calls, without time stamps, so that equal calls
give equal bytes.
"""

from __future__ import annotations

import contextlib
import io
import math
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from coverslip.errors import CoverslipError
from coverslip.files import atomic_write

CHUNK_BYTES = 1 << 20
"""Largest chunk: HDF5's default cache holds one, so that a window of a large image is cheap."""

IMAGE_TYPES = (np.dtype(np.uint8), np.dtype(np.uint16))


def chunk_shape(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Whole rows, as many as fit into `CHUNK_BYTES`, at least one."""
    row = itemsize * math.prod(shape[1:])
    return (max(1, min(shape[0], CHUNK_BYTES // max(row, 1))), *shape[1:])


def write_array(file: h5py.File, name: str, array: np.ndarray) -> h5py.Dataset:
    """Add an array to a file, compressed so that equal arrays give equal bytes.

    By gzip, which every reader of HDF5 has; what h5py's faster `lzf` gives depends on what lay in
    memory before.
    """
    return file.create_dataset(
        name,
        data=array,
        chunks=chunk_shape(array.shape, array.itemsize),
        compression="gzip",
        compression_opts=1,
        shuffle=array.itemsize > 1,
        track_times=False,
    )


class StoreFile(io.RawIOBase):
    """The file below a store that is written; it never fails, but remembers the first error.

    HDF5 cannot be trusted once a write has failed: closing the file fails as well, and may take
    the process down. So what does not fit on the disk is kept in memory, which is little as long
    as `error` is looked at after each image, and the file is closed in good order.
    """

    def __init__(self, path: Path) -> None:
        self.error: OSError | None = None
        self._file = open(path, "w+b", buffering=0)  # noqa: SIM115 (closed by `close`)
        self._late: list[tuple[int, bytes]] = []

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: Any) -> int:
        start = self._file.tell()
        count = self._file.readinto(buffer)
        for offset, data in self._late:
            first, last = max(start, offset), min(start + len(buffer), offset + len(data))
            if first < last:
                buffer[first - start : last - start] = data[first - offset : last - offset]
                count = max(count, last - start)
        return count

    def write(self, data: Any) -> int:
        start, done = self._file.tell(), 0
        try:
            while self.error is None and done < len(data):
                done += self._file.write(memoryview(data)[done:])
        except OSError as error:
            self.error = error
        if self.error is not None:
            self._late.append((start, bytes(data)))
            self._file.seek(start + len(data))
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        try:
            return self._file.truncate(size)
        except OSError as error:
            self.error = self.error or error
            return size or 0

    def close(self) -> None:
        self._file.close()
        super().close()


class ImageStoreWriter:
    """Context manager that writes a store; the file appears only when all went well.

    Args:
        path: the HDF5 file to make; it is written to `<path>.part` until the end.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.part = self.path

    def __enter__(self) -> ImageStoreWriter:
        self._stack = contextlib.ExitStack()
        self.part = self._stack.enter_context(atomic_write(self.path))
        try:
            self._disk = self._stack.enter_context(contextlib.closing(StoreFile(self.part)))
            self._file = h5py.File(self._disk, "w")
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
        try:
            self._file.close()
            if error is None and self._disk.error is not None:
                raise self._disk.error
        except BaseException as late:
            self._stack.__exit__(type(late), late, late.__traceback__)
            raise
        self._stack.__exit__(kind, error, trace)

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
        if self._disk.error is not None:
            raise self._disk.error


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
