"""Check a dataset before anything is learned from it: counts, masks, duplicates, groups.

The report names what is unusual (`warnings`) and what makes every result worthless (`faults`); a
fault stops the run, after the report is written.
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
from coverslip.config.tasks import MASKS
from coverslip.data import acquisition_groups, overlap
from coverslip.data import tables as manifests
from coverslip.data.duplicates import Pair
from coverslip.data.group_names import group_names
from coverslip.data.image_store import ImageStore
from coverslip.errors import CoverslipError
from coverslip.files import atomic_write, write_json

NAMED = 3
"""So many images are named in a message."""

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

GROUP_COLUMNS = ["id", "group", "modality", "stratum"]

DUPLICATE_COLUMNS = ["a", "b", "kind", "distance"]


@dataclass(frozen=True)
class Contents:
    """Results of one pass over the store; all lists in the order of the manifest.

    `mask_digests` are of the foreground; `diameters` are of all objects, in pixels; `largest` is
    the share of an image that its largest object covers.
    """

    traits: list[acquisition_groups.ImageFeatures]
    mask_digests: list[str]
    diameters: np.ndarray
    largest: np.ndarray


def check(
    images: Path, manifest: Path, dataset: Dataset, report: Path, groups: Path, duplicates: Path
) -> None:
    """Write the data report, the groups and the duplicates of a dataset.

    - `report` (json): counts, sizes, dtypes, channels, modalities, classes, objects, foreground
      (share of pixels, 0..1), diameter (of the circle with an object's area, pixels), masks,
      duplicates, groups, `warnings` and `faults` (lists of lines);
    - `groups` (csv): id, group, modality, stratum (the class where the dataset has classes, else
      the modality);
    - `duplicates` (csv): a, b, kind (exact, near, abutting or overlap), distance
      (`coverslip.data.duplicates`).

    Groups follow `dataset.groups`; whatever they are, images joined by a pair share one.

    Raises:
        CoverslipError: the dataset has a fault; the three files are written before.
    """
    table = manifests.read_manifest(manifest)
    contents = _contents(images, table)
    pairs = acquisition_groups.find_pairs(
        contents.traits, table["sha256"].tolist(), dataset.near_duplicate_distance
    )
    if dataset.group_by == "overlap":
        pairs = with_overlaps(pairs, images, table)
    names, merged = _groups(table, contents.traits, pairs, dataset)
    facts = _facts(table, contents, pairs, names, dataset)
    facts["warnings"] = _warnings(table, contents, pairs, merged)
    facts["faults"] = _faults(table, names, dataset, manifest)
    modality = [image.modality for image in contents.traits]
    stratum = table["class"].where(table["class"] != "", modality)
    columns = (table.index, names, modality, stratum)
    _write_csv(dict(zip(GROUP_COLUMNS, columns, strict=True)), groups)
    ids = table.index
    rows = [(ids[pair.a], ids[pair.b], pair.kind, pair.distance) for pair in pairs]
    found = list(zip(*rows, strict=True)) if rows else [()] * len(DUPLICATE_COLUMNS)
    _write_csv(dict(zip(DUPLICATE_COLUMNS, found, strict=True)), duplicates)
    report.parent.mkdir(parents=True, exist_ok=True)
    write_json(report, facts)
    if facts["faults"]:
        raise CoverslipError(" ".join(facts["faults"]))


def _write_csv(columns: dict[str, Any], path: Path) -> None:
    with atomic_write(path) as part:
        pd.DataFrame(columns).to_csv(part, index=False, lineterminator="\n")


def with_overlaps(pairs: list[Pair], images: Path, table: pd.DataFrame) -> list[Pair]:
    """Return the pairs, and those of `overlap.links` that are not yet among them; sorted."""
    with ImageStore(images) as store:
        sizes = table[["height", "width"]].to_numpy()
        links = overlap.links(lambda position: store.image(table.index[position]), sizes)
    found = {(pair.a, pair.b): pair for pair in [*links, *pairs]}
    return [found[key] for key in sorted(found)]


def _contents(images: Path, table: pd.DataFrame) -> Contents:
    """Read every image and label map once, one at a time."""
    with ImageStore(images) as store:
        scales = _scales(store, table)
        traits, digests, diameters, largest = [], [], [], []
        for name, dtype in zip(table.index, table["dtype"], strict=True):
            traits.append(acquisition_groups.image_features(store.image(name), scales[dtype]))
            label = store.label(name) if store.has_label(name) else NO_LABEL
            digests.append(sha256(np.packbits(label > 0).tobytes()).hexdigest())
            areas = np.bincount(label.ravel())[1:]
            areas = areas[areas > 0]
            diameters.append(np.sqrt(4 * areas / np.pi).astype(np.float32))
            largest.append(areas.max(initial=0) / label.size)
    together = np.concatenate(diameters) if diameters else np.empty(0, np.float32)
    return Contents(traits, digests, together, np.array(largest))


def _scales(store: ImageStore, table: pd.DataFrame) -> dict[str, int]:
    """Return the brightest value of each type; reads only images of more than 8 bits."""
    scales = {}
    for dtype, names in table.groupby("dtype").groups.items():
        largest = 0 if dtype == "uint8" else max(int(store.image(name).max()) for name in names)
        scales[dtype] = acquisition_groups.full_scale(str(dtype), largest)
    return scales


def _groups(
    table: pd.DataFrame,
    traits: list[acquisition_groups.ImageFeatures],
    pairs: list[Pair],
    dataset: Dataset,
) -> tuple[list[str], list[str]]:
    """Return the group of each image, and lines about groups that duplicates have united."""
    if dataset.group_by == "acquisition":
        return acquisition_groups.acquisition_groups(traits, pairs), []
    given = group_names(table, dataset)
    united = acquisition_groups.merge(given, pairs)
    if dataset.group_by in ("image", "overlap"):
        return united, []
    moved = sorted({(old, new) for old, new in zip(given, united, strict=True) if old != new})
    lines = [f"Group {old} was united with {new}: duplicates join them." for old, new in moved]
    return united, lines


def _facts(
    table: pd.DataFrame,
    contents: Contents,
    pairs: list[Pair],
    names: list[str],
    dataset: Dataset,
) -> dict[str, Any]:
    """Return the counting part of the report."""
    sizes = table["height"].astype(str) + "x" + table["width"].astype(str)
    kinds = Counter(pair.kind for pair in pairs)
    members = Counter(names)
    counts = sorted(members.values())
    return {
        "format": 1,
        "dataset": dataset.title,
        "images": len(table),
        "sizes": _counts(sizes),
        "dtypes": _counts(table["dtype"]),
        "channels": _counts(table["channels"].astype(str)),
        "modalities": _counts(image.modality for image in contents.traits),
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


def _named(names: Sequence[str]) -> str:
    """Return the first names and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _warnings(
    table: pd.DataFrame, contents: Contents, pairs: list[Pair], merged: list[str]
) -> list[str]:
    """Return what a scientist should look at, one line each."""
    ids = table.index.to_numpy()
    contrast = np.array([image.contrast for image in contents.traits])
    masked = (table["n_objects"] > 0).any()
    cases = [
        ("without any object", (table["n_objects"] == 0).to_numpy() & masked),
        ("with empty masks", (table["empty_masks"] > 0).to_numpy()),
        ("with overlapping masks", (table["overlap_pixels"] > 0).to_numpy()),
        ("of one single brightness", contrast == 0),
        (f"with an object over {LARGEST_OBJECT:.0%} of the image",
         contents.largest > LARGEST_OBJECT),
    ]  # fmt: skip
    lines = [
        f"Images {what}: {wrong.sum()} ({_named(ids[wrong])})."
        for what, wrong in cases
        if any(wrong)
    ]
    for kind, title in KINDS.items():
        found = [f"{ids[pair.a]} = {ids[pair.b]}" for pair in pairs if pair.kind == kind]
        if found:
            lines.append(f"{title}: {len(found)} pairs, each kept in one group ({_named(found)}).")
    other = [
        f"{ids[pair.a]} = {ids[pair.b]}"
        for pair in pairs
        if pair.kind == "exact"
        and (
            contents.mask_digests[pair.a] != contents.mask_digests[pair.b]
            or table["class"].iloc[pair.a] != table["class"].iloc[pair.b]
        )
    ]
    if other:
        lines.append(
            f"Equal images with different masks or classes: {len(other)} ({_named(other)}): "
            "correct the masks or remove one of each."
        )
    lines += [
        f"Class {name} has a single image: it is either learned or tested."
        for name, count in sorted(Counter(table["class"][table["class"] != ""]).items())
        if count == 1
    ]
    mixed = [name for name in ("dtype", "channels") if table[name].nunique() > 1]
    lines += [f"Images differ in {name}: {_counts(table[name].astype(str))}." for name in mixed]
    return lines + merged


def _faults(table: pd.DataFrame, names: list[str], dataset: Dataset, manifest: Path) -> list[str]:
    """Return what makes learning or its assessment impossible, with the file and the fix."""
    if table.empty:
        return [
            f"{manifest}: no images: check the source and the format ({dataset.format}) of "
            f"dataset {dataset.title}."
        ]
    faults = []
    if not table["n_objects"].any() and (table["class"] == "").all():
        wrong, fix = f"none of {len(table)} images has a class", "the labels"
        if dataset.format in MASKS:
            wrong = f"all {len(table)} masks are empty"
            fix = f"the masks and mask_threshold ({dataset.mask_threshold})"
        faults.append(
            f"{manifest}: {wrong} ({_named(table.index.to_numpy())}): check {fix} of dataset "
            f"{dataset.title}."
        )
    if len(set(names)) < 2:
        faults.append(
            f"{manifest}: all {len(table)} images are in one group ({names[0]}), so none can be "
            f"held out: give more images, or set groups of dataset {dataset.title} to pattern "
            "with a group_pattern."
        )
    return faults
