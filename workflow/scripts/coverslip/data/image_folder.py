"""Images of a store as a folder of TIFF files, for programs that know nothing of coverslip."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from coverslip.data.image_store import ImageStore


def write_image_folder(
    store: Path,
    ids: Iterable[str],
    images: Path,
    labels: Path | None = None,
    pixel_size_um: float | None = None,
) -> int:
    """Write images of a store as `<id>.tif`; return how many.

    Args:
        store: the HDF5 file.
        ids: which images.
        images: folder to write: HxW where an image has one channel, HxWxC in RGB else; uint8 or
            uint16, as in the store.
        labels: folder of the label images, uint16 or uint32; none: without them.
        pixel_size_um: written as the resolution of the images.

    Raises:
        CoverslipError: the store cannot be read, or lacks an image.
    """
    for folder in filter(None, (images, labels)):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    count = 0
    with ImageStore(store) as opened:
        for id in ids:
            write_image(images / f"{id}.tif", opened.image(id), pixel_size_um)
            if labels is not None:
                label = opened.label(id)
                kind = np.uint16 if label.max(initial=0) <= np.iinfo(np.uint16).max else np.uint32
                tifffile.imwrite(labels / f"{id}.tif", label.astype(kind), compression="zlib")
            count += 1
    return count


def write_image(path: Path, image: np.ndarray, pixel_size_um: float | None = None) -> None:
    """Write an image as a TIFF file: HxW where it has one channel, else HxWxC in RGB.

    Its resolution is written where the pixel size is known.
    """
    size = None if pixel_size_um is None else (pixel_size_um, pixel_size_um)
    one = image.ndim == 2 or image.shape[-1] == 1
    tifffile.imwrite(
        path,
        image.reshape(image.shape[:2]) if one else image,
        photometric="minisblack" if one else "rgb",
        **tiff_resolution(size),
    )


def tiff_resolution(pixel_um: tuple[float, float] | None) -> dict[str, Any]:
    """Return the arguments of `tifffile` for a pixel of this height and width in micrometres."""
    if pixel_um is None:
        return {"resolution": None, "resolutionunit": None}
    return {"resolution": (1e4 / pixel_um[1], 1e4 / pixel_um[0]), "resolutionunit": "CENTIMETER"}
