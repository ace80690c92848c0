"""The threshold on the foreground's probability, tuned on the validation pictures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np

Goal = Literal["iou", "iou_pooled", "confluency"]
"""What a threshold is tuned for."""

GRID = tuple(round(0.05 * step, 2) for step in range(1, 20))
DEFAULT = 0.5
NEARLY = 0.9
"""Share of the best mean IoU that a threshold tuned for confluency must still have."""


def tune(batches: Iterable[tuple[list[str], np.ndarray, np.ndarray]], goal: Goal = "iou") -> float:
    """The threshold with the best IoU of the foreground: the mean over pictures, that of all pixels
    together, or, of those whose mean is nearly as good, the one with the smallest root mean square
    error of confluency.

    The best IoU is no fair answer to how much is covered: where outlines are doubtful it takes in
    too much, since a pixel too few costs more than one too many. The smallest error of confluency
    alone is none either: with few pictures it may balance one that is found too much with one
    that is hardly found at all.

    Args:
        batches: ids of pictures, masks uint8 (N, height, width) and probabilities of foreground
            float32 (N, height, width); a picture's patches may come in any order and number. A
            pixel is foreground where its probability is at least the threshold.
        goal: what is to be best. Pictures without foreground have no IoU; their confluency counts.

    Returns:
        One of `GRID`, of equally good ones the nearest to 0.5; 0.5 if no picture counts.
    """
    totals: dict[str, np.ndarray] = {}
    for ids, masks, probabilities in batches:
        for name, mask, probability in zip(ids, masks, probabilities, strict=True):
            counts = _counts(mask, probability)
            totals[name] = totals[name] + counts if name in totals else counts
    counted = [totals[name] for name in sorted(totals)]
    ious = [_iou(counts) for counts in counted if counts[0].sum() > 0]
    score = np.mean(ious, axis=0) if ious else np.zeros(len(GRID))
    if goal == "iou_pooled" and ious:
        score = _iou(np.sum(counted, axis=0))
    if goal == "confluency" and counted:
        squares = np.mean([_error(counts) ** 2 for counts in counted], axis=0)
        score = np.where(score >= NEARLY * score.max(), -squares, -np.inf)
    best = np.flatnonzero(score >= score.max() - 1e-9)
    return min((GRID[i] for i in best), key=lambda threshold: (abs(threshold - DEFAULT), threshold))


def _counts(mask: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Pixels by number of thresholds reached: int64 (2, len(GRID) + 1), foreground first."""
    reached = np.searchsorted(np.array(GRID, dtype=np.float32), probability.ravel(), side="right")
    truth = mask.ravel() != 0
    size = len(GRID) + 1
    return np.stack([np.bincount(reached[t], minlength=size) for t in (truth, ~truth)])


def _above(counts: np.ndarray) -> np.ndarray:
    return counts[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]


def _iou(counts: np.ndarray) -> np.ndarray:
    above = _above(counts)
    return above[0] / (counts[0].sum() + above[1])


def _error(counts: np.ndarray) -> np.ndarray:
    """Share of the picture that is found too much or, below 0, too little."""
    return (_above(counts).sum(axis=0) - counts[0].sum()) / counts.sum()
