"""Images and masks in two folders, or in one, matched by name.

    <root>/<images>/<name>.<any image extension>
    <root>/<masks>/<name>.<any image extension>

`<images>` and `<masks>` are the names in the config, at any depth; each may have several parts
(`train/images`). Further folders below them have to be alike on both sides. There may be several
roots (`train/inputs` + `train/masks`, `test/inputs` + `test/masks`). The id is made of the root,
the folders below and the name without extension, joined by `_`; what all roots have in common at
their start is left out, so that a folder and its zip archive give the same ids.

A mask is any label file that `data.label_files` reads, and may have what tools append to names:
`<name>_mask.png`, `<name>_cp_masks.png`, `<name>_seg.npy`, `<name>.label.tif`, `<name>.zip`. Where
`<images>` and `<masks>` are one folder, files with such names are the masks, and images without one
are left out.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from coverslip.config.sections import Dataset
from coverslip.data.archive import Archive
from coverslip.data.formats import (
    EXTENSIONS,
    Sample,
    check_not_empty,
    expand_nested,
    normalize_name,
    raise_unusable,
)
from coverslip.data.label_files import LABEL_SUFFIXES, candidate_stems, has_label_name
from coverslip.errors import CoverslipError

LOG = logging.getLogger("coverslip")

NO_MASKS = (".json", ".zip")
"""Endings of files that are label files only where there is an image of their name."""


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
    expand_nested(archive)
    one_folder = folder_parts(dataset.images) == folder_parts(dataset.masks)
    listed = members_by_key(archive, dataset.masks, LABEL_SUFFIXES)
    if one_folder:
        images, masks = split_by_name(archive, listed)
    else:
        images = {
            key: only(archive, found)
            for key, found in members_by_key(archive, dataset.images).items()
        }
        masks = match_masks(archive, images, listed)
    expected = f"images in a folder '{dataset.images}' and masks in '{dataset.masks}'"
    check_not_empty(archive, images, expected)
    raise_unusable(
        archive,
        "image without mask",
        (images[key] for key in images.keys() - masks.keys()),
        f"add a mask of the same name in '{dataset.masks}' or remove the image",
    )
    common = common_start([key.root for key in images])
    for key, member in images.items():
        id = "_".join([*key.root[common:], *key.below, key.stem])
        yield Sample(id, member, (masks[key],), whole=True)


def folder_parts(folder: str) -> tuple[str, ...]:
    """Parts of a folder's name in the config."""
    return tuple(part for part in normalize_name(folder).split("/") if part not in ("", "."))


def members_by_key(
    archive: Archive, folder: str, suffixes: Collection[str] = EXTENSIONS
) -> dict[Key, list[str]]:
    """Map the keys of the files in all folders of this name to their members.

    Args:
        archive: the archive.
        folder: name of the folder.
        suffixes: endings of the files, in small letters.
    """
    found: dict[Key, list[str]] = {}
    for member in archive.members():
        if PurePosixPath(member).suffix.lower() in suffixes:
            key = key_of(member, folder_parts(folder))
            if key is not None:
                found.setdefault(key, []).append(member)
    return found


def only(archive: Archive, members: list[str]) -> str:
    """Return the one member of a name.

    Raises:
        CoverslipError: two members differ only in their extension.
    """
    if len(members) > 1:
        raise CoverslipError(
            f"{archive.path}: two files of one name: {members[0]} and {members[1]}: "
            "rename or remove one"
        )
    return members[0]


def match_masks(
    archive: Archive, images: Collection[Key], listed: dict[Key, list[str]]
) -> dict[Key, str]:
    """Map the keys of images to the members of their masks.

    Raises:
        CoverslipError: a mask without image, or an image with two masks.
    """
    found: dict[Key, list[str]] = {}
    unmatched = []
    for key, members in listed.items():
        for member in members:
            stems = candidate_stems(normalize_name(PurePosixPath(member).name))
            keys = [key._replace(stem=stem) for stem in stems]
            image = next((each for each in keys if each in images), None)
            if image is None:
                if not member.lower().endswith(NO_MASKS):
                    unmatched.append(member)
            else:
                found.setdefault(image, []).append(member)
    raise_unusable(
        archive,
        "mask without image",
        unmatched,
        "add an image of the same name in the folder of images, or remove the mask",
    )
    return {key: only(archive, members) for key, members in found.items()}


def split_by_name(
    archive: Archive, listed: dict[Key, list[str]]
) -> tuple[dict[Key, str], dict[Key, str]]:
    """Return images with a label file next to them, and those label files, of one folder."""
    images: dict[Key, list[str]] = {}
    labels: dict[Key, list[str]] = {}
    for key, members in listed.items():
        for member in members:
            named = has_label_name(PurePosixPath(member).name)
            (labels if named else images).setdefault(key, []).append(member)
    masks = match_masks(archive, images, labels)
    if left := len(images) - len(masks):
        LOG.info("%s: %d images without a label file are left out", archive.path, left)
    return {key: only(archive, images[key]) for key in masks}, masks


def key_of(member: str, folder: tuple[str, ...]) -> Key | None:
    """Key of a member in the first folder of this name on its path; none outside of such."""
    path = PurePosixPath(normalize_name(member))
    parts = path.parent.parts
    for start in range(len(parts) - len(folder) + 1):
        stop = start + len(folder)
        if parts[start:stop] == folder:
            return Key(parts[:start], parts[stop:], path.stem)
    return None


def common_start(roots: list[tuple[str, ...]]) -> int:
    """Return the number of parts that all roots have in common at their start."""
    return len(os.path.commonprefix(roots))
