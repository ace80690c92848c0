"""Layouts: how the members of an archive become records, one module a layout."""

from __future__ import annotations

import importlib
import pkgutil
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from coverslip.config.sections import Dataset
from coverslip.data.archive import Archive, nested_zips
from coverslip.data.image_suffixes import SUFFIXES
from coverslip.errors import CoverslipError
from coverslip.imaging.labels import LabelImage

EXTENSIONS = frozenset(SUFFIXES)


@dataclass(frozen=True)
class Sample:
    """One image with its metadata."""

    id: str
    """Name in the store, unique in the dataset."""
    image: str
    """Member with the image."""
    masks: tuple[str, ...]
    """Members with its masks, sorted; without any, and without `draw`, it has no label map."""
    whole: bool = False
    """Whether the one mask holds all objects; else each mask is one object."""
    label: str | None = None
    """Class of the whole image."""
    group: str | None = None
    """What must not cross a split, where the layout knows it."""
    draw: Callable[[tuple[int, int]], LabelImage] | None = None
    """Draws the label map of this height and width, where there are outlines instead of masks; it
    can be sent to another process."""


def read_samples(layout: str, archive: Archive, dataset: Dataset) -> list[Sample]:
    """Return the records of an archive, sorted by id.

    Raises:
        CoverslipError: the format is unknown, no image is found, an id occurs twice, or images
            and masks do not belong together.
    """
    known = sorted(module.name for module in pkgutil.iter_modules(__path__))
    if layout not in known:
        raise CoverslipError(f"unknown format '{layout}': choose one of {', '.join(known)}")
    module = importlib.import_module(f"coverslip.data.formats.{layout}")
    found = sorted(module.records(archive, dataset), key=lambda record: record.id)
    for first, second in zip(found, found[1:], strict=False):
        if first.id == second.id:
            raise CoverslipError(
                f"{archive.path}: two images have the id '{first.id}': {first.image} and "
                f"{second.image}: rename one of them"
            )
    return found


def normalize_name(name: str) -> str:
    """Return a name in the one form of Unicode (NFC) in which names are compared.

    Accents are characters of their own in zip files of a Mac, and not in those of other systems.
    """
    return unicodedata.normalize("NFC", name)


def is_image(member: str) -> bool:
    """Return whether a member's name ends like that of an image."""
    return PurePosixPath(member).suffix.lower() in EXTENSIONS


def expand_nested(archive: Archive, preferred: str | None = None) -> None:
    """Open nested zip files: the preferred one, or all where there are no images outside.

    Args:
        archive: is changed in place.
        preferred: name of the one nested zip file that counts where it is present.
    """
    nested = list(nested_zips(archive))
    chosen = [member for member in nested if PurePosixPath(member).name == preferred]
    if not chosen and not any(map(is_image, archive.members())):
        chosen = nested
    for member in chosen:
        archive.expand(member)


def raise_unusable(archive: Archive, what: str, members: Iterable[str], fix: str) -> None:
    """Raise a CoverslipError that names the first of `members` and counts the others, if any."""
    members = sorted(members)
    if members:
        more = f" (and {len(members) - 1} more)" if len(members) > 1 else ""
        raise CoverslipError(f"{archive.path}: {what}: {members[0]}{more}: {fix}")


def check_not_empty(archive: Archive, found: Iterable[object], expected: str) -> None:
    """Raise a CoverslipError where nothing was found."""
    if not any(True for _ in found):
        raise CoverslipError(
            f"{archive.path}: no images found: expected {expected} "
            f"({', '.join(sorted(EXTENSIONS))}); fix `source` or `format` in the config"
        )


def check_several_classes(archive: Archive, labels: Iterable[str]) -> None:
    """Raise a CoverslipError where all labels are one."""
    known = set(labels)
    if len(known) == 1:
        raise CoverslipError(
            f"{archive.path}: all images are of one class, '{known.pop()}': nothing can be "
            "learned from that; add images of other classes, or fix `format` in the config"
        )
