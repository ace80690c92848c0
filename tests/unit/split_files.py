"""Tables of a split, and how tests split them."""

import json
from pathlib import Path

import pandas as pd

from coverslip.config.sections import Split
from coverslip.data import splits, tables

PAIRS = ["a", "b", "kind", "distance"]


def write(
    folder: Path,
    groups: list[str],
    modality: list[str] | None = None,
    classes: list[str] | None = None,
    pairs: tuple[tuple[str, str, str], ...] = (),
) -> list[str]:
    """Groups, manifest and duplicates of as many images; the archive's order is reversed."""
    count = len(groups)
    ids = [f"{number:04d}" for number in range(count)]
    rows = {name: kind() for name, kind in tables.DTYPES.items()}
    table = pd.DataFrame([rows | {"id": name} for name in ids], columns=tables.COLUMNS)
    table["class"] = classes or [""] * count
    table["member"] = [f"m{count - number:04d}" for number in range(count)]
    tables.write_manifest(table, folder / "manifest.csv")
    modality = modality or ["fluorescence"] * count
    found = {"id": ids, "group": groups, "modality": modality, "stratum": modality}
    pd.DataFrame(found).to_csv(folder / "groups.csv", index=False)
    told = pd.DataFrame([(*pair, 0) for pair in pairs], columns=PAIRS)
    told.to_csv(folder / "duplicates.csv", index=False)
    return ids


def run(folder: Path, reproduction: bool = False, **config: object) -> tuple[pd.DataFrame, dict]:
    names = [folder / name for name in ("groups.csv", "manifest.csv", "duplicates.csv")]
    splits.split(
        *names,
        Split(**config),
        reproduction,
        folder / "out" / "split.csv",
        folder / "out" / "split.json",
    )
    table = pd.read_csv(
        folder / "out" / "split.csv",
        dtype={"id": str, "group": str, "stratum": str},
        keep_default_na=False,
    )
    return table, json.loads((folder / "out" / "split.json").read_text())
