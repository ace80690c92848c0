"""The manifest: one row an image of a dataset, as csv sorted by id."""

from __future__ import annotations

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
"""Columns with their types.

- `id`: name of the image in the store.
- `group`: what must not cross a split; empty where `check` derives it.
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


def write(df: pd.DataFrame, path: Path) -> None:
    """Write a manifest sorted by id; `df` has the column or the index `id` and all other columns.

    Raises:
        ValueError: a column is missing or unknown, or an id stands twice.
    """
    table = df.reset_index() if df.index.name == "id" else df
    if sorted(table.columns) != sorted(COLUMNS):
        wrong = sorted(set(table.columns) ^ set(COLUMNS))
        raise ValueError(f"manifest: columns missing or unknown: {', '.join(wrong)}")
    if table["id"].duplicated().any():
        raise ValueError(f"manifest: id twice: {table['id'][table['id'].duplicated()].iloc[0]}")
    with atomic_write(path) as part:
        table[COLUMNS].sort_values("id").to_csv(part, index=False, lineterminator="\n")


def read(path: Path) -> pd.DataFrame:
    """Read a manifest, indexed by `id` (str); texts are never NaN, an empty one is "".

    Raises:
        CoverslipError: the file is missing, is not a manifest, or holds an id twice.
    """
    # Ids such as `007`, `NA` or `1e5` are names: nothing may be guessed from their look.
    texts = {name: str for name, kind in DTYPES.items() if kind is str}
    try:
        table = pd.read_csv(path, dtype=texts, keep_default_na=False)
        missing = [name for name in COLUMNS if name not in table.columns]
        if missing:
            raise ValueError(f"column {missing[0]} is missing")
        if table["id"].duplicated().any():
            raise ValueError(f"id {table['id'][table['id'].duplicated()].iloc[0]} stands twice")
        return table[COLUMNS].astype(DTYPES).set_index("id")
    except (OSError, ValueError) as error:
        raise CoverslipError(
            f"{path}: not a readable manifest ({error}): remove it and run again"
        ) from error
