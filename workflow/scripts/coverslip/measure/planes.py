"""One image of a file: a page, a time, a depth, a position."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coverslip.imaging.rows import Rows

NAMES = {"T": "t", "Z": "z"}
"""Short names of axes: time and depth; all others are pages, `p`."""


@dataclass(frozen=True)
class Plane:
    """One image of a file."""

    page: int
    """Number in the file, from 1."""
    image: np.ndarray | None = None
    """uint8 or uint16, HxWxC with C 1 (grey) or 3 (RGB); none where it cannot be measured, or is
    large."""
    rows: Rows | None = None
    """The same of a large image, to be read row by row while the file is open."""
    error: str = ""
    """Why there is no image."""
    note: str = ""
    """What was left out or assumed."""
    plane: str = ""
    """Where it lies in the file, as `t1 z2`; empty in files of one image."""
    pixel_um: tuple[float, float] | None = None
    """Height and width of a pixel in micrometres, if the file says."""
    time: float | None = None
    """Time from the metadata, if the file has a time axis."""
    time_unit: str = ""
    """`h`, or `frame` where the file tells no interval."""
