"""The scale bar of an image whose pixel size is known."""

from __future__ import annotations

import math

import numpy as np


def scale_bar_um(width_um: float) -> float:
    """Return the length of the scale bar of an image in µm: 1, 2 or 5 times a power of ten.

    It is at most a quarter of the width of the image, which is given in µm.
    """
    power = 10.0 ** math.floor(math.log10(width_um / 4))
    return max(step * power for step in (1, 2, 5) if step * power <= width_um / 4)


def draw_scale_bar(shown: np.ndarray, fraction: float) -> None:
    """Draw a white scale bar with a black edge at the lower right of an image, in place.

    Args:
        shown: uint8 HxWx3.
        fraction: length of the bar as a fraction of the image's width.
    """
    height, width = shown.shape[:2]
    thick = max(2, min(height, width) // 120)
    right, bottom = width - 4 * thick, height - 4 * thick
    left = right - max(1, round(fraction * width))
    edge = max(1, thick // 3)
    shown[max(0, bottom - thick - edge) : bottom + edge, max(0, left - edge) : right + edge] = 0
    shown[max(0, bottom - thick) : bottom, max(0, left) : right] = 255
