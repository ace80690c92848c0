"""The cell lines of LIVECell, as in the Kaggle archive `sartorius-cell-instance-segmentation`.

    <anything>/livecell_train_val_images/[<line>/]<Line>_Phase_<Well>_<Location>_<Time>_<Crop>.tif
    <anything>/livecell_test_images/[<line>/]<...>.tif

The class is the folder below, so that the classes are those that are found (the Kaggle copy has a
line that the public release lacks); without such folders it is the line in the file's name. The
group is line and well. Of the Kaggle archive nothing else is read. Edlund et al., "LIVECell, a
large-scale dataset for label-free live cell segmentation", Nature Methods 18, 2021.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from coverslip.config.sections import Dataset
from coverslip.data.archive import Archive
from coverslip.data.formats import (
    Sample,
    check_not_empty,
    check_several_classes,
    expand_nested,
    is_image,
    raise_unusable,
)

LOG = logging.getLogger("coverslip")

PARTS = ("livecell_train_val_images", "livecell_test_images")
"""Folders of images: for training and validation, and for test."""


def records(archive: Archive, dataset: Dataset) -> Iterator[Sample]:
    """Yield one record an image, without masks; the id is the file's name without extension.

    Raises:
        CoverslipError: no image, a name without the well, or a single line.
    """
    expand_nested(archive, "images.zip")
    found = {member: folders(member) for member in filter(is_image, archive.members())}
    found = {member: below for member, below in found.items() if below is not None}
    check_not_empty(archive, found, f"<line>/<image> in {' and '.join(PARTS)}")
    names = {member: name for member in found if (name := parse(member)) is not None}
    raise_unusable(
        archive,
        "name without cell line and well",
        (member for member in found if member not in names),
        f"name it as {EXAMPLE}, or use `format: class_folders`",
    )
    lines = {m: below[0] if below else names[m].line for m, below in found.items()}
    check_several_classes(archive, lines.values())
    other = [m for m in sorted(lines) if lines[m].lower() != names[m].line.lower()]
    if other:
        LOG.warning(
            "%s: %d names have another cell line than their folder, which is used, such as %s",
            archive.path,
            len(other),
            other[0],
        )
    for member, line in lines.items():
        group = names[member]._replace(line=line).group
        yield Sample(PurePosixPath(member).stem, member, (), label=line, group=group)


def folders(member: str) -> tuple[str, ...] | None:
    """Folders of an image below the one of `PARTS` on its path; none outside of these."""
    parts = PurePosixPath(member).parent.parts
    places = [place for place, part in enumerate(parts) if part in PARTS]
    return parts[places[-1] + 1 :] if places else None


# --- Names of LIVECell's images: `<Line>_Phase_<Well>_<Location>_<Time>_<Crop>.tif`

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
