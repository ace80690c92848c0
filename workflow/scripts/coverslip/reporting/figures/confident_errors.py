"""The errors with the highest probability, one a group, three by three."""

from __future__ import annotations

from pathlib import Path

from coverslip.reporting.figures import FigureInputs
from coverslip.reporting.figures.class_tiles import height, tiles
from coverslip.reporting.figures.style import SUBSETS, heading, new, save, styled

NAME = "confident_errors"

TITLE = "Most confident errors"

MOST = 9


@styled
def draw(inputs: FigureInputs, output: Path) -> None:
    """Draw up to nine wrongly classified images, or a sentence where there are none."""
    ids = confident_errors(inputs)
    figure = new(7.2, height(ids) if ids else 1.6)
    heading(figure, f"{TITLE}, {SUBSETS[inputs.subset]} images", inputs)
    if ids:
        tiles(figure, inputs, ids)
    else:
        axes = figure.subplots()
        axes.axis("off")
        axes.text(0.0, 0.5, "None: all images are classified correctly.", va="center")
    save(figure, output)


def confident_errors(inputs: FigureInputs) -> list[str]:
    """Return ids of wrongly classified images, the most probable answer of each group first."""
    rows = inputs.table[(inputs.table["subset"] == inputs.subset)].sort_values(["fold", "seed"])
    rows = rows.drop_duplicates("id")
    wrong = rows[rows["correct"] == 0].sort_values(["probability", "id"], ascending=[False, True])
    return wrong.drop_duplicates("group")["id"].head(MOST).tolist()
