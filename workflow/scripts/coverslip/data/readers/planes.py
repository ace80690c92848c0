"""One image of a file: a page, a time, a depth, a position; and what keeps it from being one."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from coverslip.errors import CoverslipError
from coverslip.imaging.rows import Rows
from coverslip.runtime.oom import OutOfMemory, is_out_of_memory

LARGEST_SIDE = 1_000_000

LARGEST = 20_000_000_000
"""Longest side and most pixels of an image that is read by rows: a header that states more is
mistaken or hostile."""

MOST_PLANES = 100_000
"""Most planes of a file."""

SIZES_UM = (1e-3, 1e5)
"""Smallest and largest height or width of a pixel that is believed."""


@dataclass(frozen=True)
class Plane:
    """One image of a file."""

    page: int
    """Number in the file, from 1."""
    image: np.ndarray | None = None
    """uint8 or uint16, HxWxC with C 1 (grey) or 3 (RGB); none where it cannot be measured, or is
    large."""
    rows: Rows | None = None
    """The same of a large image, to be read row by row while the file is open."""
    channels: Mapping[str, np.ndarray | Rows] = field(default_factory=dict)
    """All channels of this place in the file by name (`ch0`, `ch1` where several have no names;
    `red`, `green`, `blue` of colours): uint8 or uint16 HxW, or `Rows` of HxWx1 where `rows` is.
    Empty where there is one channel without a name."""
    channel: str = ""
    """Name of the channel that `image` or `rows` is; empty for colours."""
    error: str = ""
    """Why there is no image."""
    note: str = ""
    """What was left out or assumed."""
    plane: str = ""
    """Its place in the file, as `t1 z2`; empty in files of one image."""
    pixel_um: tuple[float, float] | None = None
    """Height and width of a pixel in micrometres, if the file says."""
    time: float | None = None
    """Time from the metadata, if the file has a time axis."""
    time_unit: str = ""
    """`h`, or `frame` where the file has no interval."""
    lost: bool = False
    """Whether the disk is why there is no image, which says nothing about the file."""
    lasting: bool = True
    """Whether the reason will be the same another time: memory may not."""


def failed(error: BaseException, page: int, plane: str = "", doing: str = "decoded") -> Plane:
    """A plane that an exception kept from being read or measured.

    Args:
        error: the exception.
        page, plane: see `Plane`.
        doing: what could not be done.
    """
    if isinstance(error, OutOfMemory) or is_out_of_memory(error):
        why = f"takes more memory than there is ({words(error)}): cut it into smaller ones"
        return Plane(page, plane=plane, error=why, lasting=False)
    if isinstance(error, CoverslipError):
        return Plane(page, plane=plane, error=plain(" ".join(str(error).split())))
    lost = isinstance(error, OSError) and error.errno not in (None, errno.EINVAL)
    if lost and isinstance(error, OSError):
        return Plane(page, plane=plane, error=f"cannot be read ({error.strerror})", lost=True)
    return Plane(page, plane=plane, error=f"cannot be {doing} ({words(error)})")


def check_size(height: int, width: int) -> None:
    """Raise a CoverslipError where an image is said to be larger than any is."""
    if max(height, width) > LARGEST_SIDE or height * width > LARGEST:
        raise CoverslipError(
            f"its header states {height}x{width} pixels, more than {LARGEST_SIDE:,} a side or "
            f"{LARGEST:,} in all: it is damaged, or has to be cut into smaller ones"
        )


def check_planes(count: float) -> None:
    """Raise a CoverslipError where a file is said to hold more planes than any does."""
    if count > MOST_PLANES:
        raise CoverslipError(
            f"its header states {count:,.0f} planes, more than {MOST_PLANES:,}: it is damaged, or "
            "has to be cut into smaller ones"
        )


def check_pixels(height: int, width: int, pixels: int) -> None:
    """Raise a CoverslipError where a header states more pixels than are allowed."""
    if height * width > pixels:
        raise CoverslipError(
            f"an image of {height}x{width} pixels, more than {pixels / 1e6:g} million: cut it "
            "into smaller ones, or raise `limits.megapixels` of its source"
        )


def words(error: BaseException) -> str:
    """What an exception says, in one line, without addresses in memory."""
    return plain(" ".join(str(error).split()) or type(error).__name__)[:200]


def plain(message: str) -> str:
    """A message without the address of an object in memory, and without a key of archives."""
    message = message.replace(", or raise `limits.megapixels` of its source", "")
    return re.sub(r"cannot identify image file (<[^>]*>|'.*')", "no image is in it", message)
