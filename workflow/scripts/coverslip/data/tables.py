"""The tables of a dataset and of a study: manifest, groups and split, each with its one reader."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from coverslip.errors import CoverslipError
from coverslip.files import atomic_write

DTYPES = {
    "id": str,
    "group": str,
    "class": str,
    "height": int,
    "width": int,
    "channels": int,
    "dtype": str,
    "sha256": str,
    "member": str,
    "n_objects": int,
    "foreground": float,
    "overlap_pixels": int,
    "empty_masks": int,
}
"""Columns of the manifest, one row for each image, with their types.

- `id`: name of the image in the store.
- `group`: group that the archive names (line and well of LIVECell); else empty.
- `class`: label of the whole image; empty if there is none.
- `height`, `width`: in pixels; `channels`: 1 grey, 3 RGB; `dtype`: uint8 or uint16.
- `sha256`: digest of the decoded pixels, their type and shape.
- `member`: name of the image in the archive or folder.
- `objects`: number of objects in the label map.
- `foreground`: share of labelled pixels, 0..1.
- `overlap_pixels`: pixels that two or more object masks claim.
- `empty_masks`: masks without a single pixel.
"""

COLUMNS = list(DTYPES)

GROUP_COLUMNS = ("id", "group", "modality", "stratum")
"""Columns of `groups.csv`, one row for each image; `stratum` is its class, or empty."""

SPLIT_COLUMNS = ("id", "group", "stratum", "fold", "subset")
"""Columns of `split.csv`, one row for each image and fold."""

PLACE_COLUMNS = ("y", "x")
"""Further columns of a split of patches, one row for each patch: its upper left corner."""


def write_manifest(df: pd.DataFrame, path: Path) -> None:
    """Write a manifest sorted by id; `df` has the column or the index `id` and all other columns.

    Raises:
        ValueError: a column is missing or unknown, or an id is not unique.
    """
    table = df.reset_index() if df.index.name == "id" else df
    if sorted(table.columns) != sorted(COLUMNS):
        wrong = sorted(set(table.columns) ^ set(COLUMNS))
        raise ValueError(f"manifest: columns missing or unknown: {', '.join(wrong)}")
    if table["id"].duplicated().any():
        raise ValueError(f"manifest: id twice: {table['id'][table['id'].duplicated()].iloc[0]}")
    with atomic_write(path) as part:
        table[COLUMNS].sort_values("id").to_csv(part, index=False, lineterminator="\n")


def read_manifest(path: Path) -> pd.DataFrame:
    """Read a manifest, indexed by `id` (str); texts are never NaN, an empty one is "".

    Raises:
        CoverslipError: the file is missing, is not a manifest, or contains an id twice.
    """
    # Ids such as `007`, `NA` or `1e5` are names: pandas must not convert them.
    texts = {name: str for name, kind in DTYPES.items() if kind is str}
    try:
        table = pd.read_csv(path, dtype=texts, keep_default_na=False)
        missing = [name for name in COLUMNS if name not in table.columns]
        if missing:
            raise ValueError(f"column {missing[0]} is missing")
        if table["id"].duplicated().any():
            raise ValueError(f"id {table['id'][table['id'].duplicated()].iloc[0]} occurs twice")
        return table[COLUMNS].astype(DTYPES).set_index("id")
    except (OSError, ValueError) as error:
        raise CoverslipError(
            f"{path}: not a readable manifest ({error}): remove it and run again"
        ) from error


def read_groups(path: Path) -> pd.DataFrame:
    """Read `groups.csv`: all columns of `GROUP_COLUMNS` as str, indexed by `id`.

    Raises:
        CoverslipError: the file is missing or lacks a column.
    """
    return _read_texts(path, GROUP_COLUMNS).set_index("id")


def read_split(path: Path) -> pd.DataFrame:
    """Read `split.csv`: the columns `SPLIT_COLUMNS` as str, but `fold` as int.

    A split of patches also has `PLACE_COLUMNS`, as int.

    Raises:
        CoverslipError: the file is missing, lacks a column or has a fold that is no number.
    """
    table = _read_texts(path, SPLIT_COLUMNS, PLACE_COLUMNS)
    if not table["fold"].str.fullmatch(r"\d+").all():
        raise CoverslipError(f"{path}: a fold is not a number: remove it and run again")
    return table.astype({name: int for name in ("fold", *PLACE_COLUMNS) if name in table})


def select_images(split: Path, fold: int, subsets: Iterable[str]) -> pd.DataFrame:
    """Return the rows of `split.csv` for a fold and some subsets, indexed by id, sorted.

    Raises:
        CoverslipError: the table cannot be read or has no such fold.
    """
    table = read_split(split)
    table = table[table["fold"] == fold].set_index("id")
    if table.empty:
        raise CoverslipError(f"{split}: has no fold {fold}: remove it and run again")
    rows = table[table["subset"].isin(list(subsets))].sort_index()
    return rows[~rows.index.duplicated()]  # a split of patches has several of an image


def _read_texts(
    path: Path, columns: tuple[str, ...], optional: tuple[str, ...] = ()
) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        return table[[*columns, *(name for name in optional if name in table)]]
    except (OSError, ValueError, KeyError) as error:
        raise CoverslipError(
            f"{path}: not a readable table with {', '.join(columns)} ({error}): remove it and run "
            "again"
        ) from error
