"""Measuring an image that does not fit in memory: from its rows to numbers, labels and overlay.

Everything is counted while predictions go by, band by band; provisional labels are kept aside,
compressed, until it is known which objects there are, and are then written as a tiled TIFF.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from coverslip.config.sections import Measure
from coverslip.data.readers.planes import Plane
from coverslip.imaging.field_of_view import Field, FilledRows
from coverslip.imaging.intensity import to_grey
from coverslip.imaging.rows import Rows, regrouped, spans
from coverslip.measure.image_result import ImageResult, pixel_size
from coverslip.measure.interval import Blocks
from coverslip.measure.moments import Moments, properties
from coverslip.measure.objects_rows import Objects
from coverslip.measure.overlay import overlay, shown_size
from coverslip.measure.predict_rows import answers
from coverslip.measure.regionprops import table_of
from coverslip.models.model import Model

TILE = 512
"""Height and width of the tiles of a label map."""

QUICK = 1
"""Level of compression of labels kept aside."""


def add_large(
    entry: ImageResult,
    plane: Plane,
    network: Model,
    source: Rows,
    settings: Measure,
) -> None:
    """Predict and measure a large plane, as `Entry.add` does a small one.

    Args:
        entry: where the results go.
        plane: what is known of it.
        network: the model.
        source: its rows.
        settings: the section `measure` of the config.

    Raises:
        Unfit: the image cannot be read to its end, or is too large for the model.
    """
    height, width, _ = source.shape
    shape = (height, width)
    field = Field(source, settings.ignore_black_border)
    filled: Rows = source if field.everything else FilledRows(source, field)
    objects = Objects(network)
    blocks, seeded, rest = Blocks(shape), Moments(), Moments()
    small = Reduced(shape)
    entry.part.mkdir(parents=True, exist_ok=True)
    with ScratchImage(entry.part / "provisional") as kept:
        start = 0
        bands = answers(network, filled, settings.overlap, settings.tta)
        for mask, label in objects.bands(bands):
            for first, last in spans(mask.shape):
                rows = slice(start + first, start + last)
                grey = to_grey(source.rows(rows.start, rows.stop))
                inside = field.rows(rows.start, rows.stop)
                numbers = label[first:last]
                blocks.add(rows.start, mask[first:last] & inside, inside)
                seeded.add(rows.start, numbers, inside, grey)
                rest.add(rows.start, -numbers, inside, grey)
                small.add(rows.start, grey)
                kept.put(numbers)
            start += len(mask)
        tables, found = _watershed_params(objects, (seeded, rest), settings)
        table = table_of(found, shape, pixel_size(plane, settings)[0])
        labels = Labels(kept, tables, field, small.places)
        tiles = _tiles(labels.bands(), shape)
        entry.write_label(plane, shape, tiles, len(table), settings, (TILE, TILE))
    inside = field.at(*small.places)
    image = small.image(source.dtype)
    entry.draw(plane, overlay(image, labels.small, labels.small_mask & inside, inside))
    entry.note(plane, source.shape, source.dtype, blocks, table, settings)


def _watershed_params(
    objects: Objects, moments: tuple[Moments, Moments], settings: Measure
) -> tuple[list[np.ndarray], dict[str, np.ndarray]]:
    """From provisional to final numbers, with and without a seed, and properties of the objects.

    The order is that of an image measured whole: objects with a seed by its first pixel, then
    those without by theirs.
    """
    tables: list[np.ndarray] = []
    found: list[dict[str, np.ndarray]] = []
    count = 0
    numbered = [regions.numbers() for regions in (objects.seeded, objects.rest)]
    merged = [sums.merged(numbers) for sums, numbers in zip(moments, numbered, strict=True)]
    smallest = objects.smallest(np.concatenate([areas for _, areas, _ in merged]))
    for numbers, (ids, areas, totals) in zip(numbered, merged, strict=True):
        keep = (areas >= smallest) & (totals["area"] >= max(1, settings.min_area_px))
        final = np.zeros(len(numbers), np.int32)
        final[ids[keep]] = np.arange(count + 1, count + 1 + np.count_nonzero(keep))
        count += int(np.count_nonzero(keep))
        tables.append(final[numbers])
        found.append({name: values[keep] for name, values in totals.items()})
    whole = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
    return tables, {"label": np.arange(1, count + 1), **properties(whole)}


class ScratchImage:
    """Bands of labels, kept in a file until they are settled; the file is gone at the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = open(path, "w+b")  # noqa: SIM115 - closed by __exit__
        self._bands: list[tuple[int, tuple[int, ...]]] = []

    def __enter__(self) -> ScratchImage:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()
        self.path.unlink()

    def put(self, label: np.ndarray) -> None:
        """Keep the next rows, int32 hxW."""
        data = zlib.compress(np.ascontiguousarray(label).tobytes(), QUICK)
        self._file.write(data)
        self._bands.append((len(data), label.shape))

    def bands(self) -> Iterator[np.ndarray]:
        """Give back what was kept, from the top on."""
        self._file.seek(0)
        for size, shape in self._bands:
            data = zlib.decompress(self._file.read(size))
            yield np.frombuffer(data, np.int32).reshape(shape)


class Labels:
    """The final labels of an image, and what the overlay shows of them.

    Args:
        kept: the provisional labels.
        tables: from provisional to final numbers, of objects with and without a seed.
        field: the field of view.
        places: rows and columns of the image that the overlay shows, see `Reduced`.
    """

    def __init__(
        self, kept: ScratchImage, tables: list[np.ndarray], field: Field, places: list[np.ndarray]
    ) -> None:
        self.kept = kept
        self.tables = tables
        self.field = field
        self.places = places
        size = (len(places[0]), len(places[1]))
        self.small = np.zeros(size, np.int32)
        self.small_mask = np.zeros(size, bool)

    def bands(self) -> Iterator[tuple[np.ndarray]]:
        """Labels, int32 hxW, from the top on."""
        start = 0
        seeded, rest = self.tables
        for provisional in self.kept.bands():
            label = seeded[np.maximum(provisional, 0)]
            if len(rest) > 1:
                label = np.where(provisional < 0, rest[np.maximum(-provisional, 0)], label)
            label = np.where(self.field.rows(start, start + len(label)), label, 0)
            here = (self.places[0] >= start) & (self.places[0] < start + len(label))
            lines = self.places[0][here] - start
            self.small[here] = label[lines][:, self.places[1]]
            self.small_mask[here] = provisional[lines][:, self.places[1]] != 0
            start += len(label)
            yield (label,)


def _tiles(bands: Iterator[tuple[np.ndarray]], shape: tuple[int, int]) -> Iterator[np.ndarray]:
    """Tiles of a label map, those at the border filled up with zeros."""
    for (label,), _, rows in regrouped(bands, TILE, 0):
        for start in range(0, shape[1], TILE):
            tile = np.zeros((TILE, TILE), np.int32)
            part = label[:rows, start : start + TILE]
            tile[: part.shape[0], : part.shape[1]] = part
            yield tile


class Reduced:
    """A large image at the size of its overlay: means of the grey values.

    Args:
        shape: height and width of the image.

    Attributes:
        size: height and width of the overlay.
        places: for each of its rows, and of its columns, the first one of the image.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.shape = shape
        shown = shown_size(shape)
        self.size = (min(shown[0], shape[0]), min(shown[1], shape[1]))
        self.places = [np.arange(s) * n // s for s, n in zip(self.size, shape, strict=True)]
        self._sums = np.zeros(self.size)

    def add(self, start: int, grey: np.ndarray) -> None:
        """Add some rows, hxW, the first of which is `start`."""
        lines = np.add.reduceat(grey, self.places[1], axis=1, dtype=np.float64)
        rows = np.searchsorted(self.places[0], np.arange(start, start + len(grey)), side="right")
        np.add.at(self._sums, rows - 1, lines)

    def image(self, dtype: np.dtype) -> np.ndarray:
        """The reduced image, hxwx1."""
        sides = [np.diff([*p, n]) for p, n in zip(self.places, self.shape, strict=True)]
        return np.rint(self._sums / np.outer(*sides)).astype(dtype)[:, :, np.newaxis]
