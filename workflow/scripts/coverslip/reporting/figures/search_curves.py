"""Validation score of every trial of a search, epoch by epoch."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from coverslip.reporting.figures import FigureInputs
from coverslip.reporting.figures.style import GREY, VERMILLION, heading, new, save, styled
from coverslip.reporting.results import first_capital
from coverslip.reporting.search_data import SearchData, legend, read

NAME = "search_curves"

TITLE = "Trials of the search"

COLUMNS = 3
"""Panels side by side; each fold is one."""

WIDE = 5
"""Losses that differ by a larger factor have a logarithmic scale."""


@styled
def draw(inputs: FigureInputs, output: Path) -> None:
    """Draw a line a trial, darker the further it came, the chosen one in orange; a panel a fold."""
    data = read(inputs.search)
    columns = min(COLUMNS, len(data.folds))
    lines = -(-len(data.folds) // columns)
    figure = new(8.6 if columns > 1 else 6.4, 0.9 + 3.1 * lines)
    heading(figure, TITLE, inputs)
    panels = figure.subplots(lines, columns, squeeze=False, sharey=True).ravel()
    for axes, fold in zip(panels, data.folds, strict=False):
        _panel(axes, data, fold)
        if len(data.folds) > 1:
            axes.set_title(f"Fold {fold}")
    for axes in panels[len(data.folds) :]:
        axes.set_visible(False)
    for axes in panels[::columns]:
        better = "lower" if data.lower_is_better else "higher"
        axes.set_ylabel(f"{first_capital(data.metric)} ({better} is better)")
    legend(figure, data)
    save(figure, output)


def _panel(axes: Axes, data: SearchData, fold: int) -> None:
    table = data.trials[data.trials["fold"] == fold]
    curves = data.curves[data.curves["fold"] == fold]
    column = f"validation_{data.summary['metric']}"
    for rung in data.summary["rungs"][:-1]:
        axes.axvline(rung["epochs"], color=GREY, linewidth=0.8, linestyle=":")
    for row in table.itertuples():
        history = curves[curves["trial"] == row.trial]
        axes.plot(
            history["epoch"],
            history[column],
            color=VERMILLION if row.chosen else data.colour(row.rung),
            linewidth=2.4 if row.chosen else 1.2,
            marker="o",
            markersize=3,
            zorder=3 if row.chosen else 2,
        )
    axes.set_xlabel("Epoch")
    lowest, highest = curves[column].min(), curves[column].max()
    if data.lower_is_better and highest > WIDE * lowest > 0:
        # Losses of trials that nearly diverged would press all others flat.
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
