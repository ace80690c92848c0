"""Images to look at first: with a note, of poor quality, or far from the others."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

ENOUGH = 8
"""Images from which on one can be far from the others."""

FAR = 3.5
"""Robust z score (Iglewicz and Hoaglin, 1993) from which on an image is far from the others."""

SATURATED = 0.01
"""Fraction of saturated pixels from which on intensities are not to be trusted."""

WORST = 10
"""Images that the page names."""

CHECKED = {
    "n_objects": "number of objects",
    "confluency_percent": "confluency",
    "mean_area_px": "mean area",
    "focus": "focus",
    "mean_confidence": "mean confidence",
}
"""Columns by which an image can be far from the others, and their names."""

LOW_ONLY = ("focus", "mean_confidence")
"""Of these only low values are odd."""


class Flag(NamedTuple):
    """Why an image is to be looked at."""

    text: str
    severity: float
    """The larger, the sooner; 1 and more is flagged."""


def find_flags(measured: pd.DataFrame) -> dict[int, Flag]:
    """Return the images to look at, by index, the most severe first.

    Args:
        measured: the table of images, without those that have an error; columns may be missing.
    """
    found: dict[int, list[Flag]] = {}
    for index, note in measured["note"].items():
        if note:
            found.setdefault(index, []).append(Flag(note, 1.0))
    for column, name in CHECKED.items():
        if column in measured:
            for index, flag in _far(measured[column].astype(float), name, column in LOW_ONLY):
                found.setdefault(index, []).append(flag)
    for column, limit, text in (
        ("saturated_fraction", SATURATED, "{0:.1f} % of the pixels are saturated"),
        ("unlike_training", 1.0, "unlike the training images (distance {1:.2g}, usual up to 1)"),
    ):
        if column in measured:
            values = measured[column].astype(float)
            for index, value in values[values > limit].items():
                flag = Flag(text.format(100 * value, value), value / limit)
                found.setdefault(index, []).append(flag)
    joined = {
        index: Flag("; ".join(flag.text for flag in flags), sum(flag.severity for flag in flags))
        for index, flags in found.items()
    }
    return dict(sorted(joined.items(), key=lambda pair: (-pair[1].severity, pair[0])))


def _far(values: pd.Series, name: str, low_only: bool) -> list[tuple[int, Flag]]:
    values = values.dropna()
    # Focus differs by factors.
    scaled = np.log10(values.clip(lower=1e-6)) if name == CHECKED["focus"] else values
    spread = (scaled - scaled.median()).abs().median() / 0.6745
    if len(values) < ENOUGH or not spread > 0:
        return []
    middle, scores = values.median(), (scaled - scaled.median()) / spread
    scores = -scores if low_only else scores.abs()
    return [
        (index, Flag(f"{name} {values[index]:.4g}, median of all {middle:.4g}", score / FAR))
        for index, score in scores[scores > FAR].items()
    ]


def worst_images(measured: pd.DataFrame, flags: dict[int, Flag]) -> dict[int, str]:
    """Return the `WORST` images to correct first, by index, with the reason.

    Flagged ones come first, then those with the least confident objects.
    """
    worst = {index: flag.text for index, flag in list(flags.items())[:WORST]}
    if "mean_confidence" not in measured or len(measured) <= WORST:
        return worst
    unsure = measured["mean_confidence"].astype(float).sort_values(kind="stable").dropna()
    for index, value in unsure.items():
        if len(worst) >= WORST:
            break
        if index not in worst and np.isfinite(value):
            worst[index] = f"mean confidence of its objects {value:.2f}"
    return worst
