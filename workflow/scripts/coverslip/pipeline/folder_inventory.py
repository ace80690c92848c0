"""Detect at parse time whether a folder of images changed.

A folder's time stamp ignores the content of its files, and a hundred thousand inputs would slow
every parse. So a folder is summed up in one digest of names and contents. As git does, contents are
read again only where the state of a file (inode, size, time stamps; see `contents`) differs from
that of the last reading, kept in `.snakemake/`; a file that was only touched leaves the digest as
it is. Links to folders and what cannot be read count by what they are, and are not followed: ingest
refuses them by name. Needs only the standard library.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from stat import S_ISREG
from typing import Any

from coverslip.errors import CoverslipError
from coverslip.files import SETTLED, atomic_write, read_sha256, sha256, state_of

UNREAD = "unread"

NO_FILE = "no file"

UNREADABLE = "unreadable: "
"""Replaces the digest of what is no regular file, and precedes the reason why a file cannot be
read."""

NO_STATE = (-1, -1, -1, -1, -1)
"""A state that no file has, so that it is read again."""

Known = tuple[int, int, int, int, int, str]
"""State of a file and digest of its content."""

ZARR = (".zarray", ".zattrs", ".zgroup", ".zmetadata")
"""Hidden files that are part of an image: the metadata of Zarr 2."""


def digest(folder: Path, notes: Path, read: bool = True) -> str:
    """SHA-256 (first 16 hex digits) of the names and contents below `folder`.

    `notes` is the file that remembers former readings. With `read=False` (a dry run) a folder that
    was never read is not read now: the answer is `"unread"`.
    Raises CoverslipError where the folder is missing.
    """
    found = contents(folder, notes, read)
    return UNREAD if found is None else summary(found)


def check_unchanged(watched: Mapping[str, str]) -> None:
    """Raise a CoverslipError where a folder is not what it was when the workflow looked at it.

    `watched` has the folder's `path`, the `notes` about it, and its digest as `inventory`.
    """
    if digest(Path(watched["path"]), Path(watched["notes"])) != watched["inventory"]:
        raise CoverslipError(
            f"{watched['path']}: images changed while they were read, so that the dataset would "
            "be of neither the old nor the new ones: run again"
        )


def summary(found: Mapping[str, str]) -> str:
    """SHA-256 (first 16 hex digits) of names and contents, given as a map of the two."""
    lines = "\n".join(f"{name}\t{content}" for name, content in sorted(found.items()))
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def names(folder: Path, skip: Collection[str] = ()) -> Iterator[str]:
    """Return the paths of the files below `folder` from there, see `contents`."""
    return (name for name, _ in _files(Path(folder), "", skip))


def contents(
    folder: Path, notes: Path, read: bool = True, skip: Collection[str] = ()
) -> dict[str, str] | None:
    """SHA-256 of every file below `folder`, by its path from there; hidden ones are left out
    (but for those of Zarr), and so are the folders `skip` (real paths).

    None with `read=False` where the folder was never read. A file that cannot be read has its
    reason in place of a digest. Raises CoverslipError where the folder is missing.
    """
    found = entries(folder, notes, read, skip)
    return None if found is None else {name: entry[-1] for name, entry in found.items()}


def entries(
    folder: Path, notes: Path, read: bool = True, skip: Collection[str] = ()
) -> dict[str, Known] | None:
    """State and digest of every file, see `contents`."""
    folder = Path(folder)
    if not folder.is_dir():
        raise CoverslipError(f"{folder}: no such folder; fix `source.path` in the config")
    known = _notes(notes)
    if not known and not read:
        return None
    found = {
        name: _stat_and_digest(path, known.get(name)) for name, path in _files(folder, "", skip)
    }
    if found != known:
        _keep(notes, found)
    return found


def changed(folder: Path, name: str, known: Mapping[str, Known]) -> bool:
    """Return whether a file below `folder`, or one of the folder `name`, is not what it was.

    Args:
        folder: the folder that was looked at.
        name: the file or folder, from there.
        known: what `entries` returned for the file, or of all files of the folder `name`; with the
            files of the folder `<name>.files`, where that belongs to the file.
    """
    found: dict[str, str] = {}
    folders = [name, f"{name}.files"] if any(f"{name}.files/" in each for each in known) else [name]
    for part in folders:
        path = os.path.join(folder, part)
        if os.path.isdir(path) and not os.path.islink(path):
            found |= {f"{part}/{each}": place for each, place in _files(Path(path), "", ())}
        else:
            found[part] = path
    return set(found) != set(known) or any(
        _stat_and_digest(place, known[each])[-1] != known[each][-1] for each, place in found.items()
    )


def _keep(notes: Path, found: Mapping[str, Known]) -> None:
    with atomic_write(notes) as part:
        part.write_text(json.dumps(found), encoding="utf-8")


def _notes(path: Path) -> dict[str, Known]:
    """Former readings; none where the file is missing or damaged: all is then read again."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    whole = isinstance(known, dict) and all(
        isinstance(entry, list) and len(entry) == 6 for entry in known.values()
    )
    return {name: (*entry[:5], entry[5]) for name, entry in known.items()} if whole else {}


def _stat_and_digest(path: str, former: Known | None) -> Known:
    """State and digest of a file, read only where the state differs from the former one.

    A file that changes while it is read, or was written a moment ago and could be written again
    within one tick of the clock, has no state, so that it is read again the next time.
    """
    try:
        stat = os.stat(path)
        if not S_ISREG(stat.st_mode):
            return (*NO_STATE, NO_FILE)  # a pipe or a device has no end
        before = state_of(stat)
        if former is not None and former[:5] == before:
            return former
        digest = read_sha256(path)
        settled = state_of(os.stat(path)) == before and before[4] / 1e9 + SETTLED < time.time()
        return (*(before if settled else NO_STATE), digest)
    except OSError as error:
        return (*NO_STATE, f"{UNREADABLE}{error.strerror}")


def _files(folder: Path, prefix: str, skip: Collection[str]) -> Iterator[tuple[str, str]]:
    try:
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise CoverslipError(
            f"{folder}: cannot be listed ({error.strerror}): make the folder readable"
        ) from error
    for entry in found:
        name = f"{prefix}{entry.name}"
        if not entry.name.startswith(".") or entry.name in ZARR:
            # A link to a folder could lead round in circles.
            if entry.is_dir(follow_symlinks=False):
                if not skip or os.path.realpath(entry.path) not in skip:
                    yield from _files(Path(entry.path), f"{name}/", skip)
            else:
                yield name, entry.path


# --- Notice that an input changed though its date is before that of the results


def input_contents(inputs: Iterable[str], record: Path, parameter: str) -> Any:
    """Return a parameter of a rule that changes when, and only when, inputs have other contents.

    Snakemake compares the contents of an input only if it is newer than the results, so that an
    older file in its place goes unnoticed. The digests are compared with those in the record of
    the job that made the results. Nothing is read where there are no results yet.

    Args:
        inputs: paths; a folder or a file that does not exist is left out.
        record: `run.json` of the results.
        parameter: name of this parameter in the rule.

    Returns:
        the parameter that the results were made with, if the contents are the same; else the
        digests.
    """
    try:
        facts = json.loads(Path(record).read_text(encoding="utf-8"))
        known = {
            path: digest for group in facts["inputs"].values() for path, digest in group.items()
        }
        before = facts["params"].get(parameter)
    except (OSError, ValueError, KeyError, AttributeError):
        return None  # no results yet, or none of ours: they are made
    now = {path: sha256(Path(path)) for path in inputs if Path(path).is_file()}
    return before if all(known.get(path) == digest for path, digest in now.items()) else now
