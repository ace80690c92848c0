"""Snakemake's lock of the working directory, where the run that took it was killed.

Snakemake keeps its lock in files, which a killed run leaves. So each run also holds a lock of the
operating system, which ends with its process, and notes on which machine it runs. If no run holds
that lock, and the last one was on this machine, then Snakemake's lock is a leftover.
"""

from __future__ import annotations

import fcntl
import platform
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path

from coverslip.errors import CoverslipError

HELD: list[TextIOWrapper] = []
"""The open file whose lock this process holds until it ends."""


def remove_leftover(folder: Path = Path(".snakemake")) -> None:
    """Remove the lock of a run that was killed on this machine; hold the lock of this run."""
    note = folder / "coverslip" / "machine"
    note.parent.mkdir(parents=True, exist_ok=True)
    file = note.open("a+", encoding="utf-8")
    HELD.append(file)
    # Another run holds it, or the file system knows no locks: Snakemake's own then stays.
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if note.read_text(encoding="utf-8") == platform.node():
            shutil.rmtree(folder / "locks", ignore_errors=True)
    with suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_SH)


def note_machine(local: bool, folder: Path = Path(".snakemake")) -> None:
    """Note on which machine this run is; none if its jobs may outlive it, as on a cluster."""
    note = folder / "coverslip" / "machine"
    note.write_text(platform.node() if local else "", encoding="utf-8")


@contextmanager
def hold(output: str, folder: Path = Path(".snakemake")) -> Iterator[None]:
    """Hold Snakemake's lock of a file while it is made without Snakemake.

    Args:
        output: the file, as a rule names it.
        folder: of Snakemake, in the working directory.

    Raises:
        CoverslipError: another run holds it.
    """
    remove_leftover(folder)
    held = HELD.pop()
    locks = folder / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    if any(output in file.read_text("utf-8").splitlines() for file in locks.glob("*.lock")):
        held.close()
        raise CoverslipError(f"{output}: another run is writing it: wait until it has ended")
    note_machine(local=True, folder=folder)
    own = locks / f"{secrets.randbits(64)}.output.lock"
    own.write_text(f"{output}\n", encoding="utf-8")
    try:
        yield
    finally:
        own.unlink(missing_ok=True)
        held.close()
