"""Loss and accuracy of training and validation by epoch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from coverslip.evaluation.runs import at_epoch, read_info, run_of
from coverslip.reporting.figures import FigureInputs
from coverslip.reporting.figures.style import BLANK, TRAIN, VALIDATION, heading, new, save, styled

NAME = "learning_curves"

TITLE = "Loss and accuracy during training"

CLUSTERS = "Loss and accuracy by number of clusters"
"""Title for K-means, which has no epochs: the history has a row for each number that was tried."""

PIXELS = ("pixel_accuracy", "pixels", "all background")

WHOLE = ("accuracy", "images", "majority class")
"""Metric, what it counts, and its baseline, of masks and of whole images."""

LEGEND_RUNS = 1
"""With more runs than this, the line of a run is thin."""


@styled
def draw(inputs: FigureInputs, output: Path) -> None:
    """Draw two panels, loss and pixel accuracy, over epochs; the selected epoch is marked.

    Dots mark the epoch whose weights are kept: that of the lowest validation loss, to which early
    stopping goes back, unless the study keeps the last one.
    """
    figure = new(8.6, 4.6)
    infos = {run_of(model): read_info(model) for model in inputs.models}
    clusters = any(info.get("kind") == "kmeans" for info in infos.values())
    heading(figure, CLUSTERS if clusters else TITLE, inputs)
    if max(len(history) for history in inputs.histories.values()) == 1:
        _only_one(figure, inputs, "number of clusters" if clusters else "epoch")
        save(figure, output)
        return
    loss, accuracy = figure.subplots(1, 2)
    kept = {run: info["kept_epoch"] for run, info in infos.items()}
    for axes, quantity in ((loss, "loss"), (accuracy, "accuracy")):
        _panel(axes, quantity, inputs, kept, "number of clusters" if clusters else "epoch")
    loss.set(title="Loss (lower is better)", ylabel="Loss")
    images = inputs.metrics["task"] == "classification"
    metric, unit, baseline = WHOLE if images else PIXELS
    name = metric.replace("_", " ").capitalize()
    accuracy.set(title=f"{name} (higher is better)", ylabel=f"Fraction of correct {unit}")
    record = inputs.record(metric, "validation")
    blank = record and record["baselines"].get(baseline)
    if blank is not None:
        accuracy.axhline(blank, color=BLANK, linestyle=":", label=f"{baseline} (validation)")
    handles, labels = accuracy.get_legend_handles_labels()
    # Of several runs there is a line of each more: training, validation, what is kept.
    columns = 3 if len(inputs.histories) > LEGEND_RUNS else 4
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)
    save(figure, output)


def _only_one(figure: Figure, inputs: FigureInputs, step: str) -> None:
    """Write the only values there are: one point is no curve."""
    figure.set_figheight(1.9)
    axes = figure.subplots()
    axes.axis("off")
    means = pd.concat(list(inputs.histories.values())).mean(numeric_only=True)
    text = f"Only one {step} was tried ({means['epoch']:.0f}), so there is no curve.\n"
    text += f"Validation loss {means['validation_loss']:.3f}, "
    text += f"validation accuracy {means['validation_accuracy']:.3f}."
    axes.text(0.0, 0.5, text, va="center")


def _panel(
    axes: Axes, quantity: str, inputs: FigureInputs, kept: dict[str, int], step: str
) -> None:
    """Draw one quantity: every run thin, and the mean over runs thick if there are several."""
    runs = list(inputs.histories)
    several = len(runs) > LEGEND_RUNS
    for column, colour, word in (
        (quantity, TRAIN, "training"),
        (f"validation_{quantity}", VALIDATION, "validation"),
    ):
        for at, run in enumerate(runs):
            history = inputs.histories[run]
            style: dict[str, Any] = {"alpha": 0.35, "linewidth": 1.0} if several else {}
            style["marker"] = "o" if len(history) == 1 or step != "epoch" else ""
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
        words = f"selected {step}" + (", each run" if several else f" ({int(row['epoch'])})")
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
            label="" if at else words,
        )
        if not several:
            axes.axvline(row["epoch"], color=VALIDATION, linewidth=0.8, linestyle="--", alpha=0.7)
    axes.set_xlabel(step.capitalize())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    longest = max(int(history["epoch"].max()) for history in inputs.histories.values())
    axes.set_xlim(0.5, longest + 0.5)


def _mean(inputs: FigureInputs, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Mean over runs as far as all of them reach: beyond, it would jump where a run ends."""
    values = [history[column].to_numpy(dtype=float) for history in inputs.histories.values()]
    shortest = min(len(each) for each in values)
    epochs = next(iter(inputs.histories.values()))["epoch"].to_numpy()[:shortest]
    return epochs, np.mean([each[:shortest] for each in values], axis=0)
