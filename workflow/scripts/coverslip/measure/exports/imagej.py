"""Objects as ImageJ ROIs: a zip for the ROI manager of ImageJ and Fiji.

The format is that of `ij.io.RoiEncoder`, written by the package `roifile`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from roifile import ROI_TYPE, ImagejRoi

from coverslip.files import atomic_write
from coverslip.imaging.label_polygons import Polygon
from coverslip.measure.exports.place import stack_place

EARLIEST = (1980, 1, 1, 0, 0, 0)
"""Time of the members of the zip: equal objects give equal bytes."""

MOVE, LINE, CLOSE = 0, 1, 4
"""Segments of a path, as of `java.awt.geom.PathIterator`."""


def label_rois(
    polygons: Mapping[int, list[Polygon]], page: int = 1, plane: str = ""
) -> list[ImagejRoi]:
    """Return one ROI per object, named by page and number.

    An object of one piece without holes is a traced polygon, any other a composite of its rings.

    Args:
        polygons: see `imaging.label_polygons`.
        page: number of the image in its file, from 1.
        plane: where the image is in the file, as `t1 z2`; empty in files of one image.
    """
    time, depth = stack_place(plane)
    rois = []
    for number, pieces in polygons.items():
        rings = [ring for piece in pieces for ring in piece]
        corners = np.concatenate(rings)
        roi = ImagejRoi.frompoints(rings[0])
        roi.roitype = ROI_TYPE.TRACED
        if len(rings) > 1:
            roi = ImagejRoi()
            roi.roitype = ROI_TYPE.RECT
            roi.left, roi.top = corners.min(axis=0).tolist()
            roi.right, roi.bottom = corners.max(axis=0).tolist()
            roi.multi_coordinates = _path(rings)
            roi.shape_roi_size = len(roi.multi_coordinates)
        roi.name = f"{page:04d}-{number:05d}" if plane else f"{number:05d}"
        if time is not None or depth is not None:
            roi.t_position, roi.z_position = time or 1, depth or 1
        elif plane:
            roi.position = page
        rois.append(roi)
    return rois


def _path(rings: Iterable[np.ndarray]) -> np.ndarray:
    values: list[float] = []
    for ring in rings:
        for at, (x, y) in enumerate(ring.tolist()):
            values += [LINE if at else MOVE, x, y]
        values.append(CLOSE)
    return np.array(values, np.float32)


def write_rois(path: Path, rois: Iterable[ImagejRoi]) -> None:
    """Write ROIs as a zip that ImageJ's ROI manager opens."""
    with atomic_write(path) as part, zipfile.ZipFile(part, "w") as file:
        for roi in rois:
            file.writestr(zipfile.ZipInfo(f"{roi.name}.roi", EARLIEST), roi.tobytes())
