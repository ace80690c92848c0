"""What was found in one file: rows, objects, label maps and overlays, kept for later runs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import tifffile

from coverslip.config.sections import Measure
from coverslip.data.readers.planes import SIZES_UM, Plane
from coverslip.files import write_json
from coverslip.imaging.labels import drop_small
from coverslip.measure.classes import classify_objects
from coverslip.measure.exports.geojson import label_features, write_geojson
from coverslip.measure.exports.imagej import label_rois, write_rois
from coverslip.measure.exports.polygons import label_polygons
from coverslip.measure.image_qc import image_quality
from coverslip.measure.input_folder import shown_name
from coverslip.measure.interval import Blocks, blocks_of
from coverslip.measure.overlay import encoded, overlay
from coverslip.measure.regionprops import BASIC, object_table, summary
from coverslip.models.model import Model

UNLIKELY = "the file states pixels of {:g} x {:g} µm, which are not believed"

PADDED = "black surroundings do not count"


def image_name(overlay: str) -> str:
    """Return the name of the image without contours that goes with an overlay."""
    return overlay.removesuffix("overlay.png") + "image.jpg"


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


def _arrays(plane: Plane) -> dict[str, np.ndarray]:
    """Return the channels of a plane that are in memory, HxW by name."""
    channels = plane.channels.items()
    return {name: values for name, values in channels if isinstance(values, np.ndarray)}


def _first_values(label: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return a value in each object, in the order of their numbers 1, 2, ..."""
    numbers, first = np.unique(label, return_index=True)
    return values.ravel()[first[numbers > 0]]


class ImageResult:
    """A folder that is filled plane by plane and has its name only when it is whole."""

    def __init__(self, path: Path, classifier: Model | None = None) -> None:
        self.path = path
        self.classifier = classifier
        """Model that classifies the objects, if there is one."""
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
        self.rois: list[Any] | None = None
        self.geojson: list[dict[str, Any]] | None = None
        self.labels = None
        self.expected = 0
        self.added = 0
        self.whole = False
        """Whether all planes of the file were read."""
        self.lost = False
        """Whether the disk kept a plane from being read."""
        self.lasting = True
        """Whether it would be the same another time."""

    @property
    def finished(self) -> bool:
        """Whether every plane of the file is in it."""
        return self.whole and self.added == self.expected

    def refuse(self, plane: Plane) -> None:
        """Note a plane that cannot be measured."""
        self.planes.append(
            {"page": plane.page, "plane": plane.plane, "error": shown_name(plane.error)}
        )
        self.lost |= plane.lost
        self.lasting &= plane.lasting

    def add(
        self,
        plane: Plane,
        image: np.ndarray,
        field: np.ndarray,
        mask: np.ndarray,
        label: np.ndarray,
        settings: Measure,
        confidence: np.ndarray | None = None,
        training: Mapping[str, Any] | None = None,
    ) -> None:
        """Measure a plane.

        Args:
            plane: what is known of it.
            image: uint8 or uint16, HxWxC.
            field: bool HxW, the field of view.
            mask: bool HxW, what the model takes for foreground.
            label: int32 HxW, its objects.
            settings: the section `measure` of the config.
            confidence: float (objects,), of the objects in the order of their numbers.
            training: `training_statistics` of the model, if it has them.
        """
        whole, label = label, drop_small(np.where(field, label, 0), settings.min_area_px)
        if confidence is not None:
            confidence = confidence[_first_values(label, whole) - 1]
        objects = object_table(
            label,
            image,
            pixel_size(plane, settings)[0],
            channels=_arrays(plane) if len(plane.channels) > 1 else None,
            features=settings.features,
            confidence=confidence,
            field=field,
        )
        if self.classifier is not None:
            objects = classify_objects(self.classifier, image, objects, settings.tta)
        blocks = blocks_of(mask & field, field)
        drawn = overlay(image, label, mask & field, field)
        plain = overlay(image, np.zeros_like(label), np.zeros_like(mask), field)
        self.write_label(plane, label.shape, label, int(label.max(initial=0)), settings)
        self.draw(plane, drawn, plain)
        self.export(plane, label, objects, settings)
        quality = image_quality(image, label, field, training)
        self.note(plane, image.shape, image.dtype, blocks, objects, settings, quality)
        self.added += 1

    def note(
        self,
        plane: Plane,
        shape: Sequence[int],
        dtype: np.dtype,
        blocks: Blocks,
        objects: pd.DataFrame,
        settings: Measure,
        quality: Mapping[str, float | None] | None = None,
    ) -> None:
        """Keep the numbers of a plane.

        Args:
            plane: what was measured.
            shape, dtype: of its image.
            blocks: its foreground and field of view, counted.
            objects: its objects, see `object_table`.
            settings: the section `measure` of the config.
            quality: see `image_quality`.
        """
        size, source = pixel_size(plane, settings)
        objects.insert(0, "page", plane.page)
        notes = [plane.note]
        if size is None and plane.pixel_um is not None:
            notes.append(UNLIKELY.format(*plane.pixel_um))
        if blocks.field < shape[0] * shape[1]:
            notes.append(PADDED)
        self.planes.append(
            {
                "page": plane.page,
                "plane": plane.plane,
                "time": plane.time,
                "time_unit": plane.time_unit or None,
                "height_px": shape[0],
                "width_px": shape[1],
                "channels": shape[2],
                "bit_depth": 8 * dtype.itemsize,
                "pixel_height_um": size and size[0],
                "pixel_width_um": size and size[1],
                "pixel_size_from": source or None,
                **summary(blocks, objects, size),
                **(quality or {}),
                "note": "; ".join(note for note in notes if note) or None,
            }
        )
        self.objects.append(objects)

    def export(
        self, plane: Plane, label: np.ndarray, objects: pd.DataFrame, settings: Measure
    ) -> None:
        """Keep the objects of a plane for other programs, see `Measure.export`.

        Args:
            plane: what was measured.
            label: int32 HxW, its objects.
            objects: their table.
            settings: the section `measure` of the config.
        """
        formats = {"roi", "geojson"} & set(settings.export)
        polygons = label_polygons(label) if formats else {}
        if "roi" in formats:
            self.rois = (self.rois or []) + label_rois(polygons, plane.page, plane.plane)
        if "geojson" in formats:
            self.geojson = (self.geojson or []) + label_features(polygons, objects, plane.plane)

    def draw(self, plane: Plane, drawn: np.ndarray, plain: np.ndarray | None = None) -> None:
        """Keep the overlay of a plane, uint8 HxWx3, and the same without contours."""
        name = overlay_name(plane.page, plane.plane)
        (self.part / name).write_bytes(encoded(drawn))
        if plain is not None:
            _, data = cv2.imencode(".jpg", np.ascontiguousarray(plain[:, :, ::-1]))
            (self.part / image_name(name)).write_bytes(data.tobytes())

    def write_label(
        self,
        plane: Plane,
        shape: tuple[int, int],
        label: np.ndarray | Iterator[np.ndarray],
        largest: int,
        settings: Measure,
        tile: tuple[int, int] | None = None,
    ) -> None:
        """Append a page to the label maps: uint16, or uint32 where that is too small.

        Args:
            plane: what was measured.
            shape: height and width.
            label: int32 HxW, or its tiles from left to right and from the top on.
            largest: the largest number in it.
            settings: the section `measure` of the config.
            tile: height and width of the tiles.
        """
        self.part.mkdir(parents=True, exist_ok=True)
        if self.labels is None:
            large = shape[0] * shape[1] > 2**29 or tile is not None
            self.labels = tifffile.TiffWriter(self.part / "label.tif", bigtiff=large)
        kind = np.dtype(np.uint16 if largest <= np.iinfo(np.uint16).max else np.uint32)
        size, _ = pixel_size(plane, settings)
        data: np.ndarray | Iterator[np.ndarray]
        if isinstance(label, np.ndarray):
            data = label.astype(kind)
        else:
            data = (part.astype(kind) for part in label)
        self.labels.write(
            data,
            shape=None if tile is None else shape,
            dtype=None if tile is None else kind,
            tile=tile,
            photometric="minisblack",
            compression="zlib",
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
        for file in self.part.iterdir():
            file.chmod(0o444)  # results are second names of these files: nobody edits them
        try:
            self.part.rename(self.path)
        except OSError:
            if not (self.path / "record.json").is_file():
                raise
            shutil.rmtree(self.part)
