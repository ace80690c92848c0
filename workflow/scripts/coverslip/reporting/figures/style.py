"""One style for all figures: colours, fonts, headings, and how they are written.

Colours are those of Okabe and Ito (*Color Universal Design*, 2008), which colour-blind readers can
distinguish. Figures are drawn without pyplot, so that nothing depends on a display or a global
state, and written so that equal inputs give equal bytes. Text in an SVG is text; `$` is a letter.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from PIL import Image

from coverslip.files import atomic_write
from coverslip.imaging.palette import (  # noqa: F401 - figures import them from here
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALE,
    PURPLE,
    RED,
    SERIES,
    SKY,
    VERMILLION,
    YELLOW,
)
from coverslip.imaging.scale_bar import scale_bar_um

if TYPE_CHECKING:
    from coverslip.reporting.figures import FigureInputs

WARNING = "Reproduction with known issues: do not use its numbers."

LETTERS = 9.8
"""Letters of the heading that fit into an inch."""

LINE = 0.19
"""Height of a line of the heading in inches."""

TRAIN, VALIDATION = BLUE, VERMILLION

MODEL, OTSU, BLANK = BLUE, ORANGE, GREY

SUBSETS = {"test": "test", "validation": "validation", "train": "training"}

PNG_BYTES = 280_000
"""A png is written at the highest of these resolutions at which it stays below this size."""

PNG_DPI = (140, 120, 100, 85, 70, 55)

SETTINGS: dict[Any, Any] = {
    "text.parse_math": False,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "lines.linewidth": 1.8,
    "figure.facecolor": "white",
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.h_pad": 0.08,
    "svg.fonttype": "none",
    "svg.hashsalt": "coverslip",
    "savefig.facecolor": "white",
}

P = ParamSpec("P")


def styled(draw: Callable[P, None]) -> Callable[P, None]:
    """Decorate a figure's `draw`: it runs in this style, whatever the machine's own settings."""

    @wraps(draw)
    def inner(*args: P.args, **kwargs: P.kwargs) -> None:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(SETTINGS)
            draw(*args, **kwargs)

    return inner


def new(width: float, height: float) -> Figure:
    """Make an empty figure, in inches, whose parts make room for one another."""
    return Figure(figsize=(width, height), layout="constrained")


def framed(axes: Axes) -> None:
    """Put a pale frame around an image, without ticks."""
    axes.axis("on")
    axes.grid(False)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=PALE)


def scale_bar(axes: Axes, width_px: int, inputs: FigureInputs) -> None:
    """Draw a scale bar with its length at the lower right of an image, where it is known.

    Args:
        axes: of the image.
        width_px: width of the image in pixels of the store, however it is drawn.
        inputs: of the figure.
    """
    if inputs.pixel_size_um is None:
        return
    width_um = width_px * inputs.pixel_size_um
    length = scale_bar_um(width_um)
    part = length / width_um
    bar = Rectangle((0.96 - part, 0.04), part, 0.02, facecolor="white", edgecolor="black")
    bar.set(transform=axes.transAxes, linewidth=0.5)
    axes.add_patch(bar)
    axes.text(
        0.96,
        0.075,
        f"{length:g} µm",
        transform=axes.transAxes,
        ha="right",
        va="bottom",
        fontsize=6.5,
        color="white",
        path_effects=[withStroke(linewidth=1.5, foreground="black")],
    )


def heading(figure: Figure, title: str, inputs: FigureInputs) -> None:
    """Write what is shown and of which study above the figure; a long title makes it higher.

    A study as published has its heading in red, with a warning.
    """
    letters = int(figure.get_figwidth() * LETTERS)
    lines = [title, *textwrap.wrap(inputs.title or inputs.study, letters)]
    flawed = inputs.reproduction
    if flawed:
        lines += textwrap.wrap(WARNING, letters)
    figure.set_figheight(figure.get_figheight() + LINE * (len(lines) - 2))
    colour = RED if flawed else BLACK
    text = "\n".join(lines)
    figure.suptitle(text, x=0.01, ha="left", fontsize=11, weight="bold", color=colour)


def save(figure: Figure, output: Path) -> None:
    """Write a figure as svg or png, by the ending of `output`, aside and renamed.

    An svg carries no date and no random names; a png has 256 colours and stays below `PNG_BYTES`
    wherever one of the resolutions allows it.
    """
    kind = output.suffix.removeprefix(".")
    if kind == "svg":
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": "coverslip"})
        data = buffer.getvalue()
    elif kind == "png":
        data = _small_png(figure)
    else:
        raise ValueError(f"{output}: a figure is svg or png")
    with atomic_write(output) as part:
        part.write_bytes(data)


def _small_png(figure: Figure) -> bytes:
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # arranged once, not again for each resolution
    data = _png(figure, PNG_DPI[0])
    # Bytes become fewer no faster than pixels, so that what is left out here would be too large.
    share = PNG_BYTES / len(data)
    for dpi in PNG_DPI[1:]:
        if len(data) <= PNG_BYTES:
            break
        if (dpi / PNG_DPI[0]) ** 2 <= share or dpi == PNG_DPI[-1]:
            data = _png(figure, dpi)
    return data


def _png(figure: Figure, dpi: int) -> bytes:
    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=dpi, pil_kwargs={"compress_level": 1})
    _indexed(np.asarray(Image.open(drawn).convert("RGB"))).save(small, format="png", optimize=True)
    return small.getvalue()


def _indexed(pixels: np.ndarray) -> Image.Image:
    """A uint8 HxWx3 image in 256 colours, which are chosen on a quarter of its pixels.

    Each pixel has the nearest of them: Pillow looks that up in coarse steps, which turns white into
    a grey.
    """
    from scipy.spatial import cKDTree  # half a second to import

    few = Image.fromarray(np.ascontiguousarray(pixels[::2, ::2]))
    chosen = few.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
    palette = np.array(chosen.getpalette()).reshape(-1, 3)
    height, width, _ = pixels.shape
    packed = np.dstack([pixels, np.zeros((height, width), np.uint8)]).view(np.uint32)
    colours, at = np.unique(packed, return_inverse=True)
    nearest = cKDTree(palette).query(colours.view(np.uint8).reshape(-1, 4)[:, :3])[1]
    indexed = Image.fromarray(nearest.astype(np.uint8)[at.reshape(height, width)])
    indexed.putpalette(palette.ravel().tolist())
    return indexed


def shorten(text: str, length: int) -> str:
    """Shorten a long name in its middle, so that its start and its end can be recognised."""
    if len(text) <= length:
        return text
    end = (length - 1) // 3
    return f"{text[: length - 1 - end]}…{text[-end:]}"


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as a percentage; a dash for none."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def thousands(value: float) -> str:
    """A count with thin spaces between thousands, and M or G for large ones."""
    for limit, unit in ((1e9, "G"), (1e6, "M")):
        if value >= 10 * limit:
            return f"{value / limit:.1f} {unit}"
    return f"{int(value):,}".replace(",", "\u2009")
