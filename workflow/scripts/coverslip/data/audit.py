"""Audit of any split: which groups, duplicates and overlapping images are in two subsets.

For a table of files and subsets that another program made; the same measures as for our own
splits (`splits.leakage_report`).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from coverslip.config.sections import Dataset
from coverslip.data import acquisition_groups, decode
from coverslip.data.duplicates import Pair
from coverslip.data.group_images import with_overlaps
from coverslip.data.splits import leakage_report
from coverslip.errors import CoverslipError

COLUMNS = ("file", "subset")

DISTANCE = int(Dataset.model_fields["near_duplicate_distance"].default)
"""Largest difference of the perceptual hashes of near duplicates, in bits."""


def read_table(table: Path) -> pd.DataFrame:
    """Read a csv with the columns file, subset and, where groups are known, group, all as text.

    Raises:
        CoverslipError: it cannot be read, lacks a column or a value, or names a file twice.
    """
    try:
        rows = pd.read_csv(table, dtype=str, keep_default_na=False)
    except FileNotFoundError as error:
        raise CoverslipError(f"{table}: no such file; name a csv with a line an image") from error
    except (OSError, ValueError) as error:
        raise CoverslipError(f"{table}: not a readable csv ({error})") from error
    for name in COLUMNS:
        if name not in rows:
            raise CoverslipError(f"{table}: has no column `{name}`; it needs file, subset[, group]")
    wanted = [*COLUMNS, *(["group"] if "group" in rows else [])]
    rows = rows[wanted]
    if rows.empty or (rows == "").any(axis=None):
        raise CoverslipError(f"{table}: is empty or has an empty cell in {', '.join(wanted)}")
    if rows["file"].duplicated().any():
        twice = rows["file"][rows["file"].duplicated()].iloc[0]
        raise CoverslipError(f"{table}: `{twice}` is listed twice: list each file once")
    return rows


def audit(table: Path) -> dict[str, Any]:
    """Return what of a split is in two subsets.

    Args:
        table: csv with the columns file (absolute, or relative to the table), subset and
            optionally group. Without groups they are derived from the images
            (`acquisition_groups`).

    Returns:
        `images`, `subsets` (number of images of each), `groups` (their number), `groups_from`
        (`table` or `images`), `leaks` (of `splits.leakage_report`) and `crossing`: each pair of
        duplicates, neighbours or overlapping images in two subsets, with `a`, `b`, `kind`.

    Raises:
        CoverslipError: the table or an image cannot be read.
    """
    rows = read_table(table)
    places = [table.parent / name for name in rows["file"]]
    digests: list[str] = []
    largest: dict[str, int] = {}
    for image in map(_read, places):
        kind = str(image.dtype)
        largest[kind] = max(largest.get(kind, 0), int(image.max()))
        pixels = f"{kind} {image.shape}".encode() + np.ascontiguousarray(image).tobytes()
        digests.append(hashlib.sha256(pixels).hexdigest())
    scales = {kind: acquisition_groups.full_scale(kind, top) for kind, top in largest.items()}
    features = [
        acquisition_groups.image_features(image, scales[str(image.dtype)])
        for image in map(_read, places)
    ]
    pairs = acquisition_groups.find_pairs(features, digests, DISTANCE)
    sizes = np.array([(each.height, each.width) for each in features])
    pairs = with_overlaps(pairs, lambda at: _read(places[at]), sizes)
    given = "group" in rows
    names = rows["group"] if given else acquisition_groups.acquisition_groups(features, pairs)
    groups = pd.Series(list(names), index=rows["file"])
    listed = _listed(pairs, rows)
    crossing = listed[listed["subset_a"] != listed["subset_b"]]
    return {
        "images": len(rows),
        "subsets": {str(name): int(n) for name, n in rows["subset"].value_counts().items()},
        "groups": int(groups.nunique()),
        "groups_from": "table" if given else "images",
        "leaks": leakage_report(groups, rows["subset"].to_numpy(), listed),
        "crossing": crossing.to_dict("records"),
    }


def _listed(pairs: list[Pair], rows: pd.DataFrame) -> pd.DataFrame:
    files, subsets = rows["file"].tolist(), rows["subset"].tolist()
    columns = ["a", "b", "kind", "subset_a", "subset_b"]
    return pd.DataFrame(
        [(files[p.a], files[p.b], p.kind, subsets[p.a], subsets[p.b]) for p in pairs],
        columns=columns,
    )


def _read(path: Path) -> np.ndarray:
    try:
        return decode.image(path.read_bytes(), str(path))[0]
    except OSError as error:
        raise CoverslipError(
            f"{path}: cannot be read ({error.strerror}): files are relative to the table"
        ) from error


def lines(report: dict[str, Any]) -> list[str]:
    """Return the report in lines for the terminal."""
    leaks = report["leaks"]
    parts = ", ".join(f"{name} {count}" for name, count in report["subsets"].items())
    found = [
        f"images   {report['images']} ({parts})",
        f"groups   {report['groups']}, from the {report['groups_from']}; "
        f"{leaks['groups']} in two subsets",
        f"pairs    {leaks['pairs']} of duplicates, neighbours or overlapping images in two subsets",
    ]
    if leaks["relatives"]:
        found.append(
            f"test     {100 * leaks['relatives']:.0f} % have one of their group in training"
        )
    found += [f"group    {name}" for name in leaks["named groups"]]
    return found + [f"pair     {name}" for name in leaks["named pairs"]]


def leaks(report: dict[str, Any]) -> bool:
    """Return whether anything is in two subsets."""
    return bool(report["leaks"]["groups"] or report["leaks"]["pairs"])
