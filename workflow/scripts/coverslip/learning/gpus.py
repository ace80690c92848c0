"""A GPU for each job, where a machine has several and no scheduler hands them out.

Snakemake counts GPUs (`--resources gpu=2`) but does not say which one a job may use, and TensorFlow
takes the first it sees: two jobs would share one and leave the other idle. So a job takes the first
GPU whose lock file no other job holds. The kernel drops the lock when the process ends, however it
ends. SLURM hands out GPUs itself, by `CUDA_VISIBLE_DEVICES`; what it names is kept. Needs only the
standard library, and has to run before anything asks the driver.
"""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path
from typing import TextIO

VARIABLE = "CUDA_VISIBLE_DEVICES"
HELD: list[TextIO] = []
"""Lock files of this process; they have to stay open."""


def claim(devices: Path = Path("/dev"), locks: Path | None = None) -> str | None:
    """Take one of several GPUs for this process and hide the others from it.

    Args:
        devices: folder of the device files, `nvidia0`, `nvidia1`, ...
        locks: folder of the lock files, one a GPU and user; the system's folder for temporary
            files by default.

    Returns:
        The GPU as it is now named in `CUDA_VISIBLE_DEVICES`; None where there is nothing to choose
        (fewer than two GPUs) or all are taken, and nothing was changed.
    """
    found = visible(devices)
    if len(found) < 2 or HELD:
        return None
    folder = locks or Path(tempfile.gettempdir())
    for name in found:
        held = _lock(folder / f"coverslip-{os.getuid()}-gpu-{re.sub(r'[^A-Za-z0-9-]', '-', name)}")
        if held is not None:
            HELD.append(held)
            os.environ[VARIABLE] = name
            return name
    return None


def visible(devices: Path = Path("/dev")) -> list[str]:
    """GPUs that this process may use: those of `CUDA_VISIBLE_DEVICES`, else all, by number."""
    stated = os.environ.get(VARIABLE)
    if stated is not None:
        return [name.strip() for name in stated.split(",") if name.strip()]
    count = sum(re.fullmatch(r"nvidia\d+", path.name) is not None for path in devices.iterdir())
    return [str(number) for number in range(count)]


def _lock(path: Path) -> TextIO | None:
    """The locked file, or None where another process holds it."""
    import fcntl  # not on Windows, where there is no /dev either

    file = open(path, "w")  # noqa: SIM115 (it stays open as long as the process)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
