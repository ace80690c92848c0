"""Colours that colour-blind readers can distinguish.

Okabe and Ito, Color universal design (2008), https://jfly.uni-koeln.de/color/.
"""

from __future__ import annotations

import numpy as np

BLACK = "#000000"

ORANGE = "#E69F00"

SKY = "#56B4E9"

GREEN = "#009E73"

YELLOW = "#F0E442"

BLUE = "#0072B2"

VERMILLION = "#D55E00"

PURPLE = "#CC79A7"

GREY = "#767676"

PALE = "#E6E6E6"

RED = "#B00020"

SERIES = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY)
"""Colours of several lines or classes, in this order."""


def paint(color: str) -> np.ndarray:
    """Return a colour as uint8 RGB.

    Args:
        color: `#` and six hexadecimal digits.
    """
    return np.frombuffer(bytes.fromhex(color[1:]), np.uint8)
