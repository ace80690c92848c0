"""Deletion and insertion: does a map mark the pixels that the network uses?

Petsiuk, Das and Saenko, "RISE: randomized input sampling for explanation of black-box models", BMVC
2018. Pixels are deleted from the image in the order of the map, most important first: the
sooner the score falls, the better the map (deletion, small is good). Or they are put back into a
blurred image: the sooner the score rises, the better (insertion, large is good). A random order
is the baseline. Needs no Keras.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from coverslip.explain.occlusion import Score

STEPS = 20
"""Parts in which the pixels are deleted or put back."""

BLUR = 0.1
"""Standard deviation of the Gaussian of the blurred image, in heights or widths of the image,
whichever is smaller."""


class Curves(NamedTuple):
    """Scores of one map of one image."""

    deletion: np.ndarray
    """(steps + 1,) score of the class with 0, 1/steps, ... 1 of the pixels deleted."""
    insertion: np.ndarray
    """(steps + 1,) the same with pixels put back."""

    @property
    def deletion_area(self) -> float:
        """Area under the curve of deletion, in the unit of the score; small is good."""
        return float(np.trapezoid(self.deletion, dx=1 / (len(self.deletion) - 1)))

    @property
    def insertion_area(self) -> float:
        """Area under the curve of insertion; large is good."""
        return float(np.trapezoid(self.insertion, dx=1 / (len(self.insertion) - 1)))


def curves(
    score: Score,
    image: np.ndarray,
    map: np.ndarray,
    target: int,
    baseline: float | np.ndarray = 0.0,
    steps: int = STEPS,
) -> Curves:
    """Score a map of an image.

    Args:
        score: returns the scores of images, preferably probabilities.
        image: float32 HxWxC, in the scale that the network takes.
        map: HxW, large where the image supports the class; ties are in the order of rows.
        target: number of the class.
        baseline: replaces deleted pixels: one value, one for each channel, or an image HxWxC.
        steps: parts in which the pixels are deleted.
    """
    blank = np.broadcast_to(np.asarray(baseline, np.float32), image.shape)
    changed = [
        np.stack(frames)
        for frames in (
            _replace(image, blank, map, steps),
            _replace(blur(image), image, map, steps),
        )
    ]
    deletion, insertion = (score(frames)[:, target].astype(np.float64) for frames in changed)
    return Curves(deletion, insertion)


def _replace(first: np.ndarray, last: np.ndarray, map: np.ndarray, steps: int) -> list[np.ndarray]:
    """Return images between two, in which more and more pixels are those of the last one."""
    rank: np.ndarray = np.empty(map.size, np.int64)
    rank[np.argsort(-map.ravel(), kind="stable")] = np.arange(map.size)
    rank = rank.reshape(map.shape)
    ends = np.rint(np.linspace(0, map.size, steps + 1))
    return [np.where((rank < end)[..., None], last, first) for end in ends]


def blur(image: np.ndarray) -> np.ndarray:
    """Return an image HxWxC in which nothing can be recognized, float32."""
    sigma = BLUR * min(image.shape[:2])
    soft = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return soft.reshape(image.shape)


def random_map(shape: tuple[int, int], seed: int) -> np.ndarray:
    """Return a random map HxW: the baseline of deletion and insertion."""
    return np.random.default_rng(seed).random(shape)
