"""Contrast limited adaptive histogram equalization (CLAHE) of an image that is read row by row.

The algorithm (Zuiderveld, Graphics Gems IV, 1994) as OpenCV has it: an image is cut into tiles,
the histogram of each is clipped, what was cut off is dealt out evenly, the cumulative histogram is
the tile's table, and a pixel takes the bilinear mean of the four nearest tables' values. OpenCV
wants the whole image at once; here the histograms of all tiles come from one pass over the rows.
"""

from __future__ import annotations

import cv2
import numpy as np

from coverslip.imaging.rows import Rows, parts, spans

VALUES = 256
"""Values of a pixel."""


class Equalizer:
    """CLAHE of the L channel of CIELAB; a grey image goes there as its RGB repetition.

    Args:
        source: uint8 HxWxC, C = 1 or 3.
        clip: limit of contrast.
        tiles: number of tiles down and across.
    """

    def __init__(self, source: Rows, clip: float, tiles: tuple[int, int]) -> None:
        self.tiles = tiles
        self.size, counts = _tile_histograms(source, tiles)
        self.tables = _tables(counts, clip, self.size[0] * self.size[1])

    def apply(self, pixels: np.ndarray, row: int = 0, column: int = 0) -> np.ndarray:
        """Equalize a window of the image.

        Args:
            pixels: uint8 HxWxC.
            row, column: of its first pixel in the image.
        """
        lab = _lab(pixels)
        columns = np.arange(column, column + pixels.shape[1])
        # Chunks, since the intermediate numbers take twenty times the memory of the pixels.
        for first, last in spans(pixels.shape, 2**20):
            place = np.arange(row + first, row + last)
            lab[first:last, :, 0] = self._mapped(lab[first:last, :, 0], place, columns)
        colour = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
        if pixels.shape[2] == 3:
            return colour
        return cv2.cvtColor(colour, cv2.COLOR_RGB2GRAY)[:, :, np.newaxis]

    def _mapped(self, values: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        above, below, down = _between(rows, self.size[0], self.tiles[0])
        left, right, across = _between(columns, self.size[1], self.tiles[1])
        across = across[np.newaxis, :]

        def along(line: np.ndarray) -> np.ndarray:
            first = self.tables[line[:, np.newaxis], left, values]
            second = self.tables[line[:, np.newaxis], right, values]
            return first * (np.float32(1) - across) + second * across

        down = down[:, np.newaxis]
        mixed = along(above) * (np.float32(1) - down) + along(below) * down
        return np.clip(np.rint(mixed), 0, VALUES - 1).astype(np.uint8)


def _lab(pixels: np.ndarray) -> np.ndarray:
    """CIELAB of uint8 HxWxC; a grey image goes there as its RGB repetition."""
    colour = pixels if pixels.shape[2] == 3 else np.repeat(pixels, 3, axis=2)
    return cv2.cvtColor(np.ascontiguousarray(colour), cv2.COLOR_RGB2LAB)


def _between(
    places: np.ndarray, size: int, tiles: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the two tiles around a row or column, and the weight of the second, float32."""
    position = places.astype(np.float32) * np.float32(1 / np.float32(size)) - np.float32(0.5)
    first = np.floor(position).astype(np.int64)
    share = position - first.astype(np.float32)
    return np.maximum(first, 0), np.minimum(first + 1, tiles - 1), share


def _tile_histograms(source: Rows, tiles: tuple[int, int]) -> tuple[tuple[int, int], np.ndarray]:
    """Height and width of a tile, and the histogram of each, int64 down x across x 256.

    Where tiles do not divide the image, it goes on beyond its lower and right border, mirrored
    about the last pixel, along both axes.
    """
    height, width = source.shape[:2]
    divided = height % tiles[0] == 0 and width % tiles[1] == 0
    more = [0, 0] if divided else [t - n % t for n, t in zip((height, width), tiles, strict=True)]
    size = (height + more[0]) // tiles[0], (width + more[1]) // tiles[1]
    columns = _mirror(width, more[1])
    counts = np.zeros((*tiles, VALUES), np.int64)

    def add(light: np.ndarray, places: np.ndarray) -> None:
        for tile in np.unique(places // size[0]):
            lines = light[places // size[0] == tile]
            for at in range(tiles[1]):
                values = lines[:, at * size[1] : (at + 1) * size[1]]
                counts[tile, at] += np.bincount(values.ravel(), minlength=VALUES)

    at = 0
    for part in parts(source):
        add(_lab(part)[:, :, 0][:, columns], np.arange(at, at + len(part)))
        at += len(part)
    for place, row in enumerate(_mirror(height, more[0])[height:].tolist(), start=height):
        add(_lab(source.rows(row, row + 1))[:, :, 0][:, columns], np.array([place]))
    return size, counts


def _mirror(length: int, more: int) -> np.ndarray:
    """Places of an axis and of what follows when it is mirrored about its last one."""
    places = np.arange(length + more)
    period = max(1, 2 * (length - 1))
    folded = places % period
    return np.where(folded < length, folded, period - folded)


def _tables(counts: np.ndarray, clip: float, area: int) -> np.ndarray:
    """Table of each tile, float32 down x across x 256, from its histogram."""
    limit = max(1, int(clip * area / VALUES)) if clip > 0 else area
    tables = np.empty(counts.shape, np.float32)
    scale = np.float32(VALUES - 1) / np.float32(area)
    for place in np.ndindex(*counts.shape[:2]):
        table = np.minimum(counts[place], limit)
        over = int((counts[place] - table).sum())
        table += over // VALUES
        left = over % VALUES
        if left:
            step = max(VALUES // left, 1)
            table[: step * left : step][:left] += 1
        sums = np.cumsum(table).astype(np.float32) * scale
        tables[place] = np.clip(np.rint(sums), 0, VALUES - 1)
    return tables
