"""A cache of results that several clones share: the folder `$SNAKEMAKE_OUTPUT_CACHE`/coverslip.

An entry is named by all that its files depend on: rule, wildcards, parameters (the digest of the
code among them), names and *contents* of the inputs, and every installed package. Snakemake's own
cache (`cache:` in a rule) names an entry by how its inputs were to be made instead of by what they
are, and leaves out wildcards: a file that was edited by hand, or the next seed of the same study,
would get somebody else's model (docs/reliability.md).

Files are copied, so that an entry may be deleted at any time, and compared with their digests. A
cache that cannot be read or written costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import logging
import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coverslip.errors import one_line
from coverslip.files import atomic_write
from coverslip.runtime.run_record import environment, identity, json_digest

LOG = logging.getLogger("coverslip")

LOCATION = "SNAKEMAKE_OUTPUT_CACHE"

FORMAT = 1
"""To be raised when entries change their form."""

NOTE = "entry.json"

CHUNK = 1 << 22


def entry(snakemake: Any) -> Path | None:
    """Folder of a job's results in the cache; none where no cache is asked for."""
    location = os.environ.get(LOCATION)
    if not location:
        return None
    names = [Path(path).resolve().name for path in snakemake.input]
    parts = [FORMAT, snakemake.rule, identity(snakemake), json_digest(environment()), names]
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return Path(location) / "coverslip" / key[:2] / key


def fetch(folder: Path, outputs: Sequence[Path]) -> dict[str, Any] | None:
    """Copy the results of an entry to where they belong; give the record of the job that made them.

    None where there is no such entry, or it is damaged: then no output is left.

    Raises:
        OSError: no space left for the outputs.
    """
    try:
        note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
        record, known = note["record"], list(zip(outputs, note["files"], strict=True))
        if not isinstance(record, dict):
            raise TypeError("its record is no object")
        with contextlib.ExitStack() as stack:
            for number, (output, digest) in enumerate(known):
                part = stack.enter_context(atomic_write(output))
                if _copy(folder / str(number), part) != digest:
                    raise ValueError(f"{number} has another digest")
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        LOG.warning("shared cache: %s is damaged (%s): not used", folder, one_line(error))
        return None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        LOG.warning("shared cache: %s cannot be read (%s): not used", folder, error.strerror)
        return None
    return record


def keep(folder: Path, outputs: Sequence[Path], record: dict[str, Any]) -> None:
    """Copy results into an entry that appears whole or not at all; a former one is replaced."""
    part = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.part")
    try:
        part.mkdir(parents=True)
        files = [_copy(output, part / str(number)) for number, output in enumerate(outputs)]
        note = {"files": files, "record": record}
        (part / NOTE).write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
        with contextlib.suppress(FileNotFoundError):
            old = folder.with_name(f"{part.name}.old")
            os.rename(folder, old)
            shutil.rmtree(old, ignore_errors=True)
        os.rename(part, folder)
        LOG.info("shared cache: kept as %s", folder)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        LOG.warning("shared cache: %s is not kept (%s)", folder, error.strerror or error)


def _copy(source: Path, target: Path) -> str:
    """Copy a file; give its SHA-256."""
    digest = hashlib.sha256()
    with open(source, "rb") as read, open(target, "wb") as write:
        while chunk := read.read(CHUNK):
            digest.update(chunk)
            write.write(chunk)
    return digest.hexdigest()
