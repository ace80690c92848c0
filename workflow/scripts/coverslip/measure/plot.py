"""Confluency over time, where images have times; else image by image."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from coverslip.reporting.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    new,
    save,
    shorten,
    styled,
)

COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, BLACK)

MARKERS = "os^Dv<>"

UNITS = {"h": "time in hours", "frame": "frame"}

NAMED = 40
"""Up to so many images stand beside each other with their names."""

LETTERS = 42


@styled
def draw(table: pd.DataFrame, output: Path) -> None:
    """Draw confluency as svg or png, by the ending of `output`.

    A panel for each unit of time; a line for each series, which up to seven are separated by
    colour and sign, while more are grey beneath their median. Without any time: a bar an image,
    or, of more than `NAMED`, their distribution.

    Args:
        table: the columns `measure_tables.COLUMNS`.
        output: the figure.
    """
    measured = table.dropna(subset=["confluency_percent"])
    timed = measured[(measured["time_unit"] != "") & measured["time"].notna()]
    units = sorted(timed["time_unit"].unique())
    figure = new(8, 3.6 * max(1, len(units)))
    panels = figure.subplots(max(1, len(units)), 1, squeeze=False)[:, 0]
    if not units:
        _by_image(panels[0], measured)
    for axes, unit in zip(panels, units, strict=False):
        _over_time(axes, timed[timed["time_unit"] == unit], unit)
    save(figure, output)


def _over_time(axes: Axes, table: pd.DataFrame, unit: str) -> None:
    lines = [
        (str(name), rows.groupby("time")["confluency_percent"].mean())
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
        middle = table.groupby("time")["confluency_percent"].median()
        label = f"median of {len(lines)} series"
        axes.plot(middle.index, middle, color=BLUE, linewidth=2.4, label=label)
    axes.set(xlabel=UNITS.get(unit, f"time ({unit})"), ylabel="Confluency (%)")
    axes.set_ylim(bottom=0)
    axes.set_title("Confluency over time")
    if len(lines) > 1:
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), borderaxespad=0.0)


def _by_image(axes: Axes, table: pd.DataFrame) -> None:
    if len(table) > NAMED:
        bins = list(range(0, 101, 5))
        axes.hist(table["confluency_percent"], bins=bins, color=BLUE, edgecolor="white")
        axes.set(xlabel="Confluency (%)", ylabel="Images", xlim=(0, 100))
        axes.set_title("Images by confluency")
        return
    names = [f"{row.image} {row.plane}".strip() for row in table.itertuples()]
    places = np.arange(len(names))
    axes.barh(places, table["confluency_percent"], color=BLUE)
    axes.set_yticks(places, [shorten(name, LETTERS) for name in names])
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.set(xlabel="Confluency (%)", xlim=(0, 100))
    axes.set_title("Confluency of each image")
    if figure := axes.get_figure(root=True):
        figure.set_figheight(1.2 + 0.22 * max(4, len(names)))
    if not names:
        axes.set_yticks([])
        axes.text(50, 0, "no image could be measured", ha="center", va="center")
