"""Planes of a file as the section `measure` of the config asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.config.sections import Measure
from coverslip.data.readers import read_planes
from coverslip.data.readers.planes import Plane, failed
from coverslip.imaging.field_of_view import FieldOfView
from coverslip.imaging.flatfield import correct_light
from coverslip.imaging.rows import Rows, Whole


def measured_planes(path: Path, settings: Measure) -> Iterator[Plane]:
    """Yield the planes of a file, with the chosen channel and depths, and even light if wanted."""
    for plane in read_planes(path, settings.channel, settings.largest_whole, settings.z):
        if settings.flatfield and not plane.error:
            try:
                plane = _with_even_light(plane, settings.ignore_black_border)
            except Exception as error:  # a large plane is read for the first time
                plane = failed(error, plane.page, plane.plane)
        yield plane


def _with_even_light(plane: Plane, ignore_black_border: bool) -> Plane:
    """Return a plane, the image and each of its channels, with the background divided out."""

    def as_rows(pixels: np.ndarray | Rows) -> Rows:
        if isinstance(pixels, np.ndarray):
            return Whole(np.atleast_3d(pixels))
        return pixels

    def even(pixels: np.ndarray | Rows) -> Any:
        found = correct_light(as_rows(pixels), field.window)
        if isinstance(pixels, np.ndarray):
            return found.rows(0, found.shape[0]).reshape(pixels.shape)
        return found

    source = plane.rows if plane.image is None else plane.image
    if source is None:
        return plane
    field = FieldOfView(as_rows(source), ignore_black_border)
    channels = {name: even(pixels) for name, pixels in plane.channels.items()}
    which = "rows" if plane.image is None else "image"
    return replace(plane, channels=channels, **{which: even(source)})
