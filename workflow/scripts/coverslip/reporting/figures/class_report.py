"""Precision, recall, F1 and support of each class of images, as a table with colours."""

from __future__ import annotations

from pathlib import Path

from coverslip.reporting.figures import FigureInputs
from coverslip.reporting.figures.report_table import Table, draw_table
from coverslip.reporting.figures.style import styled

NAME = "class_report"

TITLE = "Classification report of images"

TABLE = Table(
    TITLE, "images", "accuracy", "brightness", "a logistic regression on brightness alone"
)


@styled
def draw(inputs: FigureInputs, output: Path) -> None:
    """Draw a table: a row a class; value, 95 % interval and the baseline's value in each cell."""
    draw_table(TABLE, inputs, output)
