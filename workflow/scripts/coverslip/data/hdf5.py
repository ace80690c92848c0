"""HDF5 files that appear whole or not at all, also where the disk is full."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from coverslip.files import atomic_write

CHUNK_BYTES = 1 << 20
"""Largest chunk: HDF5's default cache holds one, so that a window of a large image is cheap."""


def chunk_shape(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Whole rows, as many as fit into `CHUNK_BYTES`, at least one."""
    row = itemsize * math.prod(shape[1:])
    return (max(1, min(shape[0], CHUNK_BYTES // max(row, 1))), *shape[1:])


def write_array(file: Hdf5File, name: str, array: np.ndarray) -> None:
    """Add an array to a file, compressed so that equal arrays give equal bytes.

    By gzip, which every reader of HDF5 has; what h5py's faster `lzf` gives depends on what lay in
    memory before.

    Raises:
        OSError: it does not fit on the disk, or cannot be written for another reason.
    """
    file.create_dataset(
        name,
        data=array,
        chunks=chunk_shape(array.shape, array.itemsize),
        compression="gzip",
        compression_opts=1,
        shuffle=array.itemsize > 1,
        track_times=False,
    )
    file.raise_if_unwritten()


class DiskFile(io.RawIOBase):
    """The file below an HDF5 file that is written; it keeps the first error instead of raising it.

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


class Hdf5File(h5py.File):
    """An HDF5 file that is written; made by `write_hdf5`."""

    def __init__(self, disk: DiskFile) -> None:
        self._disk = disk
        super().__init__(disk, "w")

    def raise_if_unwritten(self) -> None:
        """Raise the error of the disk, if there was one; to be called after every few megabytes.

        Raises:
            OSError: something could not be written.
        """
        if self._disk.error is not None:
            raise self._disk.error


@contextmanager
def write_hdf5(path: Path) -> Iterator[Hdf5File]:
    """Give an HDF5 file to write; it appears at `path` when all of it is on the disk.

    Raises:
        OSError: it does not fit on the disk, or cannot be written for another reason.
    """
    with atomic_write(path) as part:
        disk = DiskFile(part)
        try:
            with Hdf5File(disk) as file:
                yield file
            file.raise_if_unwritten()
        finally:
            disk.close()
