"""How far confluency would differ in another field of the same dish: an interval for one image.

An image shows a part of a dish, and another part would show another share of cells. The field is
cut into a grid of blocks; whole blocks are drawn with replacement, because pixels of one cell come
together, and the interval is the 2.5th to 97.5th percentile of the share over the draws: the block
bootstrap for coverage patterns (Hall, "Resampling a coverage pattern", Stochastic Processes and
their Applications 20, 1985). It tells of the choice of the field alone. How wrong the model is
about its pixels it does not tell: that is `confluency_rmse` of the model's study.
"""

from __future__ import annotations

import numpy as np

from coverslip.metrics.intervals import limits, resampled_sums

BLOCKS = 5
"""The field is cut into this many by this many blocks."""

FEWEST = 10
"""Blocks with less of the field tell too little for an interval."""

DRAWS = 1000

SEED = 1


class Blocks:
    """Foreground and field of an image, counted block by block.

    Args:
        shape: height and width of the image.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.edges = [np.arange(min(BLOCKS, n)) * n // min(BLOCKS, n) for n in shape]
        self.sums = np.zeros((*map(len, self.edges), 2), np.int64)

    def add(self, start: int, mask: np.ndarray, field: np.ndarray) -> None:
        """Count some rows.

        Args:
            start: the first of them.
            mask: bool hxW, foreground, false outside the field.
            field: bool hxW, the field of view.
        """
        block = np.searchsorted(self.edges[0], np.arange(start, start + len(mask)), side="right")
        for at, values in enumerate((mask, field)):
            lines = np.add.reduceat(values, self.edges[1], axis=1, dtype=np.int64)
            np.add.at(self.sums[..., at], block - 1, lines)

    @property
    def foreground(self) -> int:
        """Pixels of foreground."""
        return int(self.sums[..., 0].sum())

    @property
    def field(self) -> int:
        """Pixels of the field."""
        return int(self.sums[..., 1].sum())

    def interval(self) -> tuple[float, float] | None:
        """95 % interval of confluency in percent; none with fewer than `FEWEST` blocks."""
        sums = self.sums.reshape(-1, 2)
        sums = sums[sums[:, 1] > 0]
        if len(sums) < FEWEST:
            return None
        drawn = resampled_sums(sums, np.arange(len(sums)), DRAWS, SEED)
        low, high = limits(100 * drawn[:, 0] / drawn[:, 1])
        return float(low), float(high)


def blocks_of(mask: np.ndarray, field: np.ndarray) -> Blocks:
    """Count a whole image; arguments as of `Blocks.add`."""
    blocks = Blocks(mask.shape)
    blocks.add(0, mask, field)
    return blocks
