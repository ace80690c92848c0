"""Measure the objects of a segmented image, window by window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from coverslip.config.sections import Measure
from coverslip.data.readers.planes import Plane
from coverslip.imaging.image_quality import image_quality
from coverslip.imaging.intensity import to_grey
from coverslip.imaging.label_polygons import Polygon, label_polygons
from coverslip.imaging.rows import histogram, percentile
from coverslip.measure.blocks import Block, SegmentedImage, Window
from coverslip.measure.classes import classify_objects
from coverslip.measure.regionprops import BASIC, DIGITS, add_neighbors, object_table, place_columns
from coverslip.models.model import Model


def measure_objects(
    segmented: SegmentedImage,
    plane: Plane,
    model: Model,
    settings: Measure,
    pixel_um: tuple[float, float] | None,
    classifier: Model | None = None,
) -> tuple[pd.DataFrame, dict[int, list[Polygon]]]:
    """Return the table of the objects of an image, and their polygons by number.

    Objects that extend over much more than a block have only the properties that are sums over
    pixels, and no polygons.

    Args:
        segmented: the objects.
        plane: the image, with its channels.
        model: gives the confidence of objects.
        settings: the section `measure` of the config.
        pixel_um: height and width of a pixel in micrometres.
        classifier: model of classes, for the objects.
    """
    levels = _background_levels(segmented, plane) if len(segmented.grid) > 1 else None
    wanted = bool({"roi", "geojson"} & set(settings.export))
    tables: list[pd.DataFrame] = []
    polygons: dict[int, list[Polygon]] = {}
    for window in segmented.windows():
        origin = (window.place.rows.start, window.place.columns.start)
        table = object_table(
            window.label,
            window.image,
            pixel_um,
            channels=channels_of(plane, window.place) if len(plane.channels) > 1 else None,
            features=settings.features,
            confidence=_confidence(model, window),
            field=window.field,
            background=levels,
            origin=origin,
            shape=segmented.shape,
        )
        if classifier is not None:
            table = classify_objects(classifier, window.image, table, settings.tta, origin)
        tables.append(table)
        if wanted:
            polygons |= label_polygons(window.label, origin)
    large = segmented.large_objects()
    if len(large):
        tables.append(_large_objects(segmented, large, pixel_um))
    if len(tables) == 1:
        return tables[0], polygons
    objects = pd.concat(tables).sort_values("label", ignore_index=True)
    return objects if settings.features == "basic" else add_neighbors(objects, pixel_um), polygons


def channels_of(plane: Plane, place: Block) -> dict[str, np.ndarray]:
    """Return a window of each channel of a plane, HxW by name."""
    found = {}
    for name, channel in plane.channels.items():
        if isinstance(channel, np.ndarray):
            found[name] = channel[place.rows, place.columns]
        else:
            rows = channel.rows(place.rows.start, min(place.rows.stop, channel.shape[0]))
            found[name] = rows[:, place.columns, 0]
    return found


def measure_quality(
    segmented: SegmentedImage, training: Mapping[str, Any] | None
) -> dict[str, float | None]:
    """Return the columns `image_quality.QC` of an image: of several blocks, their means."""
    found, areas = [], []
    for block in segmented.grid:
        field = segmented.fov.window(*block)
        pixels = segmented.pixels(block)
        found.append(image_quality(pixels, segmented.label(*block), field, training))
        areas.append(int(field.sum()))
    if len(found) == 1:
        return found[0]
    table = pd.DataFrame(found).astype(float)
    weights = table.notna().mul(areas, axis=0)
    means = (table * weights).sum() / weights.sum()
    return {str(name): None if np.isnan(mean) else float(mean) for name, mean in means.items()}


def _confidence(model: Model, window: Window) -> np.ndarray:
    found = np.bincount(window.label.ravel(), minlength=1) > 0
    found[0] = False
    dense = np.cumsum(found, dtype=np.int32)[window.label] * (window.label > 0)
    return model.object_confidence(window.probability[..., np.newaxis], dense)


def _background_levels(segmented: SegmentedImage, plane: Plane) -> dict[str, float]:
    """Return the median of the pixels of no object, by channel, as `background_level` does."""
    counts: dict[str, Any] = {}
    for block in segmented.grid:
        outside = (segmented.label(*block) == 0) & segmented.fov.window(*block)
        pixels = segmented.pixels(block)
        for name, values in {"": to_grey(pixels), **channels_of(plane, block)}.items():
            counts[name] = counts.get(name, 0) + histogram(values[outside])
    return {name: percentile(c, 50) if c.any() else np.nan for name, c in counts.items()}


def _large_objects(
    segmented: SegmentedImage, numbers: np.ndarray, pixel_um: tuple[float, float] | None
) -> pd.DataFrame:
    """Return the columns `BASIC` of objects of any size, by sums over the blocks."""
    sums = np.zeros((4, segmented.count + 1))
    wanted = np.zeros(segmented.count + 1, bool)
    wanted[numbers] = True
    for block in segmented.grid:
        label = segmented.label(*block)
        y, x = np.nonzero(wanted[label])
        if len(y):
            grey = to_grey(segmented.pixels(block))[y, x]
            weights = (None, y + block.rows.start, x + block.columns.start, grey)
            for total, weight in zip(sums, weights, strict=True):
                total += np.bincount(label[y, x], weight, len(total))
    area, *means = sums[:, numbers]
    row, column, intensity = (total / area for total in means)
    box = segmented.boxes[numbers - 1].T
    place = place_columns(area, (row, column), box, pixel_um, segmented.shape)
    more = {"label": numbers, "eccentricity": np.nan, "mean_intensity": intensity}
    return pd.DataFrame(place | more)[list(BASIC)].astype(BASIC).round(DIGITS)
