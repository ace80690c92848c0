"""Files of the repository: text files, lock files and what they pin."""

import os
import re
import runpy
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


PIN = runpy.run_path(str(ROOT / ".ci/pin_environment.py"))


# Extras of all locks, besides that with TensorFlow.
LOCKED = ("kaggle", "slurm", "crate")


LOCKS = {
    "requirements.txt": ("train", None),
    "requirements-dev.txt": ("train", "dev"),
    "requirements-gpu.txt": ("gpu", None),
}


LINUX = {"sys_platform": "linux", "platform_machine": "x86_64"}


MADE = {"results", ".snakemake", ".venv", ".git", "__pycache__", "raw", "weights", ".cache"}


def pins(lock: str) -> dict[str, list[tuple[str, Requirement, int]]]:
    """Name -> (version, requirement with its marker, number of hashes) of each pin of a lock."""
    text = (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", " ")
    found: dict[str, list[tuple[str, Requirement, int]]] = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        stated, *hashes = re.split(r"\s+--hash=", line)
        requirement = Requirement(stated)
        (pin,) = requirement.specifier
        assert pin.operator == "==", f"{lock}: {stated} is not pinned"
        entry = (pin.version, requirement, sum(h.startswith("sha256:") for h in hashes))
        found.setdefault(canonicalize_name(requirement.name), []).append(entry)
    return found


def direct(extra: str, group: str | None) -> list[Requirement]:
    """Direct dependencies that a lock stands for."""
    stated = PROJECT["dependency-groups"][group] if group else []
    return PIN["direct_dependencies"](extra, *LOCKED) + [Requirement(text) for text in stated]


def text_files() -> Iterator[tuple[Path, str]]:
    """Every text file of the project, less what is made or downloaded."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(name for name in folders if name not in MADE)
        for name in sorted(names):
            path = Path(folder) / name
            try:
                yield path, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue
