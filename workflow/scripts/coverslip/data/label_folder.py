"""A folder of label images of another program, matched by name to the images of a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from coverslip.data.image_suffixes import ZARR
from coverslip.data.label_files import LABEL_SUFFIXES, candidate_stems, has_label_name
from coverslip.errors import CoverslipError, first_names
from coverslip.pipeline import folder_inventory

TOOL = "tool.json"
"""File in the folder that describes the program."""


class MatchedLabels(NamedTuple):
    """Label files by the images that they are of."""

    files: dict[str, str]
    """Path of the label file below the folder, by the id of the image."""
    extra: list[str]
    """Label files that match no image of the dataset, sorted."""


def list_label_files(folder: Path) -> list[str]:
    """Return the paths of the label files below a folder, sorted; an OME-Zarr folder is one."""
    names = set()
    for name in folder_inventory.names(folder):
        parts = PurePosixPath(name).parts
        inside = next((n for n, part in enumerate(parts) if part.lower().endswith(ZARR)), None)
        if inside is not None:
            names.add("/".join(parts[: inside + 1]))
        elif name != TOOL and name.lower().endswith(LABEL_SUFFIXES):
            names.add(name)
    return sorted(names)


def match_label_files(
    folder: Path, files: Iterable[str], members: Mapping[str, str]
) -> MatchedLabels:
    """Match label files to images by name.

    A file `plate1/a_cp_masks.png` is of the image `plate1_a`, or else `a`; ids of images count
    first, then the names of their files where only one image has the name. Of a copy of the image
    and its label file (`a.png`, `a_cp_masks.png`) the latter counts.

    Args:
        folder: for messages.
        files: paths below it, as `list_label_files` returns them.
        members: path of each image in its archive, by its id.

    Raises:
        CoverslipError: an image has two label files.

    Examples:
        >>> match_label_files(Path("masks"), ["a_cp_masks.png", "x.png"], {"a": "images/a.tif"})
        MatchedLabels(files={'a': 'a_cp_masks.png'}, extra=['x.png'])
    """
    by_stem: dict[str, list[str]] = {}
    for id, member in members.items():
        by_stem.setdefault(PurePosixPath(member).stem, []).append(id)
    candidates: dict[str, list[str]] = {}
    extra: list[str] = []
    for name in files:
        image = _image_of(name, members, by_stem)
        if image is None:
            extra.append(name)
        else:
            candidates.setdefault(image, []).append(name)
    return MatchedLabels(
        {id: _one_label_file(folder, id, names) for id, names in candidates.items()}, extra
    )


def _image_of(
    name: str, members: Mapping[str, str], by_stem: Mapping[str, list[str]]
) -> str | None:
    path = PurePosixPath(name)
    stems = candidate_stems(path.name)
    folders = path.parent.parts
    for stem in stems:
        for start in range(len(folders) + 1):
            id = "_".join([*folders[start:], stem])
            if id in members:
                return id
    found = next((by_stem[stem] for stem in stems if stem in by_stem), [])
    return found[0] if len(found) == 1 else None


def _one_label_file(folder: Path, id: str, names: list[str]) -> str:
    if len(names) > 1:
        names = [name for name in names if has_label_name(PurePosixPath(name).name)] or names
    if len(names) > 1:
        raise CoverslipError(
            f"{folder}: image '{id}' has {len(names)} label files ({first_names(names)}): keep one"
        )
    return names[0]
