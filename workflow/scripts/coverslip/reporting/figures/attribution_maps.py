"""Attribution maps of several methods, and which of them is better than a random map."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from matplotlib.axes import Axes

from coverslip.errors import CoverslipError
from coverslip.imaging.intensity import stretch
from coverslip.reporting.figures import FigureInputs
from coverslip.reporting.figures.style import (
    BLACK,
    GREY,
    RED,
    SUBSETS,
    framed,
    heading,
    new,
    save,
    shorten,
    styled,
)

NAME = "attribution_maps"

TITLE = "Attribution maps"

MOST = 6
"""So many images are shown; the files hold all."""


@styled
def draw(inputs: FigureInputs, output: Path) -> None:
    """Draw a row an image: as the network saw it, and a map a method, red speaks for the class.

    Above the maps are mean deletion (small is good) and insertion (large is good) of the method
    over all explained images. Methods that are not better than a random map in both are left out,
    unless all are.

    Raises:
        CoverslipError: there are no maps.
    """
    if inputs.attribution is None:
        raise CoverslipError(f"{inputs.study}: no maps were made: set attribution.images")
    scores = json.loads((inputs.attribution / "scores.json").read_text(encoding="utf-8"))
    shown = chosen(scores["images"])
    better = [name for name in scores["methods"][:-1] if beats_random(scores, name)]
    methods = better or scores["methods"][:-1]
    figure = new(max(5.2, 1.75 * (1 + len(methods))), 1.3 + 1.75 * max(1, len(shown)))
    subset = SUBSETS[scores["subset"]]
    heading(figure, f"{TITLE}, {subset} images", inputs)
    note = "Red supports the predicted class, blue opposes it. "
    note += f"Above the maps: means over all explained images; {chance(scores)}."
    worse = [words(name) for name in scores["methods"][:-1] if name not in better]
    if not better:
        note += " No method is better than a random map: do not interpret these maps."
    elif worse:
        note += f" Not shown, because not better than a random map: {', '.join(worse)}."
    wide = textwrap.fill(note, int(12 * figure.get_figwidth()))
    figure.supxlabel(wide, x=0.01, ha="left", fontsize=8, color=GREY)
    grid = figure.subplots(max(1, len(shown)), 1 + len(methods), squeeze=False)
    with h5py.File(inputs.attribution / "maps.h5", "r") as file:
        for line, facts in zip(grid, shown, strict=False):
            image = stretch(file[facts["id"]]["image"][...])
            example(line, image, facts, file[facts["id"]], methods, inputs)
    for axes, method in zip(grid[0][1:], methods, strict=True):
        text = f"{words(method)}\n{areas(scores, method)}"
        axes.set_title(text, fontsize=8, loc="center")
    save(figure, output)


def chosen(images: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most `MOST` images, evenly from all."""
    if len(images) <= MOST:
        return images
    places = np.linspace(0, len(images) - 1, MOST).round().astype(int)
    return [images[place] for place in places]


def example(
    line: np.ndarray,
    image: np.ndarray,
    facts: dict[str, Any],
    folder: h5py.Group,
    methods: list[str],
    inputs: FigureInputs,
) -> None:
    """Draw one row."""
    names = dict(zip(inputs.metrics["labels"], inputs.metrics["classes"], strict=True))
    line[0].imshow(image, cmap="gray", vmin=0, vmax=255)
    right = facts["true"] == facts["predicted"]
    text = f"{shorten(names[facts['true']], 22)}\n→ {shorten(names[facts['predicted']], 20)}"
    line[0].set_title(
        f"{text} {100 * facts['probability']:.0f} %",
        fontsize=8,
        loc="center",
        color=BLACK if right else RED,
    )
    grey = image if image.ndim == 2 else image.mean(axis=2)
    for axes, method in zip(line[1:], methods, strict=True):
        heat(axes, grey, folder[method.replace("/", " by ")][...])
    for axes in line:
        framed(axes)


def heat(axes: Axes, grey: np.ndarray, map: np.ndarray) -> None:
    """A map over the faint image: red speaks for the class, blue against it."""
    axes.imshow(grey, cmap="gray", vmin=-255, vmax=255)
    limit = float(np.percentile(np.abs(map), 99.5)) or 1.0
    strength = np.clip(np.abs(map) / limit, 0, 1)
    axes.imshow(map, cmap="seismic", vmin=-limit, vmax=limit, alpha=0.75 * strength)


def words(method: str) -> str:
    """Name of a method for reading: `occlusion 10/5` is called by its window alone."""
    if method.startswith("occlusion "):
        return f"Occlusion, {method.split()[1].split('/')[0]} pixels"
    return {"grad-cam": "Grad-CAM"}.get(method, method[:1].upper() + method[1:])


def areas(scores: dict[str, Any], method: str, separator: str = "\n") -> str:
    """Mean deletion and insertion of a method in words."""
    found = {s["name"]: s["value"] for s in scores["scores"] if s["method"] == method}
    parts = [f"{name} {found[name]:.2f}" for name in found if found[name] is not None]
    return separator.join(parts)


def beats_random(scores: dict[str, Any], method: str) -> bool:
    """Return whether deletion and insertion of a method are better than those of a random map."""
    values = {(s["method"], s["name"]): s["value"] for s in scores["scores"]}
    for name, sign in (("deletion", -1), ("insertion", 1)):
        own, random = values.get((method, name)), values.get(("random", name))
        if own is None or random is None or sign * (own - random) <= 0:
            return False
    return True


def chance(scores: dict[str, Any]) -> str:
    """The same of a random map."""
    return f"a random map has {areas(scores, 'random', ', ')}"
