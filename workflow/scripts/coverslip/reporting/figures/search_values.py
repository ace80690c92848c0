"""Parallel coordinates of a search: values of every trial, and what came of them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from coverslip.reporting.figures import FigureInputs
from coverslip.reporting.figures.style import BLACK, VERMILLION, heading, new, save, styled
from coverslip.reporting.search_data import SearchData, legend, read

NAME = "search_values"

TITLE = "Values that were tried, and their scores"

TICKS = 5

PAPER = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.0}
"""Behind the numbers of an axis, so that lines do not run through them."""


@styled
def draw(inputs: FigureInputs, output: Path) -> None:
    """Draw an axis a key and one for the score, and a line a trial of any fold.

    Lines are darker the further a trial came; the score is that of the last rung it stood on, so
    that lines of one colour are to be compared. Better scores are further up. Trials that
    diverged end at the bottom, dashed.
    """
    data = read(inputs.search)
    keys = sorted(data.summary["space"])
    figure = new(max(6.4, 1.9 * (len(keys) + 1)), 4.4)
    heading(figure, TITLE, inputs)
    axes = figure.subplots()
    places = np.column_stack(
        [*(_places(data.trials[key], data.summary["space"][key]) for key in keys), _scores(data)]
    )
    for line, row in zip(places, data.trials.itertuples(), strict=True):
        axes.plot(
            range(len(line)),
            line,
            color=VERMILLION if row.chosen else data.colour(row.rung),
            linewidth=2.4 if row.chosen else 1.3,
            linestyle="--" if math.isnan(row.score) else "-",
            marker="o",
            markersize=4,
            zorder=3 if row.chosen else 2,
        )
    for at, key in enumerate(keys):
        _axis(axes, at, _ticks(data.summary["space"][key]))
    _axis(axes, len(keys), _score_ticks(data))
    axes.set_xticks(range(len(keys) + 1), [*(key.replace(".", ".\n") for key in keys), data.metric])
    axes.set_yticks([])
    axes.set(xlim=(-0.3, len(keys) + 0.35), ylim=(-0.06, 1.06))
    axes.grid(False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.tick_params(axis="x", length=0)
    legend(figure, data)
    save(figure, output)


def _axis(axes: Axes, at: int, ticks: list[tuple[float, str]]) -> None:
    axes.axvline(at, color=BLACK, linewidth=0.8, zorder=1)
    for place, word in ticks:
        axes.plot([at - 0.02, at], [place, place], color=BLACK, linewidth=0.8, zorder=1)
        axes.text(at - 0.04, place, word, ha="right", va="center", fontsize=8, zorder=4, bbox=PAPER)


def _places(column: pd.Series, values: dict[str, Any]) -> np.ndarray:
    """Places (0 to 1) of a column of values on the axis of its key."""
    if values["choices"] is not None:
        words = [str(choice) for choice in values["choices"]]
        by_word = {word: at / max(len(words) - 1, 1) for at, word in enumerate(words)}
        return np.array([by_word[_word(value, values["choices"])] for value in column])
    return np.array([_place(float(value), values) for value in column])


def _word(value: Any, choices: list[Any]) -> str:
    """Return the choice that a cell of a csv means."""
    for choice in choices:
        same = isinstance(choice, int | float) and not isinstance(choice, bool)
        try:
            if str(value) == str(choice) or (same and float(value) == float(choice)):
                return str(choice)
        except (TypeError, ValueError):
            continue
    return str(next(choice for choice in choices if choice is None))


def _place(value: float, values: dict[str, Any]) -> float:
    low, high = float(values["low"]), float(values["high"])
    if low == high:
        return 0.5
    if values["log"]:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _ticks(values: dict[str, Any]) -> list[tuple[float, str]]:
    if values["choices"] is not None:
        last = max(len(values["choices"]) - 1, 1)
        return [(at / last, str(choice)) for at, choice in enumerate(values["choices"])]
    low, high = float(values["low"]), float(values["high"])
    if values["log"] and high / low >= 100:
        powers = range(math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9) + 1)
        return [(_place(10.0**power, values), f"{10.0**power:g}") for power in powers]
    steps = np.geomspace(low, high, TICKS) if values["log"] else np.linspace(low, high, TICKS)
    if isinstance(values["low"], int) and isinstance(values["high"], int):
        steps = np.unique(np.round(steps))
    return [(_place(step, values), f"{step:.3g}") for step in steps]


def _scores(data: SearchData) -> np.ndarray:
    """Places of the scores, the best at 1; those that are missing at 0."""
    scores = data.trials["score"].to_numpy(dtype=float)
    low, high = _limits(data)
    places = np.full(len(scores), 0.0)
    found = ~np.isnan(scores)
    places[found] = 0.5 if low == high else (scores[found] - low) / (high - low)
    if data.lower_is_better:
        places[found] = 1 - places[found]
    return places


def _limits(data: SearchData) -> tuple[float, float]:
    scores = data.trials["score"].to_numpy(dtype=float)
    return float(np.nanmin(scores)), float(np.nanmax(scores))


def _score_ticks(data: SearchData) -> list[tuple[float, str]]:
    low, high = _limits(data)
    if low == high:
        return [(0.5, f"{low:.3g}")]
    steps = np.linspace(0, 1, TICKS)
    return [
        (1 - step if data.lower_is_better else step, f"{low + step * (high - low):.3g}")
        for step in steps
    ]
