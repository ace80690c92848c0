"""What was found in one file: rows, objects, label maps and overlays, kept for later runs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile

from coverslip.configuration.config import Measure
from coverslip.data.label_maps import drop_small
from coverslip.job import write_json
from coverslip.measuring.measure_objects import OBJECTS, object_table, summary
from coverslip.measuring.measure_overlay import encoded, overlay
from coverslip.measuring.measure_pictures import Plane

BLACK = "black everywhere: no field of view"
PADDED = "black surroundings do not count"


def overlay_name(picture: str, page: int, plane: str) -> str:
    """Name of the overlay of a plane: with its page, where a file has several."""
    return f"{picture}.page{page}.overlay.png" if plane else f"{picture}.overlay.png"


class Entry:
    """A folder that is filled plane by plane and has its name only when it is whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_name(f"{path.name}.{os.getpid()}.part")
        shutil.rmtree(self.part, ignore_errors=True)  # of a job that was killed
        self.planes: list[dict[str, Any]] = []
        self.objects: list[pd.DataFrame] = []
        self.labels: tifffile.TiffWriter | None = None
        self.expected = 0
        self.added = 0
        self.whole = False
        """Whether all planes of the file were read."""

    @property
    def finished(self) -> bool:
        """Whether every plane of the file is in it."""
        return self.whole and self.added == self.expected

    def refuse(self, plane: Plane) -> None:
        """Note a plane that cannot be measured."""
        self.planes.append({"page": plane.page, "plane": plane.plane, "error": plane.error})

    def add(
        self,
        plane: Plane,
        field: np.ndarray,
        mask: np.ndarray,
        label: np.ndarray,
        settings: Measure,
    ) -> None:
        """Measure a plane.

        Args:
            plane: with its image.
            field: bool HxW, the field of view.
            mask: bool HxW, what the model takes for foreground.
            label: int32 HxW, its objects.
            settings: the section `measure` of the config.
        """
        image = plane.image
        mask = mask & field
        label = drop_small(np.where(field, label, 0), settings.minimum_area)
        size, source = plane.pixel_um, "file" if plane.pixel_um else ""
        if settings.pixel_size_um is not None:
            size, source = (settings.pixel_size_um, settings.pixel_size_um), "config"
        objects = object_table(label, image, size)
        objects.insert(0, "page", plane.page)
        notes = [plane.note]
        if not field.any():
            notes.append(BLACK)
        elif not field.all():
            notes.append(PADDED)
        self.planes.append(
            {
                "page": plane.page,
                "plane": plane.plane,
                "time": plane.time,
                "time_unit": plane.time_unit or None,
                "height_px": image.shape[0],
                "width_px": image.shape[1],
                "channels": image.shape[2],
                "bits": 8 * image.dtype.itemsize,
                "pixel_height_um": size and size[0],
                "pixel_width_um": size and size[1],
                "pixel_size_from": source or None,
                **summary(mask, field, objects, size),
                "note": "; ".join(note for note in notes if note) or None,
            }
        )
        self.objects.append(objects)
        self.part.mkdir(parents=True, exist_ok=True)
        self._write_label(plane.page, label, size)
        drawn = encoded(overlay(image, label, mask, field))
        name = overlay_name("", plane.page, plane.plane)
        (self.part / name.removeprefix(".")).write_bytes(drawn)
        self.added += 1

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

    def _write_label(self, page: int, label: np.ndarray, size: tuple[float, float] | None) -> None:
        """Append a page to the label maps: uint16, or uint32 where that is too small."""
        if self.labels is None:
            self.labels = tifffile.TiffWriter(self.part / "label.tif", bigtiff=label.size > 2**29)
        kind = np.uint16 if label.max(initial=0) <= np.iinfo(np.uint16).max else np.uint32
        resolution = {} if size is None else {"resolution": (1e4 / size[1], 1e4 / size[0])}
        self.labels.write(
            label.astype(kind),
            photometric="minisblack",
            compression="zlib",
            predictor=False,
            software="coverslip",
            description=f"page {page}",
            metadata=None,
            resolutionunit="CENTIMETER" if size else None,
            **resolution,
        )
