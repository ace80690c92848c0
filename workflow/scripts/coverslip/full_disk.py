"""What to say when the disk is full."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from coverslip.errors import CoverslipError


class Progress:
    """How much of an output is written, to tell how much space the whole needs."""

    def __init__(self) -> None:
        self.needed: float | None = None
        """Bytes that the whole needs; none until something is written."""

    def note(self, share: float, written: int) -> None:
        """Note that `share` (0..1) of the output took `written` bytes."""
        self.needed = written / share


@contextlib.contextmanager
def told_when_full(output: Path) -> Iterator[Progress]:
    """Turn "no space left" into a CoverslipError that says where and how much is needed.

    It belongs outside of what removes a half-written output, so that the space that is free is
    told as it is afterwards.
    """
    progress = Progress()
    try:
        yield progress
    except OSError as error:
        if not is_full(error):
            raise
        folder = output.parent
        needed, free = progress.needed, shutil.disk_usage(folder).free / 1e6
        amount = f"about {needed / 1e6:.1f} MB are" if needed else "more is"
        raise CoverslipError(
            f"{output}: no space left on the disk: {amount} needed, {free:.1f} MB are free in "
            f"{folder}: free some space or use another disk, then run again"
        ) from error


def is_full(error: OSError) -> bool:
    """Whether an error says that a disk or a quota is full; HDF5 tells it in its text only."""
    codes = (errno.ENOSPC, errno.EDQUOT)
    return error.errno in codes or any(f"errno = {code}," in str(error) for code in codes)
