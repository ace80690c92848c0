"""Notice that an input changed though its date is before that of the results."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from coverslip import files


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
    now = {path: files.sha256(Path(path)) for path in inputs if Path(path).is_file()}
    return before if all(known.get(path) == digest for path, digest in now.items()) else now
