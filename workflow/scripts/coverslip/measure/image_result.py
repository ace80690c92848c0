"""What was found in one file: rows, objects, label maps and overlays, kept for later runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile

from coverslip.config.sections import Measure
from coverslip.data.image_folder import tiff_resolution
from coverslip.data.readers.planes import SIZES_UM, Plane
from coverslip.files import write_json
from coverslip.imaging.overlay import draw_clusters, draw_objects, encoded, plain_image
from coverslip.imaging.rows import Rows
from coverslip.imaging.scale_bar import draw_scale_bar, scale_bar_um
from coverslip.measure.block_objects import measure_objects, measure_quality
from coverslip.measure.blocks import SegmentedImage, segment_image
from coverslip.measure.exports.geojson import feature_line, label_features, write_geojson
from coverslip.measure.exports.imagej import label_rois, write_rois
from coverslip.measure.exports.ome_zarr import write_label_zarr
from coverslip.measure.input_folder import printable_name
from coverslip.measure.regionprops import BASIC, summary
from coverslip.models.model import Model

UNLIKELY = "the file states pixels of {:g} x {:g} µm, which are not believed"

TILE = 512
"""Height and width of the tiles of a label image of several blocks."""

PADDED = "black surroundings do not count"


def image_name(overlay: str) -> str:
    """Return the name of the image without contours that goes with an overlay."""
    return overlay.removesuffix("overlay.png") + "image.jpg"


def clusters_name(overlay: str) -> str:
    """Return the name of the clusters of an image that go with an overlay."""
    return overlay.removesuffix("overlay.png") + "clusters.png"


def overlay_name(page: int, plane: str) -> str:
    """What the overlay of a plane is called after: its page, where a file has several."""
    return f"page{page}.overlay.png" if plane else "overlay.png"


def pixel_size(plane: Plane, settings: Measure) -> tuple[tuple[float, float] | None, str]:
    """Return the height and width of a pixel in µm, if known, and its source: `config`, `file`."""
    if settings.pixel_size_um is not None:
        return (settings.pixel_size_um, settings.pixel_size_um), "config"
    if plane.pixel_um is None or not all(SIZES_UM[0] <= s <= SIZES_UM[1] for s in plane.pixel_um):
        return None, ""
    return plane.pixel_um, "file"


def plane_row(
    plane: Plane,
    segmented: SegmentedImage,
    objects: pd.DataFrame,
    settings: Measure,
    quality: Mapping[str, float | None],
) -> dict[str, Any]:
    """Return the columns of a plane in the table of images, see `tables.SHARD_COLUMNS`."""
    size, origin = pixel_size(plane, settings)
    height, width, channels = segmented.source.shape
    found = segmented.clusters
    notes = [plane.note]
    if size is None and plane.pixel_um is not None:
        notes.append(UNLIKELY.format(*plane.pixel_um))
    if not segmented.fov.everything:
        notes.append(PADDED)
    return {
        "page": plane.page,
        "plane": plane.plane,
        "time": plane.time,
        "time_unit": plane.time_unit or None,
        "height_px": height,
        "width_px": width,
        "channel": plane.channel or None,
        "channels": channels,
        "bit_depth": 8 * segmented.source.dtype.itemsize,
        "pixel_height_um": size and size[0],
        "pixel_width_um": size and size[1],
        "pixel_size_from": origin or None,
        **summary(segmented.foreground_px, segmented.fov.area, objects, size),
        "n_clusters": found and found.number,
        "foreground_clusters": found and " ".join(map(str, found.foreground)),
        **quality,
        "note": "; ".join(filter(None, notes)) or None,
    }


def _tiles(segmented: SegmentedImage, kind: np.dtype) -> Iterator[np.ndarray]:
    """Yield the tiles of a label image, from left to right and from the top on, filled with 0."""
    height, width = segmented.shape
    for top in range(0, height, TILE):
        rows = segmented.label(slice(top, min(top + TILE, height))).astype(kind)
        rows = np.pad(rows, ((0, TILE - len(rows)), (0, -width % TILE)))
        yield from np.split(rows, rows.shape[1] // TILE, axis=1)


class ImageResult:
    """A folder that is filled plane by plane and has its name only when it is whole."""

    def __init__(self, path: Path, classifier: Model | None = None, zarr: bool = False) -> None:
        self.path = path
        self.zarr = zarr
        """Whether label images are written as OME-Zarr, too."""
        self.classifier = classifier
        """Model that classifies the objects, if there is one."""
        self.part = path.with_name(f"{path.name}.{os.getpid()}.part")
        self.labels: tifffile.TiffWriter | None = None
        self.clear()

    def clear(self) -> None:
        """Begin from nothing; what another job left behind that was killed goes as well."""
        if self.labels is not None:
            with suppress(OSError):  # of a full disk; the file is removed
                self.labels.close()
        shutil.rmtree(self.part, ignore_errors=True)
        self.planes: list[dict[str, Any]] = []
        self.objects: list[pd.DataFrame] = []
        self.rois: list[Any] | None = None
        self.geojson: list[str] | None = None
        self.labels = None
        self.lost = False
        """Whether the disk kept a plane from being read."""
        self.lasting = True
        """Whether it would be the same another time."""

    def refuse(self, plane: Plane) -> None:
        """Note a plane that cannot be measured."""
        error = printable_name(plane.error)
        self.planes.append({"page": plane.page, "plane": plane.plane, "error": error})
        self.lost |= plane.lost
        self.lasting &= plane.lasting

    def add(self, plane: Plane, source: Rows, model: Model, settings: Measure) -> None:
        """Segment and measure a plane; raise a CoverslipError where it or the model is not fit.

        Args:
            plane: what is known of it.
            source: its pixels.
            model: of a segmentation.
            settings: the section `measure` of the config.
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
            objects, polygons = measure_objects(
                segmented, plane, model, settings, size, self.classifier
            )
            quality = measure_quality(segmented, model.info.get("training_statistics"))
            small = segmented.thumbnail
            plain = plain_image(small.image, small.field)
            drawn = draw_objects(plain, small.label, small.mask)
            if size is not None:
                width_um = size[1] * segmented.source.shape[1]
                for shown in (plain, drawn):
                    draw_scale_bar(shown, scale_bar_um(width_um) / width_um)
            self.write_label(plane, segmented, settings)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        overlay = overlay_name(plane.page, plane.plane)
        (self.part / overlay).write_bytes(encoded(drawn))
        (self.part / image_name(overlay)).write_bytes(encoded(plain, ".jpg"))
        if segmented.clusters is not None:
            colored = draw_clusters(segmented.clusters.label, small.field)
            (self.part / clusters_name(overlay)).write_bytes(encoded(colored))
        if "roi" in settings.export:
            self.rois = (self.rois or []) + label_rois(polygons, plane.page, plane.plane)
        if "geojson" in settings.export:
            with_polygon = objects[objects["label"].isin(polygons.keys())]
            features = label_features(polygons, with_polygon, plane.plane)
            self.geojson = [*(self.geojson or []), *map(feature_line, features)]
        objects.insert(0, "page", plane.page)
        self.objects.append(objects)
        self.planes.append(plane_row(plane, segmented, objects, settings, quality))

    def write_label(self, plane: Plane, segmented: SegmentedImage, settings: Measure) -> None:
        """Append a page to the label images: uint16, or uint32 where that is too small."""
        self.part.mkdir(parents=True, exist_ok=True)
        shape, tiled = segmented.shape, len(segmented.grid) > 1
        if self.labels is None:
            large = shape[0] * shape[1] > 2**29 or tiled
            self.labels = tifffile.TiffWriter(self.part / "label.tif", bigtiff=large)
        few = segmented.count <= np.iinfo(np.uint16).max
        kind = np.dtype(np.uint16 if few else np.uint32)
        size, _ = pixel_size(plane, settings)
        if self.zarr:
            name = f"page{plane.page}.label.zarr" if plane.plane else "label.zarr"
            write_label_zarr(self.part / name, segmented.label, shape, kind, size)
        data: np.ndarray | Iterator[np.ndarray] = (
            _tiles(segmented, kind) if tiled else segmented.label(slice(None)).astype(kind)
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
            **tiff_resolution(size),
        )

    def close(self) -> None:
        """Give the folder its name; an equal one that another job made stays."""
        self.part.mkdir(parents=True, exist_ok=True)
        if self.labels is not None:
            self.labels.close()
        empty = pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in BASIC.items()})
        empty.insert(0, "page", pd.Series(dtype="int64"))
        objects = pd.concat(self.objects) if self.objects else empty
        objects.to_csv(self.part / "objects.csv", index=False)
        if self.rois is not None:
            write_rois(self.part / "roi.zip", self.rois)
        if self.geojson is not None:
            write_geojson(self.part / "geojson", self.geojson)
        planes = sorted(self.planes, key=lambda row: row["page"])
        write_json(self.part / "record.json", {"planes": planes})
        for file in self.part.rglob("*"):
            if file.is_file():
                file.chmod(0o444)  # results are second names of these files: nobody edits them
        try:
            self.part.rename(self.path)
        except OSError:
            if not (self.path / "record.json").is_file():
                raise
            shutil.rmtree(self.part)
