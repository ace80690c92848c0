"""Confluency, or number and size of objects: over time where images have times, else by image."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from coverslip.reporting.figures.style import (
    BLACK,
    BLUE,
    GREY,
    SERIES,
    VERMILLION,
    new,
    save,
    shorten,
    styled,
)

COLOURS = (*SERIES, BLACK)

MARKERS = "os^Dv<>"

UNITS = {"h": "time in hours", "frame": "frame"}

NAMED = 40
"""Up to so many images are drawn with their names; of more, the distribution."""

LETTERS = 42


class Quantity(NamedTuple):
    """What is drawn of each image."""

    column: str
    label: str
    title: str


CONFLUENCY = Quantity("confluency_percent", "Confluency (%)", "Confluency")

COUNT = Quantity("n_objects", "Objects", "Number of objects")


@styled
def draw(table: pd.DataFrame, output: Path, quantity: Quantity = CONFLUENCY) -> None:
    """Draw a quantity as svg or png, by the ending of `output`.

    A panel for each unit of time; a line for each series, which up to seven are separated by
    colour and marker, while more are grey with their median. Without any time: a bar an image,
    or, of more than `NAMED`, their distribution.

    Args:
        table: the columns `tables.COLUMNS`.
        output: the figure.
        quantity: what is drawn.
    """
    measured = table.dropna(subset=[quantity.column])
    timed = measured[(measured["time_unit"] != "") & measured["time"].notna()]
    units = sorted(timed["time_unit"].unique())
    figure = new(8, 3.6 * max(1, len(units)))
    panels = figure.subplots(max(1, len(units)), 1, squeeze=False)[:, 0]
    if not units:
        _by_image(panels[0], measured, quantity)
    for axes, unit in zip(panels, units, strict=False):
        _over_time(axes, timed[timed["time_unit"] == unit], unit, quantity)
    save(figure, output)


def _over_time(axes: Axes, table: pd.DataFrame, unit: str, quantity: Quantity) -> None:
    lines = [
        (str(name), rows.groupby("time")[quantity.column].mean())
        for name, rows in table.groupby("series", sort=True)
    ]
    many = len(lines) > len(COLOURS)
    looks = itertools.cycle(zip(COLOURS, MARKERS, strict=True))
    for (name, line), (colour, marker) in zip(lines, looks, strict=False):
        if many:
            axes.plot(line.index, line, color=GREY, linewidth=0.8, alpha=0.5)
        else:
            label = shorten(name, LETTERS)
            axes.plot(line.index, line, color=colour, marker=marker, markersize=4, label=label)
    if many:
        middle = table.groupby("time")[quantity.column].median()
        label = f"median of {len(lines)} series"
        axes.plot(middle.index, middle, color=BLUE, linewidth=2.4, label=label)
    axes.set(xlabel=UNITS.get(unit, f"time ({unit})"), ylabel=quantity.label)
    axes.set_ylim(bottom=0)
    axes.set_title(f"{quantity.title} over time")
    if len(lines) > 1:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0)


def _by_image(axes: Axes, table: pd.DataFrame, quantity: Quantity) -> None:
    if len(table) > NAMED:
        values = table[quantity.column].astype(float)
        axes.hist(values, bins=20, color=BLUE, edgecolor="white")
        axes.set(xlabel=quantity.label, ylabel="Images")
        axes.set_xlim(left=0)
        axes.set_title(f"{quantity.title} of {len(values)} images")
        return
    names = [f"{row.image} {row.plane}".strip() for row in table.itertuples()]
    places = np.arange(len(names))
    axes.barh(places, table[quantity.column].astype(float), color=BLUE)
    axes.set_yticks(places, [shorten(name, LETTERS) for name in names])
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.set(xlabel=quantity.label)
    if quantity is COUNT:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    # From 0 to its largest value: few cells are to be seen as well.
    axes.set_xlim(left=0)
    axes.set_title(f"{quantity.title} of each image")
    if figure := axes.get_figure(root=True):
        figure.set_figheight(1.2 + 0.22 * max(4, len(names)))
    if not names:
        axes.set_yticks([])
        axes.set_xlim(0, 1)
        axes.text(0.5, 0, "no image could be measured", ha="center", va="center")


@styled
def draw_sizes(areas: pd.Series, unit: str, output: Path) -> None:
    """Draw the distribution of the areas of all objects, with their median.

    Args:
        areas: of all objects.
        unit: `px²` or `µm²`.
        output: the figure.
    """
    figure = new(8, 3.2)
    axes = figure.subplots()
    values = areas.to_numpy(dtype=float)
    if values.size:
        # A few huge objects would press all others into the first bin.
        longest = max(float(np.percentile(values, 99.5)), 1e-9)
        bins = int(np.clip(np.sqrt(values.size), 5, 40))
        axes.hist(np.minimum(values, longest), bins=bins, color=BLUE, edgecolor="white")
        middle = float(np.median(values))
        axes.axvline(middle, color=VERMILLION, linewidth=1.6)
        axes.set_title(f"Size of {len(values)} objects, median {middle:,.0f} {unit}")
        axes.set_xlim(left=0)
    else:
        axes.set_title("No objects")
    axes.set(xlabel=f"Area ({unit})", ylabel="Objects")
    save(figure, output)
