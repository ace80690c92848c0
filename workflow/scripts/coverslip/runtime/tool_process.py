"""Another program, run as a process: its seconds, its peak memory, its last words where it fails.

Imports only the standard library: it also runs in the environments of tools.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from coverslip.errors import CoverslipError
from coverslip.files import WORKFLOW

LAUNCHER = WORKFLOW / "scripts/tools/measured.py"

QUOTED = 300
"""Characters of a program's last line that are repeated in an error."""


@dataclass(frozen=True)
class Finished:
    """What a process took."""

    seconds: float
    """Wall time."""
    cpu_seconds: float
    """CPU time of the process and those that it started."""
    peak_memory_mb: float
    """Largest resident memory of the process, or of one that it started, in MB (10^6 bytes)."""


def run_process(command: Sequence[str] | str, log: Path, threads: int) -> Finished:
    """Run a program to its end.

    Args:
        command: program and arguments, or a text for the shell.
        log: file that gets all that it prints.
        threads: CPU threads, by the variables that OpenMP, MKL, TensorFlow and Numba read.

    Raises:
        CoverslipError: it cannot be started, or ends with an error.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    counts = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
    variables = {**os.environ, **dict.fromkeys(counts, str(threads))}
    # Packages of this environment are not those of the tool's.
    variables.pop("PYTHONPATH", None)
    arguments = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
    with tempfile.TemporaryDirectory() as scratch, log.open("wb") as output:
        facts = Path(scratch) / "facts.json"
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(LAUNCHER), str(facts), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=variables,
            start_new_session=True,
        )
        try:
            process.wait()
        except BaseException:  # the job was interrupted: so is the program
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
        found = json.loads(facts.read_text(encoding="utf-8")) if facts.is_file() else {}
    if (code := found.pop("returncode", process.returncode)) or not found:
        raise CoverslipError(f"{_failure(code, log)}: all that it printed: {log}")
    return Finished(**found)


def _failure(code: int, log: Path) -> str:
    """Return the last line that a program printed, or how it ended."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    if code < 0:
        killed = " (probably because it ran out of memory)" if code == -9 else ""
        return f"ended by signal {-code}{killed}"
    return last[:QUOTED] or f"ended with exit status {code}"
