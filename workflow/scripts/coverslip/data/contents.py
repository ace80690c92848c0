"""Digests of files, kept beside the state of the file so that large ones are read once.

As git does, a file counts as unchanged while its inode, size and time stamps are the same. Its
status change time is among them, which no program can set back; so a file whose time stamp was set
by hand, or written while the clock was wrong, is read again. A note about a file that was just
written is not kept: it could be written again within one tick of the clock. Needs only the standard
library.
"""

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path

NOTES = Path(".snakemake/coverslip/digests")
LARGE = 10_000_000
"""Bytes: smaller files are read faster than their notes are looked up and kept."""
SETTLED = 5.0
"""Seconds since the last change after which the next one has another time stamp."""

State = tuple[int, int, int, int, int]


def state(path: Path) -> State | None:
    """Device, inode, size and time stamps (ns) of a file; none for a folder or where it is gone."""
    try:
        return _state(os.stat(path)) if os.path.isfile(path) else None
    except OSError:
        return None


def sha256(path: Path) -> str:
    """SHA-256 of a file (64 hex digits); what is known of a large unchanged file is not read again.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        # Of the open file: on network disks only opening asks the server for its state.
        before = _state(os.fstat(file.fileno()))
        note = NOTES / hashlib.sha256(os.path.abspath(path).encode()).hexdigest()[:32]
        large = before[2] >= LARGE
        if large and (known := _known(note, before)):
            return known
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        after = _state(os.fstat(file.fileno()))
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


def _state(found: os.stat_result) -> State:
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
        note.parent.mkdir(parents=True, exist_ok=True)
        part = note.with_name(f"{note.name}.{os.getpid()}.part")
        part.write_text(json.dumps({"state": state, "sha256": digest}), encoding="utf-8")
        part.replace(note)
