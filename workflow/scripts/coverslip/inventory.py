"""Whether a folder of pictures changed, told at parse time.

A folder's own time stamp says nothing about its files, and a hundred thousand inputs would slow
every parse. So a folder is summed up in one digest of names and contents. As git does, contents are
read again only where size or time stamp differ from the last reading, kept in `.snakemake/`; a file
that was only touched leaves the digest as it is. Needs only the standard library.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from coverslip.errors import CoverslipError

UNREAD = "unread"


def digest(folder: Path, notes: Path, read: bool = True) -> str:
    """SHA-256 (first 16 hex digits) of the names and contents below `folder`.

    `notes` is the file that remembers former readings. With `read=False` (a dry run) a folder that
    was never read is not read now: the answer is `"unread"`.
    Raises CoverslipError where the folder is missing.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise CoverslipError(f"{folder}: no such folder; mend `source.path` in the config")
    known = json.loads(notes.read_text(encoding="utf-8")) if notes.is_file() else {}
    if not known and not read:
        return UNREAD
    seen: dict[str, list] = {}
    for name, path, stat in _files(folder, ""):
        former = known.get(name)
        if former is not None and former[:2] == [stat.st_size, stat.st_mtime_ns]:
            seen[name] = former
        else:
            seen[name] = [stat.st_size, stat.st_mtime_ns, _sha256(path)]
    if seen != known:
        notes.parent.mkdir(parents=True, exist_ok=True)
        part = notes.with_name(f"{notes.name}.{os.getpid()}.part")
        part.write_text(json.dumps(seen), encoding="utf-8")
        part.replace(notes)
    lines = "\n".join(f"{name}\t{entry[2]}" for name, entry in sorted(seen.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def _files(folder: Path, prefix: str) -> Iterator[tuple[str, str, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = f"{prefix}{entry.name}"
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _files(Path(entry.path), f"{name}/")
            else:
                yield name, entry.path, entry.stat()


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
