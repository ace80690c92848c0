"""The page of a measured folder: one HTML file with numbers, plots and contours."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from coverslip import __version__
from coverslip.files import atomic_write
from coverslip.imaging.overlay import CLUSTERS
from coverslip.imaging.scale_bar import scale_bar_um
from coverslip.measure.classes import UNSURE
from coverslip.measure.flags import SATURATED, find_flags, worst_images
from coverslip.measure.image_result import clusters_name, image_name, overlay_name
from coverslip.measure.input_folder import beside, left_out_lines
from coverslip.measure.tables import read_head, read_images
from coverslip.measure.wells import plate_table
from coverslip.reporting.figures import measured_images as plots
from coverslip.reporting.model_card import read_evaluation
from coverslip.reporting.pages import TEMPLATES, embed_image, render
from coverslip.reporting.results import DASH, plural, read_json

SHOWN = 60
"""Images that the page shows with contours; of more, odd ones and others over all confluencies."""

NOTHING: dict[str, Any] = {"endings": {}, "links": []}

LISTED = 1000
"""Rows of the table on the page; `images.csv` has all."""

IMAGE_BYTES = 60_000

PLOT_BYTES = 2_000_000

PLAIN_BYTES = 40_000
"""Of an image without contours, which is below the one with contours."""

SORTED_BY = {
    "confluency": "confluency_percent",
    "objects": "n_objects",
    "area": "mean_area_px",
    "area_um": "mean_area_um2",
    "focus": "focus",
    "confidence": "mean_confidence",
    "valid": "fov_area_px",
    "time": "time",
}
"""Columns of the table by which it can be sorted, and those of `images.csv`."""

GROUPS = 50
"""Folders and classes that are listed at most."""


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
        images: the table `images.csv`; `objects.csv` and `run.json` are in its folder, if at all.
        overlays: folder of the overlays.
        plot: the figure of confluency.
        facts: `name`, `folder`, `model`, `settings` (the section `measure`), and `left_out`,
            see `input_folder.left_out`.
        model: `model.json`.
        output: the page; it links to the files in its folder.
        templates: folder of `measure.html.j2`, `page.css` and `page.js`.

    Raises:
        CoverslipError: an input is missing or is no image.
    """
    table = read_images(images)
    measured = table[table["error"] == ""]
    flags = find_flags(measured)
    odd = {index: flag.text for index, flag in flags.items()}
    files = overlay_names(measured)
    instances = str(model.get("head")).startswith("instance")
    first = [*table.index[table["error"] != ""], *odd]
    order = [*first, *(index for index in table.index if index not in set(first))]
    rows = [
        _row(row, files, odd, overlays, output)
        for row in table.loc[order].head(LISTED).itertuples()
    ]
    record = images.with_name("run.json")
    meta, command = run_facts(read_json(record) if record.is_file() else {})
    page = {
        "name": facts["name"],
        "meta": meta,
        "command": command,
        "quality": read_evaluation(Path(facts["model"])),
        "tool": "tool" in model,
        "model": model_name(facts, model),
        "cards": _cards(table, measured, odd, instances),
        "plots": _plots(images, plot, measured, instances),
        "worst": [
            {"name": _name(measured.loc[index]), "text": text, "place": f"image{index}"}
            for index, text in worst_images(measured, flags).items()
        ],
        "plate": _plate(measured, instances),
        "folders": _folders(measured),
        "classes": _classes(images.with_name("objects.csv")),
        "parquet": output.with_name("objects.parquet").is_file(),
        "exports": output.with_name("exports").is_dir()
        and any(output.with_name("exports").rglob("*.*")),
        "timed": bool((measured["time_unit"] != "").any()),
        "shown": [
            _shown(row, files[row.Index], odd, overlays, output)
            for row in spread(measured, list(odd)).itertuples()
        ],
        "measured": len(measured),
        "rows": rows,
        "total": len(table),
        "left_out": left_out_lines(facts.get("left_out") or NOTHING),
        "unread": [{"name": _name(r), "error": r.error} for r in table.itertuples() if r.error],
        "wells": bool((measured["well"] != "").any()),
        "confident": bool(measured["mean_confidence"].notna().any()),
        "micrometres": bool(measured["mean_area_um2"].notna().any()),
        "fields": measured["fov_area_px"].nunique() > 1,
        "instances": instances,
        "clusters": [
            {"name": name, "color": "#{:02x}{:02x}{:02x}".format(*color)}
            for name, color in enumerate(CLUSTERS.tolist())
        ][: int(measured["n_clusters"].max()) if measured["n_clusters"].notna().any() else 0],
        "saturated": f"{100 * SATURATED:g} %",
        "limit": UNSURE,
        "facts": _facts(facts, model, measured),
    }
    html = render("measure.html.j2", page, templates)
    with atomic_write(output) as part:
        part.write_text(html, encoding="utf-8")


def overlay_names(measured: pd.DataFrame) -> dict[int, str]:
    """Return the names of the overlays of the rows of a table, by index."""
    return {
        row.Index: beside(row.image, overlay_name(row.page, row.plane))
        for row in measured.itertuples()
    }


def spread(measured: pd.DataFrame, first: list[int] | None = None) -> pd.DataFrame:
    """Return the images to show: odd ones first, then at most `SHOWN` over all confluencies."""
    first = (first or [])[:SHOWN]
    rest = measured.drop(index=first)
    places = SHOWN - len(first)
    if len(rest) > places:
        order = rest.sort_values(["confluency_percent", "image", "page"])
        chosen = np.linspace(0, len(order) - 1, places).round().astype(int)
        rest = order.iloc[np.unique(chosen)].sort_values(["image", "page"])
    return pd.concat([measured.loc[first], rest]) if first else rest


def number(value: Any, digits: int = 0) -> str:
    """Return a number with thin spaces between thousands; a dash where there is none."""
    if value is None or pd.isna(value):
        return DASH
    return f"{value:,.{digits}f}".replace(",", "\u2009")


def _name(row: Any) -> str:
    return f"{row.image} {row.plane}".strip()


def run_facts(run: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return date and version of a measurement in words, and its command.

    Args:
        run: the run record of the job; what it does not hold is left out.
    """
    parts = [f"coverslip {__version__}" + (f" ({str(run['git'])[:7]})" if run.get("git") else "")]
    if run.get("ended"):
        date = datetime.fromisoformat(str(run["ended"]))
        parts.insert(0, f"{date.day} {date:%b %Y, %H:%M} {date.tzname() or ''}".strip())
    return " · ".join(parts), run.get("command")


def model_name(facts: Mapping[str, Any], model: Mapping[str, Any]) -> str:
    """Return the folder of a model, and the study that it is of; or name and model of a tool."""
    if tool := model.get("tool"):
        return " ".join(filter(None, (tool["tool"], tool["version"], tool["model"])))
    study = model.get("study")
    folder = Path(facts["model"])
    return f"{folder}" + (f" (study {study})" if study not in (None, folder.name) else "")


def _plots(
    images: Path, confluency: Path, measured: pd.DataFrame, instances: bool
) -> list[dict[str, str]]:
    """Return the plots: counts and sizes first where objects are separated, else confluency."""
    plots_of: list[dict[str, str]] = [_plot("Confluency", confluency)]
    if not instances:
        return plots_of
    with tempfile.TemporaryDirectory() as folder:

        def drawn(name: str, draw: Callable[[Path], None]) -> dict[str, str]:
            path = Path(folder) / f"{len(name)}.svg"
            draw(path)
            return _plot(name, path)

        more = [drawn("Number of objects", lambda p: plots.draw(measured, p, plots.COUNT))]
        objects = images.with_name("objects.csv")
        if objects.is_file():
            areas = pd.read_csv(objects, usecols=["area_px", "area_um2"])
            known = areas["area_um2"].notna().all() and len(areas)
            column, unit = ("area_um2", "µm²") if known else ("area_px", "px²")
            more.append(
                drawn("Size of objects", lambda p: plots.draw_sizes(areas[column], unit, p))
            )
    return more + plots_of


def _plate(measured: pd.DataFrame, instances: bool) -> dict[str, Any] | None:
    """Return the table of wells: objects per image, or confluency."""
    column = "n_objects" if instances else "confluency_percent"
    plate = plate_table(measured, column)
    if plate is None:
        return None
    for row in plate["rows"]:
        for cell in row["cells"]:
            value = cell["value"]
            cell["text"] = "" if value is None else number(value, 0 if instances else 1)
            cell["level"] = round(cell["level"], 3)
    title = "Objects per image" if instances else "Confluency (%)"
    return {**plate, "title": title, "images": int((measured["well"] != "").sum())}


def _folders(measured: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the numbers of each folder of images, where there are several."""
    folders = measured["image"].map(lambda name: name.rpartition("/")[0])
    if folders.nunique() < 2:
        return []
    return [
        {
            "name": name or "(top folder)",
            "images": number(len(rows)),
            "objects": number(rows["n_objects"].sum()),
            "each": number(rows["n_objects"].mean(), 1),
            "confluency": number(rows["confluency_percent"].mean(), 1),
        }
        for name, rows in list(measured.groupby(folders))[:GROUPS]
    ]


def _classes(objects: Path) -> list[dict[str, str]]:
    """Return how many objects are of each class, where a model classified them."""
    if not objects.is_file() or "class" not in read_head(objects):
        return []
    table = pd.read_csv(objects, usecols=["class", "class_probability"], dtype={"class": "str"})
    classes = table.groupby("class")["class_probability"]
    return [
        {
            "name": str(name),
            "objects": number(len(values)),
            "percent": number(100 * len(values) / len(table), 1),
            "unsure": number((values < UNSURE).sum()),
        }
        for name, values in sorted(classes, key=lambda pair: -len(pair[1]))[:GROUPS]
    ]


def _plot(name: str, path: Path) -> dict[str, str]:
    return {"name": name, "source": embed_image(path, PLOT_BYTES).source}


def _cards(
    table: pd.DataFrame, measured: pd.DataFrame, odd: Mapping[int, str], instances: bool
) -> list[dict[str, str]]:
    confluency = measured["confluency_percent"].dropna()
    low, high = (number(confluency.min(), 1), number(confluency.max(), 1))
    counts = {
        "label": "objects",
        "value": number(measured["n_objects"].sum()),
        "more": f"median of an image: {number(measured['n_objects'].median())}",
    }
    covered = {
        "label": "median confluency",
        "value": f"{number(confluency.median(), 1)}\u00a0%",
        "more": f"from {low}\u00a0% to {high}\u00a0%" if len(confluency) else "",
    }
    files = table["image"].nunique()
    images = {
        "label": "images measured",
        "value": number(len(measured)),
        "more": f"of {number(len(table))} in {number(files)} {'file' if files == 1 else 'files'}",
    }
    cards = [counts, covered, images] if instances else [covered, counts, images]
    if odd:
        cards.append({"label": "images to check", "value": number(len(odd)), "more": "shown first"})
    if unread := len(table) - len(measured):
        cards.append({"label": "not measured", "value": number(unread), "more": "reasons below"})
    return cards


def _row(
    row: Any, files: Mapping[int, str], odd: Mapping[int, str], overlays: Path, output: Path
) -> dict[str, Any]:
    name = files.get(row.Index)
    return {
        "name": _name(row),
        "link": "" if name is None else _link(overlays / name, output),
        "confluency": number(row.confluency_percent, 1),
        "objects": number(row.n_objects),
        "area": number(row.mean_area_px, 1),
        "area_um": number(row.mean_area_um2, 1),
        "focus": number(row.focus, 3),
        "confidence": number(row.mean_confidence, 2),
        "well": row.well,
        "valid": number(row.fov_area_px),
        "time": "" if not row.time_unit else f"{number(row.time, 2)} {row.time_unit}",
        "note": row.error or odd.get(row.Index, ""),
        "bad": bool(row.error),
        "odd": row.Index in odd,
        "keys": {
            name: "" if pd.isna(getattr(row, column)) else getattr(row, column)
            for name, column in SORTED_BY.items()
        },
    }


def _shown(
    row: Any, name: str, odd: Mapping[int, str], overlays: Path, output: Path
) -> dict[str, str]:
    plain, clusters = overlays / image_name(name), overlays / clusters_name(name)
    width_um = row.width_px * row.pixel_width_um  # not a number where it is not known
    return {
        "name": _name(row),
        "link": _link(overlays / name, output),
        "place": f"image{row.Index}",
        "source": embed_image(overlays / name, IMAGE_BYTES).source,
        "plain": embed_image(plain, PLAIN_BYTES).source if plain.is_file() else "",
        "confluency": f"{number(row.confluency_percent, 1)} %",
        "objects": plural(int(row.n_objects), "object"),
        "bar": f"{scale_bar_um(width_um):g}" if width_um > 0 else "",
        "odd": odd.get(row.Index, ""),
        "clusters": embed_image(clusters, IMAGE_BYTES).source if clusters.is_file() else "",
        "n_clusters": "" if pd.isna(row.n_clusters) else plural(int(row.n_clusters), "cluster"),
        "foreground": row.foreground_clusters.replace(" ", ", ") or "none",
    }


def _link(path: Path, output: Path) -> str:
    return quote(Path(os.path.relpath(path, output.parent)).as_posix())


def _facts(
    facts: Mapping[str, Any], model: Mapping[str, Any], measured: pd.DataFrame
) -> list[dict[str, str]]:
    settings = facts["settings"]
    sources = sorted(set(measured["pixel_size_from"]) - {""})
    count = int((measured["pixel_size_from"] != "").sum())
    size = f"of {count} of {len(measured)} images, from {' and '.join(sources)}"
    endings = (facts.get("left_out") or NOTHING)["endings"]
    others = ", ".join(f"{count} {each or 'without ending'}" for each, count in endings.items())
    words = {
        "Images": str(facts["folder"]),
        "Other files there": others or "none",
        "Model": model_name(facts, model),
        "Licence of its data": str(model.get("licence") or "not stated"),
        "Threshold": number(model.get("threshold"), 3),
        "Smallest object": f"{settings['min_area_px']} px²",
        "Flat-field correction": "applied" if settings["flatfield"] else "none",
        "Black surroundings": "left out" if settings["ignore_black_border"] else "counted",
        "Size of a pixel": size if sources else "not known, so there are no areas in µm²",
    }
    return [{"label": label, "text": text} for label, text in words.items()]
