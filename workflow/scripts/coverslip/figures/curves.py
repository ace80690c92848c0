"""Loss and accuracy of training and validation, epoch by epoch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from coverslip.figures import FigureInputs
from coverslip.figures.style import (
    BLANK,
    TRAIN,
    VALIDATION,
    heading,
    new,
    save,
    styled,
)
from coverslip.runs import at_epoch, read_info, run_of

NAME = "curves"
TITLE = "Loss and accuracy while training"
LEGEND_RUNS = 1
"""With more runs than this, a line is thin and stands for one run."""


@styled
def draw(inputs: FigureInputs, output: Path) -> None:
    """Draw two panels, loss and pixel accuracy, over epochs; the kept epoch is marked.

    Dots mark the epoch whose weights are kept: that of the lowest validation loss, to which early
    stopping goes back, unless the study keeps the last one.
    """
    figure = new(8.6, 4.6)
    heading(figure, TITLE, inputs)
    loss, accuracy = figure.subplots(1, 2)
    kept = {run_of(model): read_info(model)["kept_epoch"] for model in inputs.models}
    for axes, quantity in ((loss, "loss"), (accuracy, "accuracy")):
        _panel(axes, quantity, inputs, kept)
    loss.set(title="Loss (lower is better)", ylabel="Loss")
    accuracy.set(title="Pixel accuracy (higher is better)", ylabel="Share of right pixels")
    record = inputs.record("pixel_accuracy", "validation")
    blank = record and record["baselines"].get("all background")
    if blank is not None:
        accuracy.axhline(blank, color=BLANK, linestyle=":", label="all background (validation)")
    handles, labels = accuracy.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    save(figure, output)


def _panel(axes: Axes, quantity: str, inputs: FigureInputs, kept: dict[str, int]) -> None:
    """Draw one quantity: every run thin, and the mean over runs thick if there are several."""
    runs = list(inputs.histories)
    several = len(runs) > LEGEND_RUNS
    for column, colour, word in (
        (quantity, TRAIN, "training"),
        (f"validation_{quantity}", VALIDATION, "validation"),
    ):
        for at, run in enumerate(runs):
            history = inputs.histories[run]
            style = {"alpha": 0.35, "linewidth": 1.0} if several else {}
            style["marker"] = "o" if len(history) == 1 else ""
            label = f"{word}, one run" if several else word
            axes.plot(
                history["epoch"],
                history[column],
                color=colour,
                label="" if at else label,
                **style,
            )
        if several:
            axes.plot(*_mean(inputs, column), color=colour, label=f"{word}, mean of runs")
    for at, run in enumerate(runs):
        row = at_epoch(inputs.histories[run], kept[run])
        told = "kept epoch" + ("s" if several else f" ({int(row['epoch'])})")
        axes.plot(
            row["epoch"],
            row[f"validation_{quantity}"],
            marker="o",
            markersize=5 if several else 8,
            markerfacecolor="white",
            markeredgecolor=VALIDATION,
            markeredgewidth=1.5,
            linestyle="",
            zorder=4,
            label="" if at else told,
        )
        if not several:
            axes.axvline(row["epoch"], color=VALIDATION, linewidth=0.8, linestyle="--", alpha=0.7)
    axes.set_xlabel("Epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    longest = max(int(history["epoch"].max()) for history in inputs.histories.values())
    axes.set_xlim(0.5, longest + 0.5)


def _mean(inputs: FigureInputs, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean over runs as far as all of them reach: beyond, it would jump where a run ends."""
    values = [history[column].to_numpy(dtype=float) for history in inputs.histories.values()]
    shortest = min(len(each) for each in values)
    return np.arange(1, shortest + 1), np.mean([each[:shortest] for each in values], axis=0)
