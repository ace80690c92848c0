"""What every script does around its one call: log, errors, and a record of the run."""

import contextlib
import hashlib
import json
import logging
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from coverslip.errors import CoverslipError

LOG = logging.getLogger("coverslip")
PACKAGES = ("snakemake", "tensorflow-cpu", "tensorflow", "keras", "numpy", "opencv-python-headless")
PACKAGES += ("scikit-image", "scikit-learn", "h5py", "pandas")


@contextlib.contextmanager
def job(snakemake: Any, record: Path | None = None) -> Iterator[dict[str, Any]]:
    """Run the body of a script with its log; write `record` (run.json) when it ends well.

    Messages of the logger `coverslip` go to the terminal and to the log file; so does the one line
    of a CoverslipError, which ends the job with exit status 1. Tracebacks go to the log file.
    The dictionary that is yielded is merged into the record.
    """
    log = Path(snakemake.log[0]) if len(snakemake.log) else None
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        handlers.append(logging.FileHandler(log, mode="w", encoding="utf-8"))
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(message)s"))
        LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
    started = time.time()
    facts: dict[str, Any] = {}
    try:
        yield facts
    except CoverslipError as error:
        LOG.error("coverslip: %s", error)
        _to_file(handlers, error)
        sys.exit(1)
    except OSError as error:
        LOG.error("coverslip: %s", _disk_message(error))
        _to_file(handlers, error)
        sys.exit(1)
    except BaseException as error:
        _to_file(handlers, error)
        raise
    if record is not None:
        write_json(record, run_facts(snakemake, started) | facts)


def run_facts(snakemake: Any, started: float) -> dict[str, Any]:
    """When, where and with what a job ran; nothing of the user's environment or credentials."""
    return {
        "rule": snakemake.rule,
        "wildcards": dict(snakemake.wildcards.items()),
        "code": snakemake.params.get("code"),
        "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.time() - started, 2),
        "cpu_seconds": round(sum(os.times()[:4]), 2),
        "peak_memory_mb": round(_peak_memory()),
        "threads": snakemake.threads,
        "machine": {"processor": processor(), "cores": os.cpu_count(), "system": platform.system()},
        "python": platform.python_version(),
        "packages": versions(),
        "git": git_state(),
    }


def identity(snakemake: Any) -> str:
    """SHA-256 of all that a job's result depends on: parameters, code, inputs and packages."""
    total = hashlib.sha256()
    params = {key: value for key, value in snakemake.params.items()}
    total.update(json.dumps([params, versions()], sort_keys=True).encode())
    total.update(json.dumps(dict(snakemake.wildcards.items()), sort_keys=True).encode())
    for path in snakemake.input:
        with open(path, "rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def versions() -> dict[str, str]:
    """Versions of the packages that results depend on, as far as they are installed."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def processor() -> str:
    """The processor's name as the system tells it."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def git_state() -> str | None:
    """Commit of the workflow, with `+` where files differ from it; none outside a clone."""
    where = Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=where, capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=where,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "")


def write_json(path: Path, value: Any) -> None:
    """Write JSON aside and rename it, keys in their given order."""
    path = Path(path)
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)


def _peak_memory() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    unit = 1024 if sys.platform != "darwin" else 1024**2
    return max(own, children) / unit


def _disk_message(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    mend = {
        28: "; free some space, then run again: finished work is kept",
        122: "; the disk quota is used up: free some space, then run again",
        13: "; give yourself permission to it, then run again",
        30: "; the disk is read-only: choose another folder with --directory",
    }.get(error.errno or 0, "")
    return f"{where}{error.strerror or error}{mend}"


def _to_file(handlers: list[logging.Handler], error: BaseException) -> None:
    for handler in handlers:
        if isinstance(handler, logging.FileHandler):
            record = LOG.makeRecord(LOG.name, logging.ERROR, __file__, 0, "traceback:", (), None)
            record.exc_info = (type(error), error, error.__traceback__)
            handler.emit(record)
