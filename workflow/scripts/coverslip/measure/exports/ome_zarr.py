"""A label image as OME-Zarr 0.5, as napari and other readers of NGFF open it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

CHUNK = 512
"""Height and width of a chunk."""


def write_label_zarr(
    path: Path,
    label: Callable[[slice], np.ndarray],
    shape: tuple[int, int],
    dtype: np.dtype,
    pixel_um: tuple[float, float] | None,
) -> None:
    """Write a label image of one resolution, row of chunks by row of chunks.

    Args:
        path: the folder.
        label: from some rows to their labels, HxW.
        shape: height and width.
        dtype: type of its pixels.
        pixel_um: height and width of a pixel in micrometres, if known.
    """
    import zarr  # half a second, and only images of Zarr need it

    unit = {} if pixel_um is None else {"unit": "micrometer"}
    scale = {"type": "scale", "scale": [float(side) for side in pixel_um or (1.0, 1.0)]}
    scales = {
        "axes": [{"name": axis, "type": "space", **unit} for axis in "yx"],
        "datasets": [{"path": "0", "coordinateTransformations": [scale]}],
    }
    facts = {"version": "0.5", "multiscales": [scales], "image-label": {"version": "0.5"}}
    group = zarr.create_group(path, zarr_format=3, attributes={"ome": facts})
    array = group.create_array(
        "0", shape=shape, dtype=dtype, chunks=(CHUNK, CHUNK), dimension_names=("y", "x")
    )
    for top in range(0, shape[0], CHUNK):
        array[top : top + CHUNK] = label(slice(top, min(top + CHUNK, shape[0]))).astype(dtype)
