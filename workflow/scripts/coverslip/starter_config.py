"""The config that `coverslip init` writes for a folder of images that it looked at."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coverslip.data import decode
from coverslip.data.image_suffixes import SUFFIXES
from coverslip.data.label_files import LABEL_SUFFIXES, candidate_stems, has_label_name
from coverslip.errors import CoverslipError

MASK_WORDS = ("mask", "msk", "label", "truth", "gt", "annot", "seg")
"""Parts of names of folders that hold masks; the others hold images."""

LOOKED_AT = 5
"""Masks that are read; one shows what all are."""

PATCH = 128
"""Largest height and width of patches in pixels."""

PATCH_STEP = 16
"""The network below halves an image four times, so patches are multiples of this."""


@dataclass(frozen=True)
class Found:
    """What a folder holds."""

    folder: Path
    kind: str
    """`masks`, `labels` (label images), `nuclei` (a folder an image), `classes` or `images`."""
    count: int
    """Images, without masks."""
    channels: str
    """`grey` or `rgb`."""
    side: int
    """Smallest height or width among the images that were read."""
    images: str = ""
    masks: str = ""
    """For `masks` and `labels`: names of the two folders."""
    soft: bool = False
    """Masks have more values than two, as soft edges and JPEG give."""
    classes: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """One line about what was found."""
        return (
            f"{self.count} image{'s' if self.count > 1 else ''}, "
            + {
                "masks": f"black and white masks in `{self.masks}`",
                "labels": f"label images in `{self.masks}`"
                if self.masks != "."
                else "label files next to them",
                "nuclei": "a mask for each object",
                "classes": f"{len(self.classes)} classes: {', '.join(self.classes)}",
                "images": "without masks or classes; they can be measured with a trained model",
            }[self.kind]
        )


def look_at(folder: Path) -> Found:
    """Return what a folder holds: images with masks, label images, class folders, or images.

    Raises:
        CoverslipError: no such folder, or no image in it.
    """
    if not folder.is_dir():
        what = "is a file; name its folder" if folder.exists() else "no such folder"
        raise CoverslipError(f"{folder}: {what}")
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and path.is_file() and not hidden(path, folder)
    )
    if not files:
        raise CoverslipError(f"{folder}: no image in it ({', '.join(SUFFIXES)})")
    by_folder: dict[str, list[Path]] = {}
    for path in files:
        by_folder.setdefault(path.parent.relative_to(folder).as_posix(), []).append(path)
    nested = [path for path in files if path.parent.name == "images"]
    masks = [path for path in files if path.parent.name == "masks"]
    samples = {path.parent.parent for path in nested}
    if len(samples) > 1 and samples == {path.parent.parent for path in masks}:
        return Found(folder, "nuclei", len(nested), *looks(nested))
    if pair := pair_of_folders(by_folder):
        images, masks_folder = pair
        labels, soft = kind_of_masks(by_folder[masks_folder])
        kind = "labels" if labels else "masks"
        count = len(by_folder[images])
        return Found(
            folder, kind, count, *looks(by_folder[images]), images, masks_folder, soft=soft
        )
    if pairs := label_pairs(folder):
        masks = [path for path in pairs.values() if path.suffix.lower() in SUFFIXES]
        labels, soft = kind_of_masks(masks) if len(masks) == len(pairs) else (True, False)
        kind = "labels" if labels else "masks"
        return Found(folder, kind, len(pairs), *looks([*pairs]), ".", ".", soft=soft)
    check_masks(folder, by_folder)
    names = Counter(path.parent.name for path in files if path.parent != folder)
    if len(names) > 1 and sum(names.values()) == len(files):
        return Found(folder, "classes", len(files), *looks(files), classes=tuple(sorted(names)))
    return Found(folder, "images", len(files), *looks(files))


def hidden(path: Path, folder: Path) -> bool:
    """Whether a file or a folder above it is hidden."""
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def label_pairs(folder: Path) -> dict[Path, Path]:
    """Return the images that have a label file next to them, with that file."""
    pairs: dict[Path, Path] = {}
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not hidden(p, folder))
    images = {
        (path.parent, path.stem): path
        for path in files
        if path.suffix.lower() in SUFFIXES and not has_label_name(path.name)
    }
    for path in files:
        if path.suffix.lower() in LABEL_SUFFIXES and has_label_name(path.name):
            keys = [(path.parent, stem) for stem in candidate_stems(path.name)]
            if image := next((images[key] for key in keys if key in images), None):
                pairs[image] = path
    return pairs


def pair_of_folders(by_folder: dict[str, list[Path]]) -> tuple[str, str] | None:
    """Return the folders of images and of their masks, if two folders have the same names."""
    if len(by_folder) != 2:
        return None
    first, second = sorted(by_folder)
    if is_mask_word(first):
        first, second = second, first
    if not is_mask_word(second):
        return None
    stems = {path.stem for path in by_folder[first]}
    found = [stems.intersection(candidate_stems(path.name)) for path in by_folder[second]]
    return (first, second) if all(found) and set().union(*found) == stems else None


def check_masks(folder: Path, by_folder: dict[str, list[Path]]) -> None:
    """Check that no masks are left that have no image of their name.

    Raises:
        CoverslipError: a folder of masks has no partner, or masks are among the images.
    """
    masks = [name for name in by_folder if is_mask_word(Path(name).name)]
    images = [name for name in by_folder if name not in masks]
    if len(masks) == 1 and len(images) == 1:
        names = [{path.stem for path in by_folder[each]} for each in (images[0], masks[0])]
        alone = sorted(names[0] - names[1])
        where, other = (images[0], masks[0]) if alone else (masks[0], images[0])
        name = (alone or sorted(names[1] - names[0]))[0]
        raise CoverslipError(
            f"{folder / where}: `{name}` has no file of its name in `{other}`; an image and its "
            "mask need the same name"
        )
    for paths in by_folder.values():
        stems = {path.stem for path in paths}
        for stem in sorted(stems):
            base = re.sub(r"[_-](?:" + "|".join(MASK_WORDS) + r")s?$", "", stem, flags=re.I)
            if base != stem and base in stems:
                raise CoverslipError(
                    f"{folder}: `{stem}` seems to be the mask of `{base}`; put masks into a folder "
                    "`masks`, with the names of their images"
                )


def is_mask_word(name: str) -> bool:
    """Whether the name of a folder is that of masks."""
    return any(word in name.lower() for word in MASK_WORDS)


def kind_of_masks(files: Sequence[Path]) -> tuple[bool, bool]:
    """Return whether masks are label images, and whether they have soft edges.

    Label images number their objects, so that their values are the numbers from 1 on, but for a few
    that were removed. Soft edges fill the range of greys.
    """
    values: set[int] = set()
    most = 0
    lossy = False
    for path in files[:LOOKED_AT]:
        data = path.read_bytes()
        lossy |= decode.is_lossy(data)
        own = {int(value) for value in np.unique(decode.mask(data, str(path)))} - {0}
        values |= own
        most = max(most, len(own))
    if most <= 1:
        return False, False
    return not (lossy or max(values) == 255), lossy or max(values) == 255


def looks(files: Sequence[Path]) -> tuple[str, int]:
    """Return whether some images are grey or in colours, and their smallest side in pixels."""
    shapes = [decode.image(path.read_bytes(), str(path))[0].shape for path in files[:LOOKED_AT]]
    grey = all(len(shape) == 2 or shape[2] == 1 for shape in shapes)
    return "grey" if grey else "rgb", min(min(shape[:2]) for shape in shapes)


def write_config(found: Found) -> str:
    """Return the text of a config: ten to twenty lines, with comments."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", found.folder.resolve().name).strip("-_") or "images"
    folder = json.dumps(str(found.folder), ensure_ascii=False)
    head = f"# Written by `coverslip init`: {found.summary}.\n"
    head += "# All keys: config/README.md of coverslip.\nformat: 2\n"
    if found.kind == "images":
        return head + MEASURE.format(folder=folder)
    dataset = {
        "nuclei": "format: dsb2018                 # <id>/images; <id>/masks has a mask an object",
        "classes": "format: class_folders           # a folder a class",
    }.get(found.kind, "format: paired                  # an image and a mask have one name")
    if found.kind in ("masks", "labels"):
        dataset += f"\n    images: {found.images}\n    masks: {found.masks}"
        if found.soft:
            dataset += "\n    mask_threshold: 127           # masks have soft edges"
    study = CLASSES if found.kind == "classes" else MASKS
    patch = max(PATCH_STEP, min(PATCH, found.side // PATCH_STEP * PATCH_STEP))
    return head + STUDY.format(
        name=name,
        title=json.dumps(found.folder.resolve().name, ensure_ascii=False),
        folder=folder,
        dataset=dataset,
        study=study.format(
            channels=found.channels,
            patch=patch,
            head="semantic" if found.kind == "masks" else "instance",
            objects="touching objects are one; label images separate them"
            if found.kind == "masks"
            else "touching objects are separated",
        ),
    )


STUDY = """\
datasets:
  {name}:
    title: {title}
    source: {{kind: path, path: {folder}}}
    {dataset}
    # group_by: filename            # images of one slide, well or patient stay together:
    # group_pattern: "^(?P<group>[^_]+)_"    # those with the same beginning of the name
studies:
  {name}:
    title: {title}
    dataset: {name}
{study}"""

MASKS = """\
    preprocessing: {{channels: {channels}, patch: {patch}}}    # in colour: rgb
    network: {{head: {head}, depth: 3}}    # {objects}
    training: {{epochs: 30}}          # more for a better model
"""

CLASSES = """\
    task: classification
    preprocessing: {{channels: {channels}, input_scaling: zscore, resize: [96, 96]}}
    network: {{architecture: cnn, normalization: batch}}
    training:
      epochs: 30                    # more for a better model
      class_weights: balanced       # rare classes count as much as others
      augmentation: {{flip: true, rot90: true}}
"""

MEASURE = """\
images: {folder}
model: nuclei-1                   # for stained nuclei; or the folder `model` of a finished training
# measure:
#   channel: 0                    # of images with several channels
#   pixel_size_um: 0.65           # where the files do not state it
#   min_area_px: 16               # smaller objects do not count
"""
