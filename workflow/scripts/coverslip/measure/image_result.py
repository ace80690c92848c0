"""What was found in one file: rows, objects, label maps and overlays, kept for later runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile

from coverslip.config.sections import Measure
from coverslip.data.readers.planes import SIZES_UM, Plane
from coverslip.files import write_json
from coverslip.imaging.intensity import to_grey
from coverslip.imaging.rows import Rows
from coverslip.measure.blocks import SegmentedImage, segment_image
from coverslip.measure.input_folder import shown_name
from coverslip.measure.overlay import encoded, overlay
from coverslip.measure.regionprops import OBJECTS, object_table, summary, table_of
from coverslip.models.model import Model

UNLIKELY = "the file states pixels of {:g} x {:g} µm, which are not believed"

TILE = 512
"""Height and width of the tiles of a label image of several blocks."""

PADDED = "black surroundings do not count"


def overlay_name(page: int, plane: str) -> str:
    """What the overlay of a plane is called after: its page, where a file has several."""
    return f"page{page}.overlay.png" if plane else "overlay.png"


def pixel_size(plane: Plane, settings: Measure) -> tuple[tuple[float, float] | None, str]:
    """Height and width of a pixel in micrometres, if known, and whence: `config` or `file`."""
    if settings.pixel_size_um is not None:
        return (settings.pixel_size_um, settings.pixel_size_um), "config"
    if plane.pixel_um is None or not all(SIZES_UM[0] <= s <= SIZES_UM[1] for s in plane.pixel_um):
        return None, ""
    return plane.pixel_um, "file"


def measure_objects(
    segmented: SegmentedImage, pixel_um: tuple[float, float] | None
) -> pd.DataFrame:
    """Return the table of the objects of an image, see `object_table`, in the order of their
    numbers. Objects that extend over more than a block have only what sums of pixels give.

    Args:
        segmented: the objects.
        pixel_um: height and width of a pixel in micrometres.
    """
    tables = [
        object_table(
            window.label, window.image, pixel_um, origin=window.origin, shape=segmented.shape
        )
        for window in segmented.windows()
    ]
    large = segmented.large_objects()
    if len(large):
        tables.append(table_of(sums_of(segmented, large), segmented.shape, pixel_um))
    return pd.concat(tables).sort_values("label", ignore_index=True)


def sums_of(segmented: SegmentedImage, numbers: np.ndarray) -> dict[str, np.ndarray]:
    """Return area, centroid, box and mean intensity of objects of any size.

    Args:
        segmented: the objects of an image.
        numbers: which of them.
    """
    sums = np.zeros((4, segmented.count + 1))
    wanted = np.zeros(segmented.count + 1, bool)
    wanted[numbers] = True
    for rows, columns in segmented.grid:
        label = segmented.label(rows, columns)
        y, x = np.nonzero(wanted[label])
        if len(y):
            grey = to_grey(segmented.source.rows(rows.start, rows.stop)[:, columns])[y, x]
            weights = (None, y + rows.start, x + columns.start, grey)
            for total, weight in zip(sums, weights, strict=True):
                total += np.bincount(label[y, x], weight, len(total))
    area, *means = sums[:, numbers]
    row, column, intensity = (total / area for total in means)
    return {
        "label": numbers,
        "area": area,
        "centroid-0": row,
        "centroid-1": column,
        **{f"bbox-{at}": segmented.boxes[numbers - 1, at] for at in range(4)},
        "eccentricity": np.full(len(numbers), np.nan),
        "intensity_mean": intensity,
    }


def _tiles(segmented: SegmentedImage) -> Iterator[np.ndarray]:
    """Yield the tiles of a label image, from left to right and from the top on, filled with 0."""
    height, width = segmented.shape
    for top in range(0, height, TILE):
        rows = segmented.label(slice(top, min(top + TILE, height)))
        for left in range(0, width, TILE):
            tile = np.zeros((TILE, TILE), np.int32)
            part = rows[:, left : left + TILE]
            tile[: part.shape[0], : part.shape[1]] = part
            yield tile


class ImageResult:
    """A folder that is filled plane by plane and has its name only when it is whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_name(f"{path.name}.{os.getpid()}.part")
        self.labels: tifffile.TiffWriter | None = None
        self.clear()

    def clear(self) -> None:
        """Begin from nothing; what another job left behind that was killed goes as well."""
        if self.labels is not None:
            self.labels.close()
        shutil.rmtree(self.part, ignore_errors=True)
        self.planes: list[dict[str, Any]] = []
        self.objects: list[pd.DataFrame] = []
        self.labels = None
        self.lost = False
        """Whether the disk kept a plane from being read."""
        self.lasting = True
        """Whether it would be the same another time."""

    def refuse(self, plane: Plane) -> None:
        """Note a plane that cannot be measured."""
        self.planes.append(
            {"page": plane.page, "plane": plane.plane, "error": shown_name(plane.error)}
        )
        self.lost |= plane.lost
        self.lasting &= plane.lasting

    def add(self, plane: Plane, source: Rows, model: Model, settings: Measure) -> None:
        """Segment and measure a plane.

        Args:
            plane: what is known of it.
            source: its pixels.
            model: of a segmentation.
            settings: the section `measure` of the config.

        Raises:
            CoverslipError: the plane cannot be read to its end, or is not fit for the model.
        """
        size, _ = pixel_size(plane, settings)
        scratch = self.part / "scratch"
        try:
            segmented = segment_image(
                model,
                source,
                scratch,
                ignore_black_border=settings.ignore_black_border,
                min_area_px=settings.min_area_px,
                overlap=settings.overlap,
                tta=settings.tta,
            )
            objects = measure_objects(segmented, size)
            small = segmented.thumbnail
            drawn = overlay(small.image, small.label, small.mask, small.field)
            self.write_label(plane, segmented, settings)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        self.draw(plane, drawn)
        self.note(plane, segmented, objects, settings)

    def note(
        self, plane: Plane, segmented: SegmentedImage, objects: pd.DataFrame, settings: Measure
    ) -> None:
        """Keep the numbers of a plane.

        Args:
            plane: what was measured.
            segmented: its objects.
            objects: their table, see `object_table`.
            settings: the section `measure` of the config.
        """
        size, origin = pixel_size(plane, settings)
        objects.insert(0, "page", plane.page)
        height, width, channels = segmented.source.shape
        notes = [plane.note]
        if size is None and plane.pixel_um is not None:
            notes.append(UNLIKELY.format(*plane.pixel_um))
        if not segmented.fov.everything:
            notes.append(PADDED)
        self.planes.append(
            {
                "page": plane.page,
                "plane": plane.plane,
                "time": plane.time,
                "time_unit": plane.time_unit or None,
                "height_px": height,
                "width_px": width,
                "channels": channels,
                "bit_depth": 8 * segmented.source.dtype.itemsize,
                "pixel_height_um": size and size[0],
                "pixel_width_um": size and size[1],
                "pixel_size_from": origin or None,
                **summary(segmented.foreground_px, segmented.fov.area, objects, size),
                "note": "; ".join(note for note in notes if note) or None,
            }
        )
        self.objects.append(objects)

    def draw(self, plane: Plane, drawn: np.ndarray) -> None:
        """Keep the overlay of a plane, uint8 HxWx3."""
        name = overlay_name(plane.page, plane.plane)
        (self.part / name).write_bytes(encoded(drawn))

    def write_label(self, plane: Plane, segmented: SegmentedImage, settings: Measure) -> None:
        """Append a page to the label images: uint16, or uint32 where that is too small.

        Args:
            plane: what was measured.
            segmented: its objects.
            settings: the section `measure` of the config.
        """
        self.part.mkdir(parents=True, exist_ok=True)
        shape, tiled = segmented.shape, len(segmented.grid) > 1
        if self.labels is None:
            large = shape[0] * shape[1] > 2**29 or tiled
            self.labels = tifffile.TiffWriter(self.part / "label.tif", bigtiff=large)
        few = segmented.count <= np.iinfo(np.uint16).max
        kind = np.dtype(np.uint16 if few else np.uint32)
        size, _ = pixel_size(plane, settings)
        data: np.ndarray | Iterator[np.ndarray] = (
            (part.astype(kind) for part in _tiles(segmented))
            if tiled
            else segmented.label(slice(None)).astype(kind)
        )
        self.labels.write(
            data,
            shape=shape if tiled else None,
            dtype=kind if tiled else None,
            tile=(TILE, TILE) if tiled else None,
            photometric="minisblack",
            compression="zlib",
            compressionargs={"level": 1},
            predictor=False,
            software="coverslip",
            description=f"page {plane.page}",
            metadata=None,
            resolution=None if size is None else (1e4 / size[1], 1e4 / size[0]),
            resolutionunit="CENTIMETER" if size else None,
        )

    def close(self) -> None:
        """Give the folder its name; an equal one that another job made stays."""
        self.part.mkdir(parents=True, exist_ok=True)
        if self.labels is not None:
            self.labels.close()
        empty = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in OBJECTS.items()})
        empty.insert(0, "page", pd.Series(dtype="int64"))
        objects = pd.concat(self.objects) if self.objects else empty
        objects.to_csv(self.part / "objects.csv", index=False)
        planes = sorted(self.planes, key=lambda row: row["page"])
        write_json(self.part / "record.json", {"planes": planes})
        for file in self.part.iterdir():
            file.chmod(0o444)  # results are second names of these files: nobody edits them
        try:
            self.part.rename(self.path)
        except OSError:
            if not (self.path / "record.json").is_file():
                raise
            shutil.rmtree(self.part)
