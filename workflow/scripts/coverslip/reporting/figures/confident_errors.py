"""The mistakes that the model was surest of, three by three."""

from __future__ import annotations

from pathlib import Path

from coverslip.reporting.figures import FigureInputs
from coverslip.reporting.figures.class_tiles import height, tiles
from coverslip.reporting.figures.style import SUBSETS, heading, new, save, styled

NAME = "confident_errors"

TITLE = "Most confident mistakes"


@styled
def draw(inputs: FigureInputs, output: Path) -> None:
    """Draw up to nine wrongly named images; where there are none, that is said instead."""
    ids = inputs.metrics["examples"]["confident_errors"]
    figure = new(7.2, height(ids) if ids else 1.6)
    heading(figure, f"{TITLE}, {SUBSETS[inputs.subset]} images", inputs)
    if ids:
        tiles(figure, inputs, ids)
    else:
        axes = figure.subplots()
        axes.axis("off")
        axes.text(0.0, 0.5, "None: every image was named rightly.", va="center")
    save(figure, output)
