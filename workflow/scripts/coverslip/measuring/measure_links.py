"""Files with a second name instead of a copy, so that ten thousand pictures lie on disk once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path


def link_all(folders: Iterable[Path], output: Path) -> None:
    """Make one folder of the files of several, whose names differ."""
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                link(path, output / path.relative_to(folder))


def link(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the disk cannot."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
