"""Names of LIVECell's images: `<Line>_Phase_<Well>_<Location>_<Time>_<Crop>.tif`.

Such as `A172_Phase_C7_1_00d00h00m_1.tif`: line A172, well C7, first place in the well, at the
start, first of the four crops of the field. Edlund et al., "LIVECell, a large-scale dataset for
label-free live cell segmentation", Nature Methods 18, 2021.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import NamedTuple

EXAMPLE = "A172_Phase_C7_1_00d00h00m_1.tif"

PATTERN = re.compile(
    r"(?P<line>[^_]+)_Phase_(?P<well>[A-Z]{1,2}\d{1,2})_(?P<location>\d+)"
    r"_(?P<days>\d+)d(?P<hours>\d+)h(?P<minutes>\d+)m_(?P<crop>\d+)"
)


class Name(NamedTuple):
    """Metadata in an image's name."""

    line: str
    """Cell line."""
    well: str
    """Well of the plate."""
    location: int
    """Place in the well."""
    minutes: int
    """Time since the start."""
    crop: int
    """Which part of the field of view."""

    @property
    def group(self) -> str:
        """Line and well: what must not cross a split."""
        return f"{self.line}_{self.well}"


def parse(member: str) -> Name | None:
    """Parse the name of an image, with or without folders; none for other names."""
    match = PATTERN.fullmatch(PurePosixPath(member).stem)
    if match is None:
        return None
    hours = 24 * int(match["days"]) + int(match["hours"])
    return Name(
        match["line"],
        match["well"],
        int(match["location"]),
        60 * hours + int(match["minutes"]),
        int(match["crop"]),
    )
