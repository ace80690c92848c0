"""Files: where the workflow is, atomic writing, content digests, and one line for a full disk.

Outputs are written to a temporary file and renamed, so that readers never see a partially written
file. SHA-256 digests are cached by size and time stamp (`read_sha256`).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from coverslip.errors import CoverslipError

INSTALLED = Path(__file__).resolve().parent / "_workflow" / "workflow"
"""Folder of the Snakefile in an installation by pip; a clone does not have it."""

WORKFLOW = INSTALLED if INSTALLED.is_dir() else Path(__file__).resolve().parents[2]
"""Folder of the Snakefile, its templates, notebooks and schema."""


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Give a temporary file in the folder of `path` to write to; rename it to `path` at the end, or
    remove it on an error.

    Two jobs never write into one temporary file: the later one to end gives the file. What killed
    jobs left is removed. Missing parent folders are made. For single files only; files whose names
    begin with that of the temporary file count as its own.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")
    try:
        with open(part, "xb") as lock:
            with suppress(OSError):  # some network disks have no locks
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield part
            os.replace(part, path)
    except BaseException as error:
        if isinstance(error, OSError) and error.errno and error.filename in (None, str(part)):
            error.filename = str(path)  # a write that fails does not name its file
        part.unlink(missing_ok=True)
        raise


def _remove_leftovers(path: Path) -> None:
    """Remove temporary files of a file whose writers have ended: nobody holds a lock on them."""
    name = re.compile(re.escape(path.name) + r"\.[0-9a-f]{8}\.part")
    with os.scandir(path.parent) as entries:
        found = [(entry.path, match[0]) for entry in entries if (match := name.match(entry.name))]
    for file, part in found:
        # Another job may have removed it meanwhile, or it is another user's: it does no harm.
        with suppress(OSError):
            with suppress(FileNotFoundError), open(path.with_name(part), "r+b") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(file)


def write_json(path: Path, value: Any, indent: int = 1, allow_nan: bool = True) -> None:
    """Write JSON aside and rename it, keys in their given order.

    Raises:
        ValueError: a number is not finite, and `allow_nan` is off.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=allow_nan)
    with atomic_write(path) as part:
        part.write_text(text + "\n", encoding="utf-8")


# --- Digests of files, kept with the state of the file so that large ones are read once

NOTES = Path(".snakemake/coverslip/digests")

LARGE = 10_000_000
"""Bytes: smaller files are read faster than their notes are looked up and kept."""

SETTLED = 5.0
"""Seconds since the last change after which the next one has another time stamp."""

State = tuple[int, int, int, int, int]


def state(path: Path) -> State | None:
    """Device, inode, size and time stamps (ns) of a file; none for a folder or where it is gone."""
    try:
        return state_of(os.stat(path)) if os.path.isfile(path) else None
    except OSError:
        return None


def sha256(path: Path) -> str:
    """SHA-256 of a file (64 hex digits); what is known of a large unchanged file is not read again.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        # Of the open file: on network disks only opening asks the server for its state.
        before = state_of(os.fstat(file.fileno()))
        note = NOTES / hashlib.sha256(os.path.abspath(path).encode()).hexdigest()[:32]
        large = before[2] >= LARGE
        if large and (known := _known(note, before)):
            return known
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        after = state_of(os.fstat(file.fileno()))
    changed = max(before[3], before[4]) / 1e9
    if large and after == before and changed + SETTLED < time.time():
        _keep(note, before, digest)
    return digest


def read_sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file (64 hex digits), which is read whatever is known of it.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def state_of(found: os.stat_result) -> State:
    """Device, inode, size and time stamps (ns) of what `os.stat` found."""
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _known(note: Path, state: State) -> str | None:
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return known["sha256"] if known.get("state") == list(state) else None


def _keep(note: Path, state: State, digest: str) -> None:
    # A note saves time and is nothing else: where it cannot be kept, the file is read again.
    with contextlib.suppress(OSError):
        write_json(note, {"state": state, "sha256": digest})


# --- What to say when the disk is full


class Progress:
    """How much of an output is written, to estimate how much space the whole needs."""

    def __init__(self) -> None:
        self.needed: float | None = None
        """Bytes that the whole needs; none until something is written."""

    def note(self, share: float, written: int) -> None:
        """Note that `share` (0..1) of the output took `written` bytes."""
        self.needed = written / share


@contextlib.contextmanager
def report_disk_full(output: Path) -> Iterator[Progress]:
    """Turn "no space left" into a CoverslipError that says where and how much is needed.

    It belongs outside of what removes a half-written output, so that the space that is free is
    reported as it is afterwards.
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
    """Return whether an error says that a disk or a quota is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)
