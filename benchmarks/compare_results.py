"""Compare two results folders of the same config: metrics, tables, predictions, label images.

A refactoring must leave them equal byte for byte. Run the small config twice, before and after:

    snakemake all ensemble --cores 2 --configfile benchmarks/fixed_run.yaml --directory OLD
    snakemake all ensemble --cores 2 --configfile benchmarks/fixed_run.yaml --directory NEW
    python benchmarks/compare_results.py OLD/results NEW/results

Times, paths, versions and code fingerprints differ between runs and are not compared; a rename of
columns or files is given as `--renamed OLD=NEW`.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

SUFFIXES = (".csv", ".json", ".h5", ".tif", ".npy")
SKIPPED = ("state", "logs", "benchmarks", "raw")
VOLATILE = {"code", "identity", "study", "memory", "seconds", "minutes", "digest", "sha256"}
TIMES = ("seconds", "learning_seconds")


def listed(folder: Path) -> dict[str, Path]:
    """Return the compared files of a results folder by their relative paths."""
    files = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        compared = path.suffix in SUFFIXES and not path.name.endswith("run.json")
        if compared and relative.parts[0] not in SKIPPED:
            files[relative.as_posix()] = path
    return files


def stripped(value: Any) -> Any:
    """Return a JSON value without what differs between two runs of the same code."""
    if isinstance(value, dict):
        return {key: stripped(each) for key, each in value.items() if key not in VOLATILE}
    return [stripped(each) for each in value] if isinstance(value, list) else value


def arrays(file: h5py.File) -> dict[str, np.ndarray]:
    """Return all arrays of an HDF5 file by name."""
    found: dict[str, np.ndarray] = {}
    file.visititems(
        lambda name, item: (
            found.__setitem__(name, item[()]) if isinstance(item, h5py.Dataset) else None
        )
    )
    return found


def renamed(text: str, names: list[tuple[str, str]]) -> str:
    """Return a text with old names replaced by new ones."""
    for old, new in names:
        text = text.replace(old, new)
    return text


def equal(old: Path, new: Path, names: list[tuple[str, str]]) -> bool:
    """Tell whether two files have the same content, up to what differs between two runs."""
    if old.suffix == ".json":
        texts = [json.dumps(stripped(json.loads(path.read_text()))) for path in (old, new)]
        return renamed(texts[0], names) == texts[1]
    if old.suffix == ".h5":
        with h5py.File(old) as first, h5py.File(new) as second:
            ours, theirs = arrays(first), arrays(second)
        ours = {renamed(name, names): array for name, array in ours.items()}
        return set(ours) == set(theirs) and all(
            np.array_equal(array, theirs[name], equal_nan=array.dtype.kind == "f")
            for name, array in ours.items()
        )
    if old.suffix == ".csv":
        frames = [pd.read_csv(path, dtype=str, keep_default_na=False) for path in (old, new)]
        frames[0].columns = [renamed(name, names) for name in frames[0].columns]
        frames = [f.drop(columns=[c for c in TIMES if c in f]) for f in frames]
        return frames[0].equals(frames[1])
    return old.read_bytes() == new.read_bytes()


def main() -> int:
    """Print each difference; the exit status is 1 if there is one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--renamed", nargs="*", default=[], metavar="OLD=NEW")
    options = parser.parse_args()
    names = [(a, b) for a, _, b in (each.partition("=") for each in options.renamed)]
    old = {renamed(name, names): path for name, path in listed(options.old).items()}
    new = listed(options.new)
    lines = [f"only in {options.old}: {name}" for name in sorted(set(old) - set(new))]
    lines += [f"only in {options.new}: {name}" for name in sorted(set(new) - set(old))]
    both = sorted(set(old) & set(new))
    lines += [f"differs: {name}" for name in both if not equal(old[name], new[name], names)]
    print("\n".join([*lines, f"{len(both)} files compared, {len(lines)} differences"]))
    return 1 if lines or not both else 0


if __name__ == "__main__":
    sys.exit(main())
