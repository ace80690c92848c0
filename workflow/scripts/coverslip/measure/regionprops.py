"""Objects and their numbers, from an image and what a model says of its pixels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from skimage.measure import regionprops_table

from coverslip.imaging.intensity import to_grey
from coverslip.measure.interval import Blocks

DIGITS = 4
"""Decimals of numbers in tables."""

PROPERTIES = ("label", "area", "centroid", "bbox", "eccentricity", "intensity_mean")

OBJECTS = {
    "label": "int64",
    "area_px": "int64",
    "area_um2": "float64",
    "centroid_y_px": "float64",
    "centroid_x_px": "float64",
    "centroid_y_um": "float64",
    "centroid_x_um": "float64",
    "bbox_min_row": "int64",
    "bbox_min_col": "int64",
    "bbox_max_row": "int64",
    "bbox_max_col": "int64",
    "top_um": "float64",
    "left_um": "float64",
    "bottom_um": "float64",
    "right_um": "float64",
    "eccentricity": "float64",
    "mean_intensity": "float64",
    "touches_border": "bool",
}
"""Columns of the table of objects, with their types; see `docs/output.md`."""


def object_table(
    label: np.ndarray, image: np.ndarray, pixel_um: tuple[float, float] | None
) -> pd.DataFrame:
    """One row an object, with the columns `OBJECTS`.

    Areas are in pixels and square micrometres; centroids (y down, x right, from the middle of the
    first pixel) and bounding boxes (bottom and right are the first row and column beyond) in pixels
    and micrometres; eccentricity is that of the ellipse with the same second moments, 0 for a
    circle, below 1; the intensity is the mean of the grey values as stored. Micrometres are empty
    where the size of a pixel is not known.

    Args:
        label: int32 HxW as `Model.objects` gives it.
        image: uint8 or uint16, HxWxC.
        pixel_um: height and width of a pixel in micrometres.
    """
    found = regionprops_table(label, to_grey(image), properties=PROPERTIES)
    return table_of(found, label.shape, pixel_um)


def table_of(
    found: Mapping[str, np.ndarray],
    shape: tuple[int, int],
    pixel_um: tuple[float, float] | None,
) -> pd.DataFrame:
    """The table of objects, see `object_table`, from their `PROPERTIES`.

    Args:
        found: as `regionprops_table` names them.
        shape: height and width of the image.
        pixel_um: height and width of a pixel in micrometres.
    """
    height, width = pixel_um or (np.nan, np.nan)
    top, left, bottom, right = (found[f"bbox-{at}"] for at in range(4))
    y, x = found["centroid-0"], found["centroid-1"]
    touches_border = (top == 0) | (left == 0)
    touches_border |= (bottom == shape[0]) | (right == shape[1])
    table = pd.DataFrame(
        {
            "label": found["label"],
            "area_px": found["area"],
            "area_um2": found["area"] * (height * width),
            "centroid_y_px": y,
            "centroid_x_px": x,
            "centroid_y_um": y * height,
            "centroid_x_um": x * width,
            "bbox_min_row": top,
            "bbox_min_col": left,
            "bbox_max_row": bottom,
            "bbox_max_col": right,
            "top_um": top * height,
            "left_um": left * width,
            "bottom_um": bottom * height,
            "right_um": right * width,
            "eccentricity": found["eccentricity"],
            "mean_intensity": found["intensity_mean"],
            "touches_border": touches_border,
        }
    )
    return table.astype(OBJECTS).round(DIGITS)


def summary(
    blocks: Blocks,
    objects: pd.DataFrame,
    pixel_um: tuple[float, float] | None,
) -> dict[str, float | int | None]:
    """The numbers of one image; none where they are not defined.

    Confluency is the share of the field of view that is foreground, in percent, small objects
    included, with its interval (see `measure_interval`); means and the median are over the objects
    counted.

    Args:
        blocks: foreground and field of view, counted.
        objects: see `object_table`.
        pixel_um: height and width of a pixel in micrometres.
    """
    valid, foreground, count = blocks.field, blocks.foreground, len(objects)
    low, high = blocks.interval() or (None, None)
    square = None if pixel_um is None else pixel_um[0] * pixel_um[1]
    numbers: dict[str, float | int | None] = {
        "fov_area_px": valid,
        "valid_area_um2": None if square is None else valid * square,
        "foreground_px": foreground,
        "foreground_um2": None if square is None else foreground * square,
        "confluency_percent": 100 * foreground / valid if valid else None,
        "confluency_low_percent": low,
        "confluency_high_percent": high,
        "n_objects": count,
        "objects_per_mm2": count / (valid * square) * 1e6 if square and valid else None,
        "mean_area_px": objects["area_px"].mean() if count else None,
        "mean_area_um2": objects["area_px"].mean() * square if count and square else None,
        "median_area_px": objects["area_px"].median() if count else None,
        "median_area_um2": objects["area_px"].median() * square if count and square else None,
        "mean_eccentricity": objects["eccentricity"].mean() if count else None,
        "mean_intensity": objects["mean_intensity"].mean() if count else None,
    }
    return {
        key: round(float(value), DIGITS) if isinstance(value, float) else value
        for key, value in numbers.items()
    }
