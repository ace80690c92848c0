"""A folder a class.

    <anything>/<class>/<image>

The class of an image is the name of its folder, so that `train/<class>` and
`test/<class>` are alike. The id is made of all folders and the name without extension, joined by
`_`; what all images have in common at the start of their paths is left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import PurePosixPath

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


def records(archive: Archive, dataset: Dataset) -> Iterator[Sample]:
    """Yield one record an image, without masks.

    Raises:
        CoverslipError: no image, an image next to the folders of classes, or a single class.
    """
    expand_nested(archive)
    paths = [PurePosixPath(member) for member in archive.members() if is_image(member)]
    check_not_empty(archive, paths, "<class>/<image>")
    folders = sorted({path.parent.parts for path in paths})
    check_several_classes(archive, (parts[-1] if parts else "" for parts in folders))
    common = os.path.commonprefix(folders)
    raise_unusable(
        archive,
        "image in no folder of a class",
        (str(path) for path in paths if path.parent.parts == common),
        "put it into the folder of its class, or remove it",
    )
    for path in paths:
        id = "_".join([*path.parent.parts[len(common) :], path.stem])
        yield Sample(id, str(path), (), label=path.parent.name)
