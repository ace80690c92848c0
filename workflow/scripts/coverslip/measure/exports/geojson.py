"""Objects as GeoJSON (RFC 7946) with the properties that QuPath reads.

QuPath: File > Import objects from file; its coordinates are pixels of the image at full size.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from coverslip.files import atomic_write
from coverslip.imaging import palette
from coverslip.imaging.label_polygons import Polygon, Ring
from coverslip.measure.exports.place import stack_place

COLORS = (*palette.SERIES, palette.YELLOW)

NO_MEASUREMENTS = ("image", "page", "label", "class")


def label_features(
    polygons: Mapping[int, list[Polygon]],
    objects: pd.DataFrame,
    plane: str = "",
    object_type: str = "detection",
    classification: str = "",
) -> Iterator[dict[str, Any]]:
    """Yield one GeoJSON feature per object.

    Args:
        polygons: see `imaging.label_polygons`.
        objects: the table of objects; its numbers are the measurements, its column `class`, if
            there is one, the classification.
        plane: where the image is in the file, as `t1 z2`; empty in files of one image.
        object_type: `detection` or `annotation` in QuPath.
        classification: class of all objects where the table has no column `class`.
    """
    time, depth = stack_place(plane)
    numbers = objects.select_dtypes(include=["number", "bool"]).astype(float)
    names = [name for name in numbers if name not in NO_MEASUREMENTS]
    values = numbers[names].to_numpy()
    labels = objects["label"].tolist()
    classes = objects["class"].fillna("").tolist() if "class" in objects else None
    for at, label in enumerate(labels):
        finite = np.flatnonzero(np.isfinite(values[at]))
        properties: dict[str, Any] = {
            "objectType": object_type,
            "name": str(label),
            "measurements": {names[column]: float(values[at, column]) for column in finite},
        }
        if chosen := (classes[at] if classes else classification):
            properties["classification"] = {"name": chosen, "color": class_color(chosen)}
        geometry = _geometry(polygons[label])
        if plane:
            geometry["plane"] = {"c": -1, "z": (depth or 1) - 1, "t": (time or 1) - 1}
        yield {"type": "Feature", "geometry": geometry, "properties": properties}


def class_color(name: str) -> list[int]:
    """Return the colour of a class as RGB, 0 to 255: the same one for the same name."""
    return palette.paint(COLORS[zlib.crc32(name.encode()) % len(COLORS)]).tolist()


def _geometry(pieces: list[Polygon]) -> dict[str, Any]:
    rings = [[_closed(ring) for ring in piece] for piece in pieces]
    if len(rings) == 1:
        return {"type": "Polygon", "coordinates": rings[0]}
    return {"type": "MultiPolygon", "coordinates": rings}


def _closed(ring: Ring) -> list[list[int]]:
    points = ring.tolist()
    return [*points, points[0]]


def feature_line(feature: Mapping[str, Any]) -> str:
    """Return a feature as text, which takes a sixth of its memory."""
    return json.dumps(feature, ensure_ascii=False, allow_nan=False)


def write_geojson(path: Path, features: Iterable[Mapping[str, Any] | str]) -> None:
    """Write features, or their lines, as a FeatureCollection, one feature a line."""
    with atomic_write(path) as part, part.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for at, feature in enumerate(features):
            text = feature if isinstance(feature, str) else feature_line(feature)
            file.write((",\n" if at else "\n") + text)
        file.write("\n]}\n")
