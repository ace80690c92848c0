"""Uneven light for made-up images."""

import numpy as np


def ramp(shape, low, angle):
    """Return a light that falls from 1 to `low` across an image."""
    y, x = (np.linspace(-1, 1, n) for n in shape)
    along = np.add.outer(np.sin(angle) * y, np.cos(angle) * x)
    share = (along - along.min()) / np.ptp(along)
    return low + (1 - low) * share


def vignette(shape, corner):
    """Return a light that falls from 1 in the middle to `corner` in the corners."""
    y, x = (np.linspace(-1, 1, n) for n in shape)
    return np.exp(np.log(corner) * np.add.outer(y**2, x**2) / 2)
