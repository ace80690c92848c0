"""The page of a measured folder: one HTML file with numbers, a plot and the outlines drawn."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from coverslip.files import atomic_write
from coverslip.measure.image_result import overlay_name
from coverslip.measure.input_folder import beside, left_out_lines
from coverslip.measure.tables import read_images
from coverslip.reporting.pages import TEMPLATES, embed_image, render
from coverslip.reporting.results import DASH

SHOWN = 60
"""Images that the page shows with their outlines: more are drawn from all confluencies alike."""

NOTHING: dict[str, Any] = {"endings": {}, "links": []}

LISTED = 1000
"""Rows of the table on the page; `images.csv` has all."""

IMAGE_BYTES = 60_000

PLOT_BYTES = 2_000_000


def build(
    images: Path,
    overlays: Path,
    plot: Path,
    facts: Mapping[str, Any],
    model: Mapping[str, Any],
    output: Path,
    templates: Path = TEMPLATES,
) -> None:
    """Write the page.

    Args:
        images: the table `images.csv`.
        overlays: folder of the overlays.
        plot: the figure of confluency.
        facts: `name`, `folder`, `model`, `command`, `settings` (the section `measure`), and
            `left_out`, see `measure_folder.left_out`.
        model: `model.json`.
        output: the page; it links to the files beside it.
        templates: folder of `measure.html.j2` and `page.css`.

    Raises:
        CoverslipError: an input is missing or is no image.
    """
    table = read_images(images)
    measured = table[table["error"] == ""]
    unread = table[table["error"] != ""]
    files = overlay_names(measured)
    rows = [_row(row, files, overlays, output) for row in table.head(LISTED).itertuples()]
    page = {
        "name": facts["name"],
        "command": facts.get("command"),
        "cards": _cards(table, measured, unread),
        "plot": embed_image(plot, PLOT_BYTES).source,
        "timed": bool((measured["time_unit"] != "").any()),
        "shown": [
            _shown(row, files[row.Index], overlays, output) for row in spread(measured).itertuples()
        ],
        "measured": len(measured),
        "rows": rows,
        "total": len(table),
        "left_out": left_out_lines(facts.get("left_out") or NOTHING),
        "unread": [{"name": _name(row), "error": row.error} for row in unread.itertuples()],
        "micrometres": bool(measured["mean_area_um2"].notna().any()),
        "instances": model.get("head") == "instance",
        "intervals": any(row["interval"] for row in rows),
        "facts": _facts(facts, model, measured),
    }
    html = render("measure.html.j2", page, templates)
    with atomic_write(output) as part:
        part.write_text(html, encoding="utf-8")


def overlay_names(measured: pd.DataFrame) -> dict[int, str]:
    """Names of the overlays of the rows of a table, by index."""
    return {
        row.Index: beside(row.image, overlay_name(row.page, row.plane))
        for row in measured.itertuples()
    }


def spread(measured: pd.DataFrame) -> pd.DataFrame:
    """The images to show: all, or `SHOWN` from the least to the most confluent, by name."""
    if len(measured) <= SHOWN:
        return measured
    order = measured.sort_values(["confluency_percent", "image", "page"])
    chosen = order.iloc[np.unique(np.linspace(0, len(order) - 1, SHOWN).round().astype(int))]
    return chosen.sort_values(["image", "page"])


def number(value: Any, digits: int = 0) -> str:
    """A number with thin spaces between thousands; a dash where there is none."""
    if value is None or pd.isna(value):
        return DASH
    return f"{value:,.{digits}f}".replace(",", "\u2009")


def _name(row: Any) -> str:
    return f"{row.image} {row.plane}".strip()


def _cards(
    table: pd.DataFrame, measured: pd.DataFrame, unread: pd.DataFrame
) -> list[dict[str, str]]:
    confluency = measured["confluency_percent"].dropna()
    low, high = (number(confluency.min(), 1), number(confluency.max(), 1))
    cards = [
        {"label": "images measured", "value": number(len(measured)), "more": _files(table)},
        {
            "label": "median confluency",
            "value": f"{number(confluency.median(), 1)}\u00a0%",
            "more": f"from {low}\u00a0% to {high}\u00a0%" if len(confluency) else "",
        },
        {
            "label": "objects",
            "value": number(measured["n_objects"].sum()),
            "more": f"median of an image: {number(measured['n_objects'].median())}",
        },
    ]
    if len(unread):
        cards.append(
            {"label": "not measured", "value": number(len(unread)), "more": "reasons below"}
        )
    return cards


def _files(table: pd.DataFrame) -> str:
    files = table["image"].nunique()
    return f"of {number(files)} {'file' if files == 1 else 'files'}"


def _row(row: Any, files: Mapping[int, str], overlays: Path, output: Path) -> dict[str, str]:
    name = files.get(row.Index)
    return {
        "name": _name(row),
        "link": "" if name is None else _link(overlays / name, output),
        "confluency": number(row.confluency_percent, 1),
        "interval": _interval(row.confluency_low_percent, row.confluency_high_percent),
        "objects": number(row.n_objects),
        "area": number(row.mean_area_px, 1),
        "area_um": number(row.mean_area_um2, 1),
        "valid": number(row.fov_area_px),
        "time": "" if not row.time_unit else f"{number(row.time, 2)} {row.time_unit}",
        "note": row.error or row.note,
        "bad": bool(row.error),
    }


def _interval(low: float, high: float) -> str:
    return "" if pd.isna(low) else f"{number(low, 1)} to {number(high, 1)}"


def _shown(row: Any, name: str, overlays: Path, output: Path) -> dict[str, str]:
    found = embed_image(overlays / name, IMAGE_BYTES)
    return {
        "name": _name(row),
        "link": _link(overlays / name, output),
        "source": found.source,
        "confluency": number(row.confluency_percent, 1),
        "objects": number(row.n_objects),
    }


def _link(path: Path, output: Path) -> str:
    return quote(Path(os.path.relpath(path, output.parent)).as_posix())


def _facts(
    facts: Mapping[str, Any], model: Mapping[str, Any], measured: pd.DataFrame
) -> list[dict[str, str]]:
    settings = facts["settings"]
    sources = sorted(set(measured["pixel_size_from"]) - {""})
    known = int((measured["pixel_size_from"] != "").sum())
    size = f"known for {known} of {len(measured)} images" if sources else "not known"
    size += f" (from {' and '.join(sources)})" if sources else ": no micrometres"
    study = model.get("study")
    endings = (facts.get("left_out") or NOTHING)["endings"]
    others = ", ".join(f"{count} {each or 'without ending'}" for each, count in endings.items())
    words = {
        "Images": str(facts["folder"]),
        "Other files there": others or "none",
        "Model": str(facts["model"]) + (f", trained in the study {study}" if study else ""),
        "Licence of its data": str(model.get("licence") or "not stated"),
        "Threshold": number(model.get("threshold"), 3),
        "Smallest object": f"{settings['min_area_px']} pixels",
        "Black surroundings": "left out" if settings["ignore_black_border"] else "counted",
        "Size of a pixel": size,
    }
    return [{"label": label, "text": text} for label, text in words.items()]
