"""Wells of a plate: from the names of images to a table of the plate."""

from __future__ import annotations

import re
import string
from typing import Any

import pandas as pd

WELL = re.compile(
    r"(?:^|[^A-Za-z0-9])(?:"
    r"(?P<letter>[A-P])-?(?P<number>0?[1-9]|1\d|2[0-4])(?=$|[^A-Za-z0-9]|[fst]\d)"
    r"|r(?P<row>0[1-9]|1[0-6])c(?P<column>0[1-9]|1\d|2[0-4])(?!\d)"
    r")"
)
"""`A01` to `P24` (up to 384 wells), as ImageXpress, and `r01c01` to `r16c24`, as Opera."""


def find_well(name: str) -> str:
    """Return the well in the name of an image, as `A01`; empty where there is none.

    Of several the last one counts, so that a folder does not hide the well of its file.

    Examples:
        >>> find_well("plate1_B3_s2_w1.tif"), find_well("r02c11f01p01-ch1.tiff"), find_well("a.png")
        ('B03', 'B11', '')
    """
    found = list(WELL.finditer(name))
    if not found:
        return ""
    last = found[-1]
    if last["letter"]:
        return f"{last['letter']}{int(last['number']):02d}"
    return f"{string.ascii_uppercase[int(last['row']) - 1]}{int(last['column']):02d}"


def plate_table(measured: pd.DataFrame, column: str) -> dict[str, Any] | None:
    """Return the mean of a column in each well, as rows and columns of a plate.

    Args:
        measured: images, with the columns `well` and that one.
        column: a number of each image.

    Returns:
        `columns` (numbers) and `rows`: `name` and `cells`, one a column, with `value` (none of an
        empty well), `images` and `level` (0..1, from the smallest to the largest); none where
        there are fewer than two wells.
    """
    images = measured[(measured["well"] != "") & measured[column].notna()]
    wells = images.groupby("well")[column].agg(["mean", "count"])
    if len(wells) < 2:
        return None
    low, high = float(wells["mean"].min()), float(wells["mean"].max())

    def cell(well: str) -> dict[str, Any]:
        if well not in wells.index:
            return {"value": None, "images": 0, "level": 0.0}
        value, count = float(wells.loc[well, "mean"]), int(wells.loc[well, "count"])
        level = (value - low) / (high - low) if high > low else 0.0
        return {"value": value, "images": count, "level": level}

    letters = string.ascii_uppercase
    rows = range(letters.index(min(wells.index)[0]), letters.index(max(wells.index)[0]) + 1)
    numbers = {int(well[1:]) for well in wells.index}
    columns = list(range(min(numbers), max(numbers) + 1))
    return {
        "columns": columns,
        "rows": [
            {"name": letters[row], "cells": [cell(f"{letters[row]}{at:02d}") for at in columns]}
            for row in rows
        ],
    }
