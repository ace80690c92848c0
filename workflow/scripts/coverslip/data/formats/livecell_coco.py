"""Images with polygons in COCO json files, as LIVECell comes.

    <anything>/<image of the annotations>
    <anything>/livecell_coco_train.json, livecell_coco_val.json, livecell_coco_test.json

The json files are those whose names fit `annotations` of the dataset. They list the images
by their names, which occur once in the archive, in any folder: in the Kaggle archive
`sartorius-cell-instance-segmentation` they are in `LIVECell_dataset_2021`, and nothing else of it
is read. Images without polygons are empty; images that no json file lists are left out. Objects
of all categories are foreground.

The id is the name without extension. Of a name of LIVECell (`A172_Phase_C7_1_00d00h00m_1.tif`) the
class is the cell line, and `group_by: metadata` groups by line and well. Edlund et al., "LIVECell,
a large-scale dataset for label-free live cell segmentation", Nature Methods 18, 2021. Format: Lin
et al., "Microsoft COCO: common objects in context", ECCV 2014.
"""

from __future__ import annotations

import fnmatch
import hashlib
import logging
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath
from typing import IO, Any, NamedTuple

import ijson
import numpy as np

from coverslip.config.sections import Dataset
from coverslip.data import polygons
from coverslip.data import polygons as polygons_module
from coverslip.data.archive import Archive
from coverslip.data.formats import Sample, is_image, normalize_name, raise_unusable
from coverslip.data.formats.livecell import parse
from coverslip.errors import CoverslipError, one_line

LOG = logging.getLogger("coverslip")

DEEPEST = 1000
"""Levels of lists and objects within each other; COCO has five."""

STEPS = np.zeros(256, np.int8)
STEPS[list(b"[{")], STEPS[list(b"]}")] = 1, -1

HINT = "get the annotations again, or leave this one out"


class Annotated(NamedTuple):
    """An image of the annotations."""

    number: int
    """Its number in the file of outlines."""
    name: str
    size: tuple[int, int]
    """Height and width in pixels, as stated."""
    json: str
    """Member that knows it."""


def records(archive: Archive, dataset: Dataset) -> Iterator[Sample]:
    """Yield one record an image.

    Raises:
        CoverslipError: no annotations, damaged ones, or an image that is missing or ambiguous.
    """
    files = [m for m in archive.members() if fits(m, dataset.annotations)]
    if not files:
        raise CoverslipError(
            f"{archive.path}: no file is called `{dataset.annotations}`: put the annotations there "
            "or fix `annotations` of the dataset"
        )
    images: dict[tuple[str, int], Annotated] = {}
    for file in files:
        archive.digests[file] = digest(archive, file)
        for id, name, size in read_image_entries(archive, file):
            key = (file, id)
            if key in images:
                raise CoverslipError(f"{archive.path}: {file}: two images have the id {id}: {HINT}")
            images[key] = Annotated(len(images), name, size, file)
    members = match_members(archive, list(images.values()))
    path = archive.scratch() / "outlines.sqlite"
    numbers = {key: image.number for key, image in images.items()}
    objects = (entry for file in files for entry in read_outlines(archive, file, numbers))
    polygons.write(path, objects)
    for image in images.values():
        member = members[image.name]
        name = f"{archive.path}: {member}"
        drawn = partial(polygons.draw, path=path, image=image.number, stated=image.size, name=name)
        metadata = parse(image.name)
        label, group = (metadata.line, metadata.group) if metadata else (None, None)
        yield Sample(PurePosixPath(member).stem, member, (), label=label, group=group, draw=drawn)


def fits(member: str, pattern: str) -> bool:
    """Return whether a member's name, without its folders, is that of an annotation file."""
    return fnmatch.fnmatchcase(PurePosixPath(member).name, pattern)


def digest(archive: Archive, member: str) -> str:
    """SHA-256 of a member that may be too large for memory."""
    with archive.stream(member) as (file, _):
        total = hashlib.sha256()
        while part := file.read(1 << 20):
            total.update(part)
    return total.hexdigest()


def match_members(archive: Archive, images: list[Annotated]) -> dict[str, str]:
    """Map the names of the annotated images to their members.

    Raises:
        CoverslipError: an image is missing, occurs twice, or two json files list it.
    """
    members: dict[str, list[str]] = {}
    for member in filter(is_image, archive.members()):
        members.setdefault(normalize_name(PurePosixPath(member).name), []).append(member)
    times = Counter(image.name for image in images)
    raise_unusable(
        archive,
        "image that occurs twice in the annotations",
        (f"{p.name} in {p.json}" for p in images if times[p.name] > 1),
        "keep one of the files, or fix `annotations` of the dataset",
    )
    raise_unusable(
        archive,
        "no such image, but annotations of it",
        (f"{p.name} in {p.json}" for p in images if p.name not in members),
        "put the image there, or leave it out of the annotations",
    )
    raise_unusable(
        archive,
        "two images of one name",
        (", ".join(members[p.name]) for p in images if len(members[p.name]) > 1),
        "keep one of them",
    )
    left = len(members) - len(times)
    if left:
        LOG.info("%s: %d images without annotations are left out", archive.path, left)
    return {name: members[name][0] for name in times}


def read_image_entries(archive: Archive, member: str) -> Iterator[tuple[int, str, tuple[int, int]]]:
    """Yield id, name and size (height, width) of the images that a json file knows."""
    where = f"{archive.path}: {member}"
    none = True
    for entry in entries(archive, member, "images"):
        none = False
        try:
            id, name = entry["id"], entry["file_name"]
            size = (entry["height"], entry["width"])
        except (KeyError, TypeError) as error:
            raise CoverslipError(
                f"{where}: an image without id, file_name, height or width: {HINT}"
            ) from error
        if not all(type(value) is int for value in (id, *size)) or min(size) < 1:
            raise CoverslipError(f"{where}: image {id!r}: its id or size is no number: {HINT}")
        name = normalize_name(PurePosixPath(name).name) if isinstance(name, str) else ""
        if not is_image(name):
            raise CoverslipError(f"{where}: image {id}: file_name names no image: {HINT}")
        yield id, name, size
    if none:
        raise CoverslipError(
            f"{where}: knows no images: give COCO json files with `images` and `annotations`"
        )


def read_outlines(
    archive: Archive, member: str, numbers: dict[tuple[str, int], int]
) -> Iterator[tuple[int, list[polygons.Polygon]]]:
    """Yield the image (its number in `numbers`) and the polygons of each object of a file."""
    where = f"{archive.path}: {member}"
    for entry in entries(archive, member, "annotations"):
        try:
            id, image, segmentation = entry.get("id"), entry["image_id"], entry["segmentation"]
            number = numbers[member, image]
        except (KeyError, TypeError, AttributeError) as error:
            raise CoverslipError(
                f"{where}: an annotation without segmentation, or of no image ({error}): {HINT}"
            ) from error
        yield number, read_polygons(segmentation, f"{where}: annotation {id!r}")


def read_polygons(segmentation: Any, name: str) -> list[polygons_module.Polygon]:
    """Polygons of a COCO segmentation: `[[x, y, x, y, ...], ...]`.

    Raises:
        CoverslipError: run lengths, or no polygons of three corners and more.
    """
    if isinstance(segmentation, dict):
        raise CoverslipError(
            f"{name}: its segmentation is in run lengths (RLE), not in polygons: convert it, or "
            "give masks with the layout `paired`"
        )
    parts = segmentation if isinstance(segmentation, list) else []
    if not parts or not all(isinstance(part, list) for part in parts):
        raise CoverslipError(f"{name}: its segmentation is no list of polygons: {HINT}")
    found = []
    for part in parts:
        numeric = all(type(value) in (int, float) for value in part)
        if not numeric or len(part) % 2 or len(part) < 6:
            raise CoverslipError(
                f"{name}: a polygon is no list of x and y of three corners or more: {HINT}"
            )
        if not all(abs(value) <= polygons_module.FARTHEST for value in part):  # nor is NaN
            raise CoverslipError(f"{name}: a corner is nowhere near the image: {HINT}")
        found.append(np.array(part, np.float32).reshape(-1, 2))
    return found


def entries(archive: Archive, member: str, key: str) -> Iterator[Any]:
    """Yield the entries of a list, or of an object, at the top of a json file, one at a time.

    Raises:
        CoverslipError: not JSON.
    """
    listed = False
    for entry in _parse_json(
        archive, member, lambda f: ijson.items(f, f"{key}.item", use_float=True)
    ):
        listed = True
        yield entry
    if not listed:
        parsed = _parse_json(archive, member, lambda f: ijson.kvitems(f, key, use_float=True))
        yield from (entry for _, entry in parsed)


class _Shallow:
    """A file of JSON that raises ValueError where it is nested deeper than any annotations.

    The parser keeps the path of every level, so that its memory grows with the square of the depth.
    Brackets within texts count as well.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._depth, self._lowest = file, 0, 0

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        opened, closed = data.count(b"[") + data.count(b"{"), data.count(b"]") + data.count(b"}")
        if self._depth - self._lowest + opened > DEEPEST:
            depths = self._depth + np.cumsum(STEPS[np.frombuffer(data, np.uint8)], dtype=np.int64)
            lowest = np.minimum.accumulate(np.append(self._lowest, depths))
            if (depths - lowest[1:]).max() > DEEPEST:
                raise ValueError(f"nested more than {DEEPEST} levels deep")
            self._lowest = int(lowest[-1])
        self._depth += opened - closed
        self._lowest = min(self._lowest, self._depth)
        return data


def _parse_json(archive: Archive, member: str, parse: Any) -> Iterator[Any]:
    with archive.stream(member) as (file, _):
        try:
            parser = parse(_Shallow(file))
            while True:
                try:
                    entry = next(parser)
                except StopIteration:
                    return
                yield entry
        except (ijson.JSONError, UnicodeDecodeError, ValueError, OverflowError) as error:
            reason = one_line(error)[:100]
            raise CoverslipError(
                f"{archive.path}: {member}: not JSON ({reason}): get the annotations again"
            ) from error
