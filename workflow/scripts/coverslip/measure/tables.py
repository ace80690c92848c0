"""Tables of measured images and objects, as CSV and Parquet."""

from __future__ import annotations

import csv
import heapq
import math
import os
import re
import shutil
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from operator import itemgetter
from pathlib import Path

import pandas as pd

from coverslip.files import atomic_write
from coverslip.imaging.image_quality import QC
from coverslip.measure.regionprops import BASIC, OBJECTS, column_type
from coverslip.measure.wells import find_well


def link_all(folders: Iterable[Path], output: Path) -> None:
    """Make one folder of the files of several, whose names differ."""
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                link_file(path, output / path.relative_to(folder))


def link_file(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the disk cannot."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        target.unlink(missing_ok=True)
        shutil.copyfile(source, target)


# --- The table of objects as Parquet, for programs that read millions of rows

PARQUET_ROWS = 200_000
"""Rows that are in memory at once; each makes a row group."""

KINDS = {"str": "str", "int64": "Int64", "float64": "float64", "bool": "boolean"}
"""Types of columns, with missing values, by their types in memory."""


def write_parquet(objects: Path, output: Path) -> None:
    """Write a table of objects (`objects.csv`) as Parquet, compressed by zstd, in its order."""
    types = {name: KINDS[object_type(name)] for name in read_head(objects)}
    texts: dict[str, list[str]] = {name: [] for name, kind in types.items() if kind == "str"}
    missing = {name: [""] for name in types if name not in texts}
    import fastparquet  # half a second, and only the last job needs it

    with (
        atomic_write(output) as part,
        pd.read_csv(
            objects,
            dtype=types,
            keep_default_na=False,
            na_values=missing,
            chunksize=PARQUET_ROWS,
        ) as chunks,
    ):
        for number, chunk in enumerate(chunks):
            fastparquet.write(
                str(part),
                chunk.astype(dict.fromkeys(texts, object)),
                compression="ZSTD",
                object_encoding="utf8",
                write_index=False,
                stats=False,
                append=number > 0,
            )


# --- The tables of all shards as one: images with their times, and objects

FIRST_COLUMNS = {"image": "str", "page": "int64"}


def object_type(name: str) -> str:
    """Return the dtype of a column of `objects.csv`."""
    return FIRST_COLUMNS.get(name) or column_type(name)


def read_head(path: Path) -> list[str]:
    """Return the columns of a CSV table."""
    with open(path, encoding="utf-8", newline="") as file:
        return next(csv.reader(file))


def object_columns(heads: Iterable[Iterable[str]]) -> list[str]:
    """Return the columns of several tables of objects as one: those of all, then of some.

    Tables differ where images have other channels. Without any table, those of `features: basic`.
    """
    found = dict.fromkeys(name for head in heads for name in head)
    fixed = [name for name in OBJECTS if name in found or name in BASIC]
    more = [name for name in found if name not in OBJECTS and name not in FIRST_COLUMNS]
    return [*FIRST_COLUMNS, *fixed, *more]


def join_objects(tables: Mapping[str, Path], output: Path) -> None:
    """Write the tables of objects of several images as one, with the column `image`.

    Args:
        tables: CSV of each image, by its name.
        output: the table, in their order.
    """
    columns = object_columns(map(read_head, tables.values()))
    with atomic_write(output) as part:
        pd.DataFrame(columns=columns).to_csv(part, index=False)
        for name, path in tables.items():
            kinds = {column: object_type(column) for column in read_head(path)}
            objects = pd.read_csv(path, dtype=kinds).assign(image=name)
            objects.reindex(columns=columns).to_csv(part, index=False, header=False, mode="a")


SHARD_COLUMNS = [
    *("image", "page", "plane", "time", "time_unit"),
    *("confluency_percent", "n_objects", "objects_per_mm2"),
    *("mean_area_px", "mean_area_um2", "median_area_px", "median_area_um2"),
    *("mean_eccentricity", "mean_intensity", "mean_confidence"),
    *("n_clusters", "foreground_clusters", *QC),
    *("fov_area_px", "valid_area_um2", "foreground_px", "foreground_um2"),
    *("height_px", "width_px", "channel", "channels", "bit_depth"),
    *("pixel_height_um", "pixel_width_um", "pixel_size_from", "note", "error"),
]
"""Columns of the table of images of a shard."""

COLUMNS = ["image", "page", "plane", "series", "well", *SHARD_COLUMNS[3:]]
"""Columns of `images.csv`."""

COUNTS = [
    *("page", "n_objects", "fov_area_px", "foreground_px", "height_px", "width_px"),
    *("channels", "bit_depth", "n_clusters"),
]

TEXTS = [
    *("image", "plane", "series", "well", "time_unit", "channel", "pixel_size_from"),
    *("foreground_clusters", "note", "error"),
]

PARTS = {"days": 24.0, "hours": 1.0, "minutes": 1 / 60, "seconds": 1 / 3600}
"""Named groups of a time, in hours."""


def read_images(path: Path) -> pd.DataFrame:
    """Read a table of images; counts are integers that may be missing, texts may be empty."""
    table = pd.read_csv(path, dtype=dict.fromkeys(COUNTS, "Int64") | dict.fromkeys(TEXTS, "str"))
    return table.fillna({name: "" for name in TEXTS if name in table})


def image_table(shards: Iterable[Path], pattern: str, unit: str) -> pd.DataFrame:
    """All images of all shards, sorted by name and page, with their times and series.

    Args:
        shards: tables of the columns `SHARD_COLUMNS`.
        pattern: see `name_time`.
        unit: unit of the group `time`.

    Returns:
        the columns `COLUMNS`.
    """
    table = pd.concat([read_images(path) for path in shards]).sort_values(["image", "page"])
    compiled = re.compile(pattern)
    series, times, units = [], [], []
    for row in table.itertuples():
        time, word = row.time, row.time_unit
        if word:  # the file itself has the time; its other axes are the series
            other = [part for part in row.plane.split() if not re.fullmatch(r"t\d+", part)]
            place = " ".join([row.image, *other])
        else:
            time, word, place = name_time(row.image, compiled, unit)
            place = f"{place} {row.plane}".strip() if word else ""
        series.append(place)
        times.append(None if time is None else round(time, 6))
        units.append(word)
    table["series"], table["time"], table["time_unit"] = series, times, units
    table["well"] = [find_well(name) for name in table["image"]]
    return table[COLUMNS].reset_index(drop=True)


def name_time(name: str, pattern: re.Pattern[str], unit: str) -> tuple[float | None, str, str]:
    """Return the time in the name of an image, its unit, and its series; or none and empty texts.

    Args:
        name: path of the image in its folder.
        pattern: with the named group `time`, or any of `days`, `hours`, `minutes`, `seconds`, and
            maybe `series`; else the series is the name without what was matched and its ending.
        unit: unit of the group `time`; the others give hours, `h`.
    """
    match = pattern.search(name)
    if match is None:
        return None, "", ""
    groups = match.groupdict()
    series = groups.get("series")
    if series is None:
        stem = name.rsplit(".", 1)[0]
        parts = (stem[: match.start()].rstrip(" _-."), stem[match.end() :].strip(" _-."))
        series = "…".join(part for part in parts if part) or "all"
    try:
        if groups.get("time") is not None:
            time = float(groups["time"])
            return (time, unit, series) if math.isfinite(time) else (None, "", "")
        times = {part: groups[part] for part in PARTS if groups.get(part) is not None}
        hours = sum(PARTS[part] * float(value) for part, value in times.items())
    except ValueError:
        return None, "", ""
    known = times and math.isfinite(hours)
    return (round(hours, 6), "h", series) if known else (None, "", "")


def write_images(table: pd.DataFrame, output: Path) -> None:
    """Write the table of images as CSV."""
    with atomic_write(output) as part:
        table.to_csv(part, index=False)


def merge_objects(shards: Iterable[Path], output: Path) -> None:
    """Merge the tables of objects, each sorted by image, line by line into one."""
    shards = list(shards)
    columns = object_columns(map(read_head, shards))
    with atomic_write(output) as part, ExitStack() as stack:
        files = [stack.enter_context(open(path, encoding="utf-8", newline="")) for path in shards]
        target = stack.enter_context(open(part, "w", encoding="utf-8", newline=""))
        writer = csv.DictWriter(target, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(heapq.merge(*map(csv.DictReader, files), key=itemgetter("image")))
