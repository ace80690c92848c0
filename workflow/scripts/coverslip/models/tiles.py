"""Predicting images of any size with a network, in tiles.

Tiles overlap and are blended by a Gaussian window (Isensee et al., nnU-Net, Nature Methods 2021).
The outermost quarter of an overlap is thrown away on the sides where a neighbour knows better, so
that a network that sees no further than that gives what it would give on the whole image. Tiles
of the size of patches go in batches of one shape, filled across images; larger ones, for networks
that take them (`coverslip.models.tiling`), go one at a time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from coverslip.models.tiling import Tiling, step_of, steps, tiling
from coverslip.runtime import oom

Predict = Callable[[np.ndarray], np.ndarray]
"""From N x height x width x C to N x height x width x K, height and width always the same; with a
`grain` other heights and widths, too."""

SMALLER = "memory ran out with a tile of %dx%d pixels: goes on with tiles of %dx%d"

WAITING = 2**22
"""Pixels of images that wait for a batch to be filled while larger ones pass by."""


@dataclass
class HasSizeDivisor:
    """A `Predict` that may be given larger tiles than patches.

    Attributes:
        grain: their sides are multiples of this; see `tiling.grain_of`.
    """

    predict: Predict
    grain: int | None

    def __call__(self, tiles: np.ndarray) -> np.ndarray:
        """Predict tiles, see `Predict`."""
        return self.predict(tiles)


def window_starts(length: int, window: int, overlap: float) -> list[int]:
    """First positions of the windows along an axis, the last shifted inward to end with it.

    Args:
        length: length of the axis in pixels; if it is smaller than the window: one window.
        window: length of a window in pixels.
        overlap: share of a window that its neighbour covers too, 0..1, 1 excluded.
    """
    return steps(length, window, step_of(window, overlap))


def pad(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Continue an array (HxW or HxWxC) to at least this size at its lower and right border.

    By reflection about the border (the border pixel is repeated), again and again if need be.
    """
    missing = [max(0, wanted - have) for wanted, have in zip(size, array.shape[:2], strict=True)]
    if not any(missing):
        return array
    return np.pad(array, [(0, m) for m in missing] + [(0, 0)] * (array.ndim - 2), "symmetric")


def predict_tiled(
    predict: Predict,
    image: np.ndarray,
    tile: int | tuple[int, int],
    overlap: float,
    batch: int,
    tta: bool = False,
    grain: int | None = None,
) -> np.ndarray:
    """Predict one image; see `predict_stream`.

    Args:
        image: HxWxC, any size.

    Returns:
        float32 HxWxK.
    """
    return next(predict_stream(predict, [image], tile, overlap, batch, tta, grain))


def predict_stream(
    predict: Predict,
    images: Iterable[np.ndarray],
    tile: int | tuple[int, int],
    overlap: float,
    batch: int,
    tta: bool = False,
    grain: int | None = None,
) -> Iterator[np.ndarray]:
    """Predict images one after the other, with batches filled across images.

    In memory are the images of one batch and the one after. Images smaller than a tile are
    continued by reflection.

    Args:
        predict: the network on at most `batch` tiles, from N x height x width x C to the same with
            K channels; with a grain also on one larger tile.
        images: HxWxC each, of one dtype and one C, any sizes.
        tile: height and width in pixels of the patches that the network was trained on.
        overlap: share of a patch that neighbouring tiles both cover, 0..1, 1 excluded.
        batch: tiles a call of `predict` at most.
        tta: average over the eight flips and turns of each tile (four where height and width
            of a patch differ); takes as many times longer.
        grain: tiles may be larger than patches, see `tiling.tiling`. Where one is too large for the
            memory, tiles are patches from then on.

    Yields:
        float32 HxWxK, in the order of the images.
    """
    patch, turns = _patch_and_turns(tile, tta)
    waiting: deque[_StitchedImage] = deque()
    tiles: deque[_Tile] = deque()
    for image in images:
        mosaic = _StitchedImage(tiling(_size(image), patch, overlap, grain), len(turns))
        if mosaic.tiling.wide:
            try:
                _run_all(predict, mosaic.tiles(image, turns), deque(), 1)
            except oom.OutOfMemory:
                oom.LOG.warning(SMALLER, *mosaic.tiling.tile, *patch)
                grain = None
                mosaic = _StitchedImage(tiling(_size(image), patch, overlap), len(turns))
        waiting.append(mosaic)
        if not mosaic.tiling.wide:
            _run_all(predict, mosaic.tiles(image, turns), tiles, batch)
        elif tiles and sum(each.pixels for each in waiting) > WAITING:
            _run(predict, tiles)
        while waiting and waiting[0].missing == 0:
            yield waiting.popleft().finish()
    if tiles:
        _run(predict, tiles)
    while waiting:
        yield waiting.popleft().finish()


def _patch_and_turns(
    tile: int | tuple[int, int], tta: bool
) -> tuple[tuple[int, int], tuple[int, ...]]:
    """Height and width of a patch, and the orientations that are averaged, see `turned`."""
    patch = (tile, tile) if isinstance(tile, int) else (int(tile[0]), int(tile[1]))
    if not tta:
        return patch, (0,)
    return patch, tuple(range(8)) if patch[0] == patch[1] else (0, 2, 4, 6)


def _size(image: np.ndarray) -> tuple[int, int]:
    return image.shape[0], image.shape[1]


def apply_symmetry(array: np.ndarray, orientation: int) -> np.ndarray:
    """One of the eight flips and turns of HxWx...: quarter turns, with 4 to 7 after a flip."""
    flipped = array[:, ::-1] if orientation >= 4 else array
    return np.rot90(flipped, orientation % 4)


def undo_symmetry(array: np.ndarray, orientation: int) -> np.ndarray:
    """Undo `turned`."""
    upright = np.rot90(array, -(orientation % 4))
    return upright[:, ::-1] if orientation >= 4 else upright


def _run_all(predict: Predict, more: Iterable[_Tile], tiles: deque[_Tile], batch: int) -> None:
    """Add tiles to those that are waiting, and predict whenever there is a full batch."""
    for tile in more:
        tiles.append(tile)
        if len(tiles) == batch:
            _run(predict, tiles)


def _run(predict: Predict, tiles: deque[_Tile]) -> None:
    """Predict the tiles that are waiting, and lay them into their images."""
    for answer in np.asarray(predict(np.stack([pixels for _, _, _, pixels in tiles]))):
        mosaic, corner, orientation, _ = tiles.popleft()
        mosaic.accumulate(undo_symmetry(answer, orientation), corner)


class _StitchedImage:
    """An image that is being put together from its tiles."""

    def __init__(self, cut: Tiling, visits: int) -> None:
        self.tiling = cut
        self.pixels = cut.padded[0] * cut.padded[1]
        self.missing = len(cut.corners) * visits
        self.sum: np.ndarray | None = None
        self.weight = np.zeros((*cut.padded, 1), np.float32)

    def _window(self, corner: tuple[int, int]) -> tuple[slice, slice]:
        height, width = self.tiling.tile
        return slice(corner[0], corner[0] + height), slice(corner[1], corner[1] + width)

    def tiles(self, image: np.ndarray, turns: Iterable[int]) -> Iterator[_Tile]:
        """Cut the tiles, each in all its orientations."""
        padded = pad(image, self.tiling.padded)
        for corner in self.tiling.corners:
            for turn in turns:
                yield self, corner, turn, apply_symmetry(padded[self._window(corner)], turn)

    def accumulate(self, answer: np.ndarray, corner: tuple[int, int]) -> None:
        """Add what was predicted for the tile at a corner."""
        if self.sum is None:
            self.sum = np.zeros((*self.tiling.padded, answer.shape[-1]), np.float32)
        weight = self.tiling.weights(corner)
        window = self._window(corner)
        self.sum[window] += weight * answer
        self.weight[window] += weight
        self.missing -= 1

    def finish(self) -> np.ndarray:
        """Return the blended image without its padding."""
        assert self.sum is not None, "an image has at least one tile"
        self.sum /= self.weight
        return self.sum[: self.tiling.size[0], : self.tiling.size[1]]


_Tile = tuple[_StitchedImage, tuple[int, int], int, np.ndarray]
"""Image, corner in it, orientation, and pixels of a tile."""
