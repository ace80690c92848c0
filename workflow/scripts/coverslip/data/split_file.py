"""A split that a person wrote: a csv with the subset of each picture in each fold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from coverslip.configuration.config import Split
from coverslip.errors import CoverslipError

SUBSETS = ("train", "validation", "test")


def read(frame: pd.DataFrame, config: Split) -> list[np.ndarray]:
    """For each fold the subset of each picture, from the csv file of the config."""
    if not config.file:
        raise CoverslipError("split: method is 'file' but no file is named: set split/file")
    path = Path(config.file)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise CoverslipError(
            f"{path}: not a readable csv ({error}): give a csv with the columns id, fold, subset"
        ) from error
    missing = [name for name in ("id", "fold", "subset") if name not in table.columns]
    if missing:
        raise CoverslipError(f"{path}: column {missing[0]} is missing: give id, fold, subset")
    wrong = sorted(set(table["subset"]) - set(SUBSETS))
    if wrong:
        raise CoverslipError(f"{path}: subset '{wrong[0]}' is unknown: use {', '.join(SUBSETS)}")
    _refuse(path, sorted(set(table["id"]) - set(frame.index)), "not in the dataset")
    twice = table["id"][table.duplicated(["id", "fold"])]
    _refuse(path, sorted(set(twice)), "twice in a fold")
    expected = [str(fold) for fold in range(config.folds)]
    if sorted(set(table["fold"])) != sorted(expected):
        raise CoverslipError(
            f"{path}: folds are {', '.join(sorted(set(table['fold'])))} but the study has "
            f"{config.folds}: number them from 0 and set split/folds to their count"
        )
    folds = []
    for fold in expected:
        subset = table[table["fold"] == fold].set_index("id")["subset"]
        _refuse(path, sorted(set(frame.index) - set(subset.index)), f"missing in fold {fold}")
        for name in ("train", "validation"):
            if not (subset == name).any():
                raise CoverslipError(f"{path}: fold {fold} has no picture for {name}: add some")
        folds.append(subset[frame.index].to_numpy(dtype=object))
    return folds


def _refuse(path: Path, ids: Sequence[str], what: str) -> None:
    if ids:
        named = ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
        raise CoverslipError(f"{path}: pictures {what}: {named}: correct these rows")
