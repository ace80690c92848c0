"""Diagram of the network: a box a level, with shapes, layers and parameters."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from coverslip.models.architecture import Stage, read_stages
from coverslip.reporting.figures import FigureInputs
from coverslip.reporting.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    heading,
    new,
    save,
    styled,
    thousands,
)

NAME = "network"

TITLE = "Network, level by level"

BOX = (3.3, 0.84)
"""Width and height of a box in inches."""

STEP = (4.1, 1.12)
"""From the way down to the way up, and from level to level, in inches."""

COLOURS = {"down": BLUE, "up": GREEN}


@styled
def draw(inputs: FigureInputs, output: Path) -> None:
    """Draw the levels of the first run's network; all runs have the same one.

    Boxes get lower where the image gets smaller. Solid arrows go from level to level, dashed
    ones are skip connections.

    Raises:
        CoverslipError: `model.keras` cannot be read.
    """
    p = inputs.preprocessing
    stages = read_stages(inputs.models[0] / "model.keras", p.resize or (p.patch, p.patch))
    places = _places(stages)
    left, right = min(x for x, _ in places), max(x for x, _ in places)
    lowest = min(y for _, y in places)
    figure = new(max(6.4, right - left + BOX[0] + 0.5), 1.7 + STEP[1] - lowest)
    heading(figure, f"{TITLE}: {_total(stages)}", inputs)
    axes = figure.subplots()
    for stage, place in zip(stages, places, strict=True):
        _box(axes, stage, place)
    for at, stage in enumerate(stages):
        for source in stage.sources:
            _arrow(axes, places[source], places[at])
    margin = BOX[0] / 2 + 0.1
    axes.set(xlim=(left - margin, right + margin), ylim=(lowest - 0.55, 0.55))
    axes.axis("off")
    handles = [
        FancyBboxPatch((0, 0), 1, 1, fc="white", ec=COLOURS["down"], label="encoder"),
        FancyBboxPatch((0, 0), 1, 1, fc="white", ec=COLOURS["up"], label="decoder"),
        axes.plot([], [], color=ORANGE, linestyle="--", label="skip connection")[0],
    ]
    if any(stage.side == "up" for stage in stages):
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
    save(figure, output)


def _total(stages: list[Stage]) -> str:
    total = sum(stage.parameters for stage in stages)
    return f"{total:,} parameters".replace(",", "\u2009")


def _places(stages: list[Stage]) -> list[tuple[float, float]]:
    """Centre of each box in inches: the way down at the left, the way up at the right.

    Where the lowest level is the turning point it is between the two.
    """
    levels = sorted({stage.shrink for stage in stages})
    lowest = [stage for stage in stages if stage.shrink == levels[-1]]
    turns = len(lowest) == 1 and any(stage.side == "up" for stage in stages)
    places = []
    for stage in stages:
        x = STEP[0] if stage.side == "up" else 0.0
        if turns and stage is lowest[0]:
            x = STEP[0] / 2
        places.append((x, -STEP[1] * levels.index(stage.shrink)))
    return places


def _box(axes: Axes, stage: Stage, place: tuple[float, float]) -> None:
    x, y = place
    width, height = BOX
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2 + 0.05, y - height / 2 + 0.05),
            width - 0.1,
            height - 0.1,
            boxstyle="round,pad=0.05",
            facecolor="white",
            edgecolor=COLOURS[stage.side],
            linewidth=1.6,
            zorder=3,
        )
    )
    frozen = ", frozen" if stage.frozen else ""
    count = "1 parameter" if stage.parameters == 1 else f"{thousands(stage.parameters)} parameters"
    lines = (
        (0.23, stage.shape, 10, BLACK),
        (0.0, stage.layers, 7.5, GREY),
        (-0.23, f"{count}{frozen}", 8.5, BLACK),
    )
    for offset, text, size, colour in lines:
        axes.text(
            x, y + offset, text, ha="center", va="center", fontsize=size, color=colour, zorder=4
        )


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw an arrow from box to box; one within a level is a skip connection."""
    width, height = BOX[0] / 2, BOX[1] / 2
    way = (end[1] > start[1]) - (end[1] < start[1])
    aside = (end[0] > start[0]) - (end[0] < start[0])
    # Oblique arrows leave and arrive a little aside of the middle.
    reach = aside * (width if way == 0 else 0.35 * width)
    axes.add_patch(
        FancyArrowPatch(
            (start[0] + reach, start[1] + way * height),
            (end[0] - reach, end[1] - way * height),
            shrinkA=0,
            shrinkB=0,
            arrowstyle="-|>",
            mutation_scale=12,
            color=BLACK if way else ORANGE,
            linestyle="-" if way else "--",
            linewidth=1.3,
            zorder=2,
        )
    )
