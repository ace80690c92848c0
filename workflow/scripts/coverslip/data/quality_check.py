"""Report on the quality of a dataset: counts, sizes, masks, duplicates, groups.

The report is for people (`warnings` are what they should look at): no later result follows from it.
What stops a run is in `coverslip.data.group_images`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from coverslip.config.sections import Dataset
from coverslip.data import tables as manifests
from coverslip.data.group_names import group_names
from coverslip.data.image_store import ImageStore
from coverslip.errors import first_names
from coverslip.files import write_json

LARGEST_OBJECT = 0.5
"""An object that covers more of its image is reported: often an inverted mask."""

KINDS = {
    "exact": "Exact duplicates",
    "near": "Near duplicates",
    "abutting": "Abutting tiles",
    "overlap": "Images with a common area",
}
"""Kinds of pairs with their names in a warning."""

NO_LABEL = np.zeros((1, 1), np.int32)
"""Replaces the label map of an image that has only a class."""


@dataclass(frozen=True)
class Contents:
    """Results of one pass over the store; all lists in the order of the manifest.

    `flat` is whether an image has a single brightness; `mask_digests` are of the foreground;
    `diameters` are of all objects, in pixels; `largest` is the share of an image that its largest
    object covers.
    """

    flat: np.ndarray
    mask_digests: list[str]
    diameters: np.ndarray
    largest: np.ndarray


def check(
    images: Path, manifest: Path, groups: Path, duplicates: Path, dataset: Dataset, report: Path
) -> None:
    """Write the data report of a dataset.

    `report` (json): counts, sizes, dtypes, channels, modalities, classes, objects, foreground
    (share of pixels, 0..1), diameter (of the circle with an object's area, pixels), masks,
    duplicates, groups, `warnings` (list of lines).

    Args:
        images, manifest: of `coverslip.data.ingest`.
        groups, duplicates: of `coverslip.data.group_images`.
        dataset: its section of the config.
        report: the file to write.
    """
    table = manifests.read_manifest(manifest)
    contents = _contents(images, table)
    found = manifests.read_groups(groups).loc[table.index]
    pairs = pd.read_csv(duplicates, dtype={"a": str, "b": str, "kind": str}, keep_default_na=False)
    facts = _facts(table, contents, pairs, found, dataset)
    facts["warnings"] = _warnings(table, contents, pairs) + _united_groups(table, found, dataset)
    write_json(report, facts)


def _contents(images: Path, table: pd.DataFrame) -> Contents:
    """Read every image and label map once, one at a time."""
    flat, digests, diameters, largest = [], [], [], []
    with ImageStore(images) as store:
        for name in table.index:
            flat.append(not np.ptp(store.image(name), axis=(0, 1)).any())
            label = store.label(name) if store.has_label(name) else NO_LABEL
            digests.append(sha256(np.packbits(label > 0).tobytes()).hexdigest())
            areas = np.bincount(label.ravel())[1:]
            areas = areas[areas > 0]
            diameters.append(np.sqrt(4 * areas / np.pi).astype(np.float32))
            largest.append(areas.max(initial=0) / label.size)
    return Contents(np.array(flat), digests, np.concatenate(diameters), np.array(largest))


def _united_groups(table: pd.DataFrame, found: pd.DataFrame, dataset: Dataset) -> list[str]:
    """Return a line for each group that duplicates have united with another one."""
    if dataset.group_by not in ("metadata", "filename"):
        return []
    given = group_names(table, dataset)
    moved = {(old, new) for old, new in zip(given, found["group"], strict=True) if old != new}
    return [
        f"Group {old} was united with {new}: duplicates join them." for old, new in sorted(moved)
    ]


def _facts(
    table: pd.DataFrame,
    contents: Contents,
    pairs: pd.DataFrame,
    found: pd.DataFrame,
    dataset: Dataset,
) -> dict[str, Any]:
    """Return the counting part of the report."""
    sizes = table["height"].astype(str) + "x" + table["width"].astype(str)
    kinds = Counter(pairs["kind"])
    members = Counter(found["group"])
    counts = sorted(members.values())
    return {
        "format": 1,
        "dataset": dataset.title,
        "images": len(table),
        "sizes": _counts(sizes),
        "dtypes": _counts(table["dtype"]),
        "channels": _counts(table["channels"].astype(str)),
        "modalities": _counts(found["modality"]),
        "classes": _counts(table["class"][table["class"] != ""]),
        "objects": {
            "total": int(table["n_objects"].sum()),
            "images without": int((table["n_objects"] == 0).sum()),
            **_spread(table["n_objects"]),
        },
        "foreground": _spread(table["foreground"]),
        "diameter": {"unit": "pixels", **_spread(contents.diameters)},
        "masks": {
            "empty": int(table["empty_masks"].sum()),
            "overlapping pixels": int(table["overlap_pixels"].sum()),
            "images with overlap": int((table["overlap_pixels"] > 0).sum()),
        },
        "duplicates": {
            kind: kinds[kind]
            for kind in KINDS
            if kind != "overlap" or dataset.group_by == "overlap"
        },
        "groups": {
            "method": dataset.group_by,
            "count": len(members),
            "single images": counts.count(1),
            "largest": dict(sorted(members.items(), key=lambda item: (-item[1], item[0]))[:20]),
            **(_spread(counts)),
        },
    }


def _counts(values: Iterable[str]) -> dict[str, int]:
    """Return how often each value occurs, most frequent first."""
    return dict(sorted(Counter(values).items(), key=lambda item: (-item[1], item[0])))


def _spread(values: Sequence[float] | np.ndarray | pd.Series) -> dict[str, float | None]:
    """Return the mean and quantiles, rounded to six digits; None without values."""
    numbers = np.asarray(values, np.float64)
    names = {"min": 0, "p5": 5, "median": 50, "p95": 95, "max": 100}
    if not len(numbers):
        return {"mean": None, **dict.fromkeys(names)}
    spread = {name: float(np.percentile(numbers, q)) for name, q in names.items()}
    return {name: round(value, 6) for name, value in {"mean": numbers.mean(), **spread}.items()}


def _warnings(table: pd.DataFrame, contents: Contents, pairs: pd.DataFrame) -> list[str]:
    """Return what a scientist should look at, one line each."""
    ids = table.index.to_numpy()
    rows = pairs[["a", "b", "kind"]].to_numpy().tolist()
    masked = (table["n_objects"] > 0).any()
    cases = [
        ("without any object", (table["n_objects"] == 0).to_numpy() & masked),
        ("with empty masks", (table["empty_masks"] > 0).to_numpy()),
        ("with overlapping masks", (table["overlap_pixels"] > 0).to_numpy()),
        ("of one single brightness", contents.flat),
        (f"with an object over {100 * LARGEST_OBJECT:.0f} % of the image",
         contents.largest > LARGEST_OBJECT),
    ]  # fmt: skip
    lines = [
        f"Images {what}: {wrong.sum()} ({first_names(ids[wrong])})."
        for what, wrong in cases
        if any(wrong)
    ]
    for kind, title in KINDS.items():
        found = [f"{a} = {b}" for a, b, of in rows if of == kind]
        if found:
            lines.append(
                f"{title}: {len(found)} pairs, each kept in one group ({first_names(found)})."
            )
    truth = table.assign(mask=contents.mask_digests)[["class", "mask"]]
    other = [
        f"{a} = {b}" for a, b, of in rows if of == "exact" and not truth.loc[a].equals(truth.loc[b])
    ]
    if other:
        lines.append(
            f"Equal images with different masks or classes: {len(other)} ({first_names(other)}): "
            "correct the masks or remove one of each."
        )
    lines += [
        f"Class {name} has a single image: it is either learned or tested."
        for name, count in sorted(Counter(table["class"][table["class"] != ""]).items())
        if count == 1
    ]
    mixed = [name for name in ("dtype", "channels") if table[name].nunique() > 1]
    lines += [f"Images differ in {name}: {_counts(table[name].astype(str))}." for name in mixed]
    return lines
