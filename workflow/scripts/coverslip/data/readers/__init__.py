"""Reading images of microscopes: one interface for all formats, for datasets and for `measure`.

A file becomes one or more planes (a page, a time, a depth, a position), each with its pixels or
with the reason why it has none; nothing that is in a file raises an exception. Which files are read
and what is taken from their metadata: docs/reference/formats.md.
"""

from __future__ import annotations

import io
import itertools
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from coverslip.data.image_suffixes import HOW_TO_CONVERT, TO_CONVERT, VENDORS
from coverslip.data.readers.bitmaps import bitmap_scene
from coverslip.data.readers.planes import Plane, failed
from coverslip.data.readers.scenes import PIXELS, Selection, scene_planes
from coverslip.data.readers.tiff import tiff_planes
from coverslip.data.readers.vendor import vendor_planes
from coverslip.data.readers.zarr import zarr_planes
from coverslip.errors import CoverslipError

TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_planes(
    path: Path, channel: int | str | None = None, whole: int = PIXELS, z: int | str = "all"
) -> Iterator[Plane]:
    """Read a file plane by plane; in memory is one plane at a time, and the file if it is a bitmap.

    Of a large plane nothing is in memory: it is given as `Plane.rows`, which can be read until the
    next plane is asked for.

    Args:
        path: the file, or the folder of a Zarr.
        channel: where there are several: index from 0, name, or wavelength in nm; none: grey and
            RGB as they are, and an error for others.
        whole: planes of more pixels are large.
        z: which depths: `all`, `max` (maximum projection), `focus` (the sharpest), or a number
            from 1.

    Examples:
        >>> for plane in read_planes(Path("cells.ome.tif"), channel="DAPI", z="max"):
        ...     print(plane.plane, plane.error or plane.image.shape)  # doctest: +SKIP
    """
    page = 0
    try:
        for plane in _planes(Path(path), Selection(channel, z, whole)):
            page = plane.page
            yield plane
    except Exception as error:  # damaged bytes make the libraries raise almost anything
        plane = failed(error, page + 1)
        yield replace(plane, error=plane.error.removeprefix(f"{path.name}: "))


def read_image(
    data: bytes, name: str, pixels: int, channel: int | str | None = None, z: int | str = "all"
) -> Plane:
    """Read the one image of a file in memory.

    Args:
        data: bytes of the file.
        name: its name in messages.
        pixels: the most pixels; a header that states more is rejected unread.
        channel, z: see `read_planes`.

    Returns:
        the plane, with its pixels.

    Raises:
        CoverslipError: damaged, several images, too large, or no such channel.
    """
    selection = Selection(channel, z, whole=2**62, pixels=pixels)
    try:
        planes = list(itertools.islice(_planes_of_bytes(data, name, selection), 2))
    except Exception as error:
        planes = [failed(error, 1)]
    if len(planes) > 1 and not planes[0].error:
        raise CoverslipError(
            f"{name}: holds several images: save each in a file of its own, or set `z`"
        )
    if planes[0].error:
        fix = ": replace it by a whole file" if "cannot be decoded" in planes[0].error else ""
        raise CoverslipError(f"{name}: {planes[0].error}{fix}")
    return planes[0]


def _planes(path: Path, selection: Selection) -> Iterator[Plane]:
    if path.is_dir():
        yield from zarr_planes(path, selection)
        return
    suffix = path.suffix.lower()
    if suffix in TO_CONVERT:
        how = HOW_TO_CONVERT.replace("them", "it", 1)
        raise CoverslipError(f"{suffix[1:].upper()} is not read: {how}")
    with open(path, "rb") as file:
        start = file.read(4)
    if suffix in VENDORS:
        yield from vendor_planes(path, selection)
    elif start in TIFF_STARTS:
        yield from tiff_planes(path, selection)
    else:
        yield from _planes_of_bytes(path.read_bytes(), "", selection)


def _planes_of_bytes(data: bytes, name: str, selection: Selection) -> Iterator[Plane]:
    if not data:
        raise CoverslipError("the file is empty")
    if name.lower().endswith(VENDORS):
        # Their packages read files only.
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"image{PurePosixPath(name).suffix}"
            path.write_bytes(data)
            yield from vendor_planes(path, selection)
        return
    if data[:4] in TIFF_STARTS:
        yield from tiff_planes(io.BytesIO(data), selection)
    else:
        yield from scene_planes(bitmap_scene(data, selection.pixels), selection, itertools.count(1))
