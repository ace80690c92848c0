"""Local brightness and texture: features that separate cells from bare ground.

Of an image whose background is 1 (`coverslip.imaging.flatfield`): its brightness, and, in Gaussian
windows, the local standard deviation and the mean gradient. Cells without stain hardly differ from
the ground in brightness, but they are rough where it is smooth (Topman, Sharabani-Yosef and Gefen,
"A method for quick, low-cost automated confluency measurements", Microsc. Microanal. 17, 2011,
segment by the local standard deviation). All are shares of the background, so that the exposure
does not matter, and all are logarithms: roughness spans two decades.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

EDGE = 1.0
"""Standard deviation in pixels of the Gaussian before the gradient."""

FLOOR = {"brightness": 0.05, "deviation": 0.005, "gradient": 0.00125}
"""Added before the logarithm: less than that is noise."""

SUPPORT = 4
"""Reach of OpenCV's Gaussian in standard deviations, for float32."""


def names(scales: Sequence[float]) -> list[str]:
    """Return the names of the features, in their order."""
    textures = [f"{name} {scale:g}" for scale in scales for name in ("deviation", "gradient")]
    return [f"brightness {scales[0]:g}", *textures]


def reach(scales: Sequence[float]) -> int:
    """Pixels beyond which nothing changes the features of a pixel."""
    return int(np.ceil(SUPPORT * (max(scales) + EDGE))) + 4


def features(flat: np.ndarray, scales: Sequence[float]) -> np.ndarray:
    """Features of each pixel, float32 HxWxF in the order of `names`.

    Beyond its border an image is continued by reflection.

    Args:
        flat: float32 HxW, background 1.
        scales: standard deviations of the windows in pixels.
    """
    found = np.empty((*flat.shape, 1 + 2 * len(scales)), np.float32)
    smooth = _blur(flat, EDGE)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8, borderType=cv2.BORDER_REFLECT)
    right = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8, borderType=cv2.BORDER_REFLECT)
    # Not cv2.magnitude: its last digit depends on where in memory the arrays are.
    gradient = np.sqrt(down * down + right * right)
    # Differences from 1, so that the square of the mean takes no digits from that of the deviation.
    other = flat - np.float32(1)
    square = other * other
    for at, scale in enumerate(scales):
        mean = _blur(other, scale)
        if at == 0:
            found[..., 0] = np.log(np.maximum(mean + 1, 0) + FLOOR["brightness"])
        variance = np.maximum(_blur(square, scale) - mean * mean, 0)
        found[..., 1 + 2 * at] = np.log(np.sqrt(variance) + FLOOR["deviation"])
        found[..., 2 + 2 * at] = np.log(_blur(gradient, scale) + FLOOR["gradient"])
    return found


def _blur(array: np.ndarray, scale: float) -> np.ndarray:
    return cv2.GaussianBlur(array, (0, 0), scale, borderType=cv2.BORDER_REFLECT)
