"""Outputs are written aside and renamed, so that nothing half-written is ever taken for whole."""

from __future__ import annotations

import json
import os
import platform
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

FORGOTTEN = 24 * 3600.0
"""Seconds without a change after which a part of another machine is taken for one of a dead job."""


@contextmanager
def aside(path: Path) -> Iterator[Path]:
    """Give `<path>.<host>-<pid>.part` to write to; rename it to `path` at the end, or remove it on
    an error.

    Two jobs, also on two machines with one disk, never write into one part: the later one to end
    gives the file. Parts that killed jobs left are removed. Missing parent folders are made. For
    single files only; files beside the part whose names begin with its name count as its own.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _sweep(path)
    part = path.with_name(f"{path.name}.{host()}-{os.getpid()}.part")
    part.unlink(missing_ok=True)
    try:
        yield part
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_json(path: Path, value: Any, indent: int = 1, allow_nan: bool = True) -> None:
    """Write JSON aside and rename it, keys in their given order.

    Raises:
        ValueError: a number is not finite, and `allow_nan` is off.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=allow_nan)
    with aside(path) as part:
        part.write_text(text + "\n", encoding="utf-8")


def host() -> str:
    """Name of this machine, short and fit for a file name."""
    return re.sub(r"[^A-Za-z0-9]", "", platform.node().partition(".")[0])[:20] or "host"


def _sweep(path: Path) -> None:
    """Remove parts of a file whose writers are gone: ended here, or long silent elsewhere."""
    name = re.compile(re.escape(path.name) + r"\.([A-Za-z0-9]+)-(\d+)\.part")
    with os.scandir(path.parent) as entries:
        found = [(entry, match) for entry in entries if (match := name.match(entry.name))]
    for entry, match in found:
        here = match[1] == host()
        # Another job may have swept it away meanwhile, or it is another user's: it does no harm.
        with suppress(OSError):
            silent = time.time() - entry.stat().st_mtime > FORGOTTEN
            if int(match[2]) != os.getpid() and (silent or (here and not _runs(int(match[2])))):
                os.unlink(entry.path)


def _runs(pid: int) -> bool:
    """Whether a process of this machine is still there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # of another user
    return True
