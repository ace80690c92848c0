"""The last image of each class, three by three, with what the model calls it."""

from __future__ import annotations

from pathlib import Path

from coverslip.reporting.figures import FigureInputs
from coverslip.reporting.figures.class_tiles import height, tiles
from coverslip.reporting.figures.style import SUBSETS, heading, new, save, styled

NAME = "class_examples"

TITLE = "The last image of each class"


@styled
def draw(inputs: FigureInputs, output: Path) -> None:
    """Draw up to nine images, named by their true class; red is what is taken for another."""
    ids = inputs.metrics["examples"]["last"]
    figure = new(7.2, height(ids))
    heading(figure, f"{TITLE}, {SUBSETS[inputs.subset]} images", inputs)
    tiles(figure, inputs, ids)
    save(figure, output)
