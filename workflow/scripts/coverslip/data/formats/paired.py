"""Images and masks in two folders, matched by name.

    <root>/<images>/<name>.<any image extension>
    <root>/<masks>/<name>.<any image extension>

`<images>` and `<masks>` are the names in the config, at any depth; each may have several parts
(`train/images`). Further folders below them have to be alike on both sides. There may be several
roots (`train/inputs` + `train/masks`, `test/inputs` + `test/masks`). The id is made of the root,
the folders below and the name without extension, joined by `_`; what all roots have in common at
their start is left out, so that a folder and its zip archive give the same ids.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from coverslip.config.sections import Dataset
from coverslip.data.archive import Archive
from coverslip.data.formats import (
    Sample,
    check_not_empty,
    composed,
    expand_nested,
    is_image,
    raise_unusable,
)
from coverslip.errors import CoverslipError


class Key(NamedTuple):
    """What an image and its mask have in common."""

    root: tuple[str, ...]
    below: tuple[str, ...]
    stem: str


def records(archive: Archive, dataset: Dataset) -> Iterator[Sample]:
    """Yield one record an image.

    Raises:
        CoverslipError: no image, an image without mask, a mask without image, or two members
            with one name.
    """
    if folder_parts(dataset.images) == folder_parts(dataset.masks):
        raise CoverslipError(
            f"images and masks are both in '{dataset.images}': give two folders in the config"
        )
    expand_nested(archive)
    images = keyed(archive, dataset.images)
    masks = keyed(archive, dataset.masks)
    expected = f"images in a folder '{dataset.images}' and masks in '{dataset.masks}'"
    check_not_empty(archive, images, expected)
    raise_unusable(
        archive,
        "image without mask",
        (images[key] for key in images.keys() - masks.keys()),
        f"add a mask of the same name in '{dataset.masks}' or remove the image",
    )
    raise_unusable(
        archive,
        "mask without image",
        (masks[key] for key in masks.keys() - images.keys()),
        f"add an image of the same name in '{dataset.images}' or remove the mask",
    )
    common = common_start([key.root for key in images])
    for key, member in images.items():
        id = "_".join([*key.root[common:], *key.below, key.stem])
        yield Sample(id, member, (masks[key],), whole=True)


def folder_parts(folder: str) -> tuple[str, ...]:
    """Parts of a folder's name in the config."""
    return tuple(part for part in composed(folder).split("/") if part not in ("", "."))


def keyed(archive: Archive, folder: str) -> dict[Key, str]:
    """Map the keys of the images in all folders of this name to their members.

    Raises:
        CoverslipError: two members differ only in their extension.
    """
    found: dict[Key, str] = {}
    for member in filter(is_image, archive.members()):
        key = key_of(member, folder_parts(folder))
        if key is None:
            continue
        if key in found:
            raise CoverslipError(
                f"{archive.path}: two files of one name: {found[key]} and {member}: "
                "rename or remove one"
            )
        found[key] = member
    return found


def key_of(member: str, folder: tuple[str, ...]) -> Key | None:
    """Key of a member in the first folder of this name on its path; none outside of such."""
    path = PurePosixPath(composed(member))
    parts = path.parent.parts
    for start in range(len(parts) - len(folder) + 1):
        stop = start + len(folder)
        if parts[start:stop] == folder:
            return Key(parts[:start], parts[stop:], path.stem)
    return None


def common_start(roots: list[tuple[str, ...]]) -> int:
    """Return the number of parts that all roots have in common at their start."""
    return len(os.path.commonprefix(roots))
