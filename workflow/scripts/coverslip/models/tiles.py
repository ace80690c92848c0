"""Predicting pictures of any size with a network of one fixed tile size.

Tiles overlap and are blended by a Gaussian window (Isensee et al., nnU-Net, Nature Methods 2021).
The outermost quarter of an overlap is thrown away on the sides where a neighbour knows better, so
that a network that sees no further than that gives what it would give on the whole picture. All
batches have one shape, so that nothing is compiled twice, and are filled across pictures.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

import numpy as np

from coverslip.models.rows import Rows

Predict = Callable[[np.ndarray], np.ndarray]
"""From N x height x width x C to N x height x width x K, N, height and width always the same."""

SIGMAS = 8
"""Side of a tile in standard deviations of its Gaussian window, as in nnU-Net."""
FLOOR = 1e-3
"""Smallest weight of the Gaussian window along one axis; its largest is 1."""


def window_starts(length: int, window: int, overlap: float) -> list[int]:
    """First positions of the windows along an axis, the last shifted inward to end with it.

    Args:
        length: length of the axis in pixels; if it is smaller than the window: one window.
        window: length of a window in pixels.
        overlap: share of a window that its neighbour covers too, 0..1, 1 excluded.
    """
    step = max(1, round(window * (1 - overlap)))
    last = max(0, length - window)
    return [*range(0, last, step), last]


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
    flips: bool = False,
) -> np.ndarray:
    """Predict one picture; see `predict_stream`.

    Args:
        image: HxWxC, any size.

    Returns:
        float32 HxWxK.
    """
    return next(predict_stream(predict, [image], tile, overlap, batch, flips))


def predict_stream(
    predict: Predict,
    images: Iterable[np.ndarray],
    tile: int | tuple[int, int],
    overlap: float,
    batch: int,
    flips: bool = False,
) -> Iterator[np.ndarray]:
    """Predict pictures one after the other, with batches filled across pictures.

    In memory are the pictures of one batch and the one after; the last batch is filled up with
    zeros. Pictures smaller than a tile are continued by reflection.

    Args:
        predict: the network on `batch` tiles, from N x height x width x C to the same with K
            channels, with N = `batch`.
        images: HxWxC each, of one dtype and one C, any sizes.
        tile: height and width of a tile in pixels.
        overlap: share of a tile that its neighbour covers too, 0..1, 1 excluded.
        batch: tiles a call of `predict`.
        flips: average over the eight flips and turns of each tile (four where height and width
            of a tile differ); takes as many times longer.

    Yields:
        float32 HxWxK, in the order of the pictures.
    """
    shape = (tile, tile) if isinstance(tile, int) else (int(tile[0]), int(tile[1]))
    orientations = (tuple(range(8)) if shape[0] == shape[1] else (0, 2, 4, 6)) if flips else (0,)
    waiting: deque[_Mosaic] = deque()
    tiles: deque[tuple[_Mosaic, tuple[int, int], int, np.ndarray]] = deque()
    for image in images:
        mosaic = _Mosaic(image, shape, overlap, len(orientations))
        waiting.append(mosaic)
        for corner in mosaic.corners:
            for orientation in orientations:
                tiles.append((mosaic, corner, orientation, turned(mosaic.cut(corner), orientation)))
                if len(tiles) == batch:
                    _run(predict, tiles, batch)
        while waiting and waiting[0].missing == 0:
            yield waiting.popleft().finish()
    if tiles:
        _run(predict, tiles, batch)
    while waiting:
        yield waiting.popleft().finish()


def predict_rows(
    predict: Predict,
    source: Rows,
    tile: int | tuple[int, int],
    overlap: float,
    batch: int,
    flips: bool = False,
) -> Iterator[np.ndarray]:
    """Predict one large picture; in memory are the rows that a row of tiles covers.

    Tiles, weights and order of summation are those of `predict_stream`, and so are the numbers.

    Args:
        source: the picture, H x W x C.
        predict, tile, overlap, batch, flips: see `predict_stream`.

    Yields:
        float32 hxWxK: the picture from the top on, h rows at a time.
    """
    shape = (tile, tile) if isinstance(tile, int) else (int(tile[0]), int(tile[1]))
    orientations = (tuple(range(8)) if shape[0] == shape[1] else (0, 2, 4, 6)) if flips else (0,)
    size = (source.shape[0], source.shape[1])
    padded = (max(size[0], shape[0]), max(size[1], shape[1]))
    band = _Band(size, padded, shape, overlap)
    tiles: deque[tuple[_Band, tuple[int, int], int, np.ndarray]] = deque()
    for y in window_starts(padded[0], shape[0], overlap):
        image = pad(source.rows(y, min(y + shape[0], size[0])), shape)
        for x in window_starts(padded[1], shape[1], overlap):
            for orientation in orientations:
                pixels = turned(image[:, x : x + shape[1]], orientation)
                tiles.append((band, (y, x), orientation, pixels))
                if len(tiles) == batch:
                    _run(predict, tiles, batch)
        yield from band.ready()
    if tiles:
        _run(predict, tiles, batch)
    yield from band.ready()
    yield band.rest()


def turned(array: np.ndarray, orientation: int) -> np.ndarray:
    """One of the eight flips and turns of HxWx...: quarter turns, with 4 to 7 after a flip."""
    flipped = array[:, ::-1] if orientation >= 4 else array
    return np.rot90(flipped, orientation % 4)


def turned_back(array: np.ndarray, orientation: int) -> np.ndarray:
    """Undo `turned`."""
    upright = np.rot90(array, -(orientation % 4))
    return upright[:, ::-1] if orientation >= 4 else upright


def _run(predict: Predict, tiles: deque, batch: int) -> None:
    """Predict the tiles that are waiting, as one full batch, and lay them into their pictures."""
    first = tiles[0][3]
    stack = np.zeros((batch, *first.shape), first.dtype)
    for place, (_, _, _, pixels) in zip(stack, tiles, strict=False):
        place[...] = pixels
    answers = np.asarray(predict(stack))
    for answer in answers[: len(tiles)]:
        mosaic, corner, orientation, _ = tiles.popleft()
        mosaic.lay(turned_back(answer, orientation), corner)


class _Mosaic:
    """A picture that is being put together from its tiles."""

    def __init__(
        self, image: np.ndarray, tile: tuple[int, int], overlap: float, visits: int
    ) -> None:
        self.size = image.shape[:2]
        self.tile = tile
        self.margin = margins(tile, overlap)
        self.image: np.ndarray | None = pad(image, tile)
        self.padded = self.image.shape[:2]
        starts = [window_starts(n, t, overlap) for n, t in zip(self.padded, tile, strict=True)]
        self.corners = [(y, x) for y in starts[0] for x in starts[1]]
        self.missing = len(self.corners) * visits
        self.sum: np.ndarray | None = None
        self.weight = np.zeros((*self.padded, 1), np.float32)

    def _window(self, corner: tuple[int, int]) -> tuple[slice, slice]:
        return slice(corner[0], corner[0] + self.tile[0]), slice(
            corner[1], corner[1] + self.tile[1]
        )

    def cut(self, corner: tuple[int, int]) -> np.ndarray:
        """Return the tile at a corner."""
        assert self.image is not None, "all tiles are cut before the picture is finished"
        assert self.image is not None, "the picture is already done"
        return self.image[self._window(corner)]

    def lay(self, answer: np.ndarray, corner: tuple[int, int]) -> None:
        """Add what was predicted for the tile at a corner."""
        if self.sum is None:
            self.sum = np.zeros((*self.padded, answer.shape[-1]), np.float32)
        weight = weights(corner, self.tile, self.margin, self.padded)
        window = self._window(corner)
        self.sum[window] += weight * answer
        self.weight[window] += weight
        self.missing -= 1

    def finish(self) -> np.ndarray:
        """Return the blended picture without its padding."""
        self.image = None
        self.sum /= self.weight
        return self.sum[: self.size[0], : self.size[1]]


class _Band:
    """The rows of a large picture that are being put together from their tiles."""

    def __init__(
        self,
        size: tuple[int, int],
        padded: tuple[int, int],
        tile: tuple[int, int],
        overlap: float,
    ) -> None:
        self.size = size
        self.padded = padded
        self.tile = tile
        self.margin = margins(tile, overlap)
        self.top = 0
        self.sum = np.zeros((tile[0], padded[1], 0), np.float32)
        self.weight = np.zeros((tile[0], padded[1], 1), np.float32)
        self._done: list[np.ndarray] = []

    def lay(self, answer: np.ndarray, corner: tuple[int, int]) -> None:
        """Add what was predicted for the tile at a corner; corners come row by row."""
        if self.sum.shape[-1] == 0:  # the first tile tells how many channels there are
            self.sum = np.zeros((*self.weight.shape[:2], answer.shape[-1]), np.float32)
        if corner[0] > self.top:
            self._move(corner[0])
        weight = weights(corner, self.tile, self.margin, self.padded)
        columns = slice(corner[1], corner[1] + self.tile[1])
        self.sum[:, columns] += weight * answer
        self.weight[:, columns] += weight

    def _move(self, top: int) -> None:
        """No further tile reaches above this row: what lies there is done."""
        assert self.sum is not None
        rows = top - self.top
        self._done.append(self.sum[:rows, : self.size[1]] / self.weight[:rows, : self.size[1]])
        for array in (self.sum, self.weight):
            array[:-rows] = array[rows:].copy()
            array[-rows:] = 0
        self.top = top

    def ready(self) -> Iterator[np.ndarray]:
        """Hand out the rows that are done."""
        done, self._done = self._done, []
        yield from done

    def rest(self) -> np.ndarray:
        """The last rows, when all tiles are laid."""
        assert self.sum is not None
        window = np.s_[: self.size[0] - self.top, : self.size[1]]
        return self.sum[window] / self.weight[window]


def margins(tile: tuple[int, int], overlap: float) -> tuple[int, int]:
    """Rows and columns of a tile that are thrown away where a neighbour knows better."""
    return round(tile[0] * overlap / 4), round(tile[1] * overlap / 4)


def weights(
    corner: tuple[int, int],
    tile: tuple[int, int],
    margin: tuple[int, int],
    padded: tuple[int, int],
) -> np.ndarray:
    """Weights of the tile at a corner of a picture of this padded size, float32 hxwx1."""
    rows, columns = (
        gaussian(length, cut if start > 0 else 0, cut if start + length < end else 0)
        for start, length, cut, end in zip(corner, tile, margin, padded, strict=True)
    )
    return (rows[:, np.newaxis] * columns)[:, :, np.newaxis]


@lru_cache(maxsize=64)
def gaussian(length: int, before: int, after: int) -> np.ndarray:
    """Weights along one axis of a tile: a Gaussian with a floor, zero in the margins.

    Args:
        length: length of the tile in pixels; its eighth is the standard deviation.
        before, after: pixels at the two ends that get no weight.

    Returns:
        float32 of this length, 0..1; not to be changed.
    """
    distance = np.arange(length) - (length - 1) / 2
    weight = np.maximum(np.exp(-0.5 * (distance * SIGMAS / length) ** 2), FLOOR)
    weight[:before] = 0
    weight[length - after :] = 0
    weight = weight.astype(np.float32)
    weight.setflags(write=False)
    return weight
