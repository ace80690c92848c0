"""Label images of another program, or of a baseline, as predictions that are scored like any other.

They are read for the test images of a split alone: nothing is fitted to the others. A label image
that is shifted by a pixel, or a mask instead of label images, gives wrong scores without an error;
so both are looked for.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from coverslip.config.sections import BaselineModel, LabelFolder
from coverslip.data.image_store import ImageStore
from coverslip.data.label_files import CocoFile, read_coco_of_many, read_label_file
from coverslip.data.label_folder import TOOL, list_label_files, match_label_files
from coverslip.data.tables import read_manifest, select_images
from coverslip.errors import CoverslipError, first_names
from coverslip.evaluation.predictions import write_label_images
from coverslip.files import write_json
from coverslip.imaging.labels import LabelImage, components, renumber
from coverslip.metrics import baselines
from coverslip.models.model import FORMAT
from coverslip.models.tool import merge_facts

LOG = logging.getLogger("coverslip")

SHIFT_IMAGES = 50
"""Most images on which a shift is looked for, evenly spread over the test images."""

SHIFT_GAIN = 0.01
"""Smallest gain of the IoU of all pixels by which a shift by one pixel is reported."""

SHIFT_AGREEMENT = 0.8
"""Smallest fraction of the images that have to agree on a shift."""

SHIFTS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]

METHODS = {"otsu": "otsu", "otsu_watershed": "otsu watershed"}
"""Names of the baselines in `baselines.INSTANCES`, by `method`."""


def import_labels(
    model: LabelFolder | BaselineModel,
    folder: Path | None,
    images: Path,
    manifest: Path,
    split: Path,
    fold: int,
    min_area_px: int,
    predictions: Path,
    info: Path,
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """Write the label images of the test images of a fold as predictions, and their `model.json`.

    Args:
        model: the section `model` of the study.
        folder: of the label images; none for a baseline.
        images: the store.
        manifest: the dataset's.
        split: the table of the split.
        fold: which fold of it.
        min_area_px: for a baseline, the smallest object.
        predictions: the HDF5 file to write.
        info: the file `model.json` to write.
        facts: merged into `model.json` (study, licence of the data, code, identity).

    Returns:
        What the record of the job lists: numbers of images and of files without image.

    Raises:
        CoverslipError: no test images, a label file is missing, damaged, of another size or
            negative, or the files are binary masks.
    """
    table = select_images(split, fold, ["test"])
    if table.empty:
        raise CoverslipError(
            f"{split}: fold {fold} has no test images, and label images are scored on these alone: "
            "raise `split.test`, or set `split.folds` to score all images"
        )
    ids = [str(id) for id in table.index]
    extra: list[str] = []
    tool: dict[str, Any] = {}
    with ImageStore(images) as store:
        if folder is None or isinstance(model, BaselineModel):
            labels = _baseline_labels(store, ids, model, min_area_px)
        else:
            files, extra = _find_files(folder, ids, read_manifest(manifest)["member"].to_dict())
            tool = read_tool(folder)
            labels = _check_labels(store, folder, files, model)
        write_label_images(predictions, fold, table, labels, model.head == "instance")
    write_json(
        info,
        {
            "format": FORMAT,
            "kind": model.kind,
            "task": "segmentation",
            "head": model.head,
            "classes": ["background", "foreground"],
            "fold": fold,
            "model": model.model_dump(mode="json"),
            "tool": tool,
            **facts,
        },
        indent=2,
        allow_nan=False,
    )
    return {"images": len(ids), "files without image": len(extra)}


def read_tool(folder: Path) -> dict[str, Any]:
    """Return `tool.json` of a folder of label images: what made them; empty without one.

    Of the folders of shards, which have one each, their sum (`merge_facts`).

    Raises:
        CoverslipError: it is no JSON object.
    """
    own = Path(folder) / TOOL
    paths = [own] if own.is_file() else sorted(Path(folder).glob(f"*/{TOOL}"))
    return merge_facts([_read_facts(path) for path in paths])


def _read_facts(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(facts, dict):
            raise ValueError("not an object")
    except (ValueError, RecursionError) as error:
        raise CoverslipError(f"{path}: not a JSON object ({error}): fix or remove it") from error
    return facts


class _LabelFile(NamedTuple):
    """Where the label image of an image is."""

    path: Path
    coco: CocoFile | None
    """For one of the images of a COCO file: the file, and the image's `file_name` as `path`."""

    def read(self, shape: tuple[int, int], threshold: int) -> LabelImage:
        """Return the label image, see `read_label_file`."""
        if self.coco is not None:
            return self.coco.read([self.path.stem], shape)
        return read_label_file(self.path, shape, threshold)


def _find_files(
    folder: Path, ids: Sequence[str], members: Mapping[str, str]
) -> tuple[dict[str, _LabelFile], list[str]]:
    """Return the label file of each of the images `ids`, and the label files without image."""
    found: dict[str, _LabelFile] = {}
    for name in list_label_files(folder):
        coco = read_coco_of_many(folder / name)
        if coco is None:
            found[name] = _LabelFile(folder / name, None)
        else:
            found |= {f"{image}.json": _LabelFile(Path(image), coco) for image in coco.images}
    files, extra = match_label_files(folder, found, members)
    if extra:
        LOG.warning(
            "%s: %d label files match no image of the dataset and are not scored (%s)",
            folder,
            len(extra),
            first_names(extra),
        )
    if missing := [id for id in ids if id not in files]:
        raise CoverslipError(
            f"{folder}: no label file for {len(missing)} of {len(ids)} test images "
            f"({first_names(missing)}): name each file as its image, as in `{missing[0]}.tif`; "
            "where nothing was found, give a label image of zeros"
        )
    return {id: found[files[id]] for id in ids}, extra


def _baseline_labels(
    store: ImageStore, ids: Sequence[str], model: Any, min_area_px: int
) -> Iterator[np.ndarray]:
    segment = baselines.INSTANCES[METHODS[model.method]]
    return (segment(store.image(id), min_area_px) for id in ids)


def _check_labels(
    store: ImageStore, folder: Path, files: Mapping[str, _LabelFile], model: Any
) -> Iterator[np.ndarray]:
    """Yield the label images of these images, int32 HxW, and check them on the way."""
    spread = set(list(files)[:: max(1, len(files) // SHIFT_IMAGES)][:SHIFT_IMAGES])
    overlaps = []
    binary = Counter[bool]()
    torn = ""
    for id, file in files.items():
        truth = store.label(id)
        label, parts = _read(file, truth.shape, model.mask_threshold)
        if parts:  # of an image without objects nothing is known
            single = parts[0] == 1
            binary[single] += 1
            torn = torn or (file.path.name if single and parts[1] > 1 else "")
        if id in spread:
            overlaps.append(shift_overlaps(label > 0, truth > 0))
        yield label
    whole = model.mask_threshold is None and model.head == "instance"
    if whole and torn and not binary[False]:
        raise CoverslipError(
            f"{folder}: binary masks instead of label images (all values besides 0 are one, as in "
            f"{torn}): save an image in which each object has its own number, or set "
            "`model.mask_threshold: 0` to separate objects by connected components"
        )
    if shift := find_shift(np.array(overlaps)):
        LOG.warning(
            "%s: label images match the annotations better when they are moved by one pixel (%+d "
            "rows, %+d columns: IoU %.3f instead of %.3f): check how they were exported",
            folder,
            *shift,
        )


def _read(
    file: _LabelFile, shape: tuple[int, ...], mask_threshold: int | None
) -> tuple[np.ndarray, tuple[int, int] | None]:
    """Read a label file.

    Returns:
        The label image, int32 HxW, and the number of values besides 0 with that of connected
        components; None without objects.
    """
    read = file.read((shape[0], shape[1]), mask_threshold or 0)
    label = read.label
    if read.objects == 0:
        return label, None
    values = 1 if read.kind == "component" else read.objects
    regions = components(label > 0) if values == 1 else label
    if mask_threshold is not None:
        return regions, (values, int(regions.max()))
    if read.kind == "component":  # one value is one object, also in several parts
        return (label > 0).astype(np.int32), (1, read.objects)
    return renumber(label)[0], (values, int(regions.max()))


# --- A shift by one pixel


def shift_overlaps(predicted: np.ndarray, truth: np.ndarray) -> list[tuple[int, int]]:
    """Return intersection and union of a mask with the truth, moved by each of `SHIFTS`.

    Args:
        predicted, truth: bool HxW; one pixel at each border is left out.
    """
    height, width = truth.shape
    inner = truth[1 : height - 1, 1 : width - 1]
    counts = []
    for dy, dx in SHIFTS:
        moved = predicted[1 - dy : height - 1 - dy, 1 - dx : width - 1 - dx]
        both = int(np.count_nonzero(moved & inner))
        counts.append((both, int(np.count_nonzero(moved | inner))))
    return counts


def find_shift(overlaps: np.ndarray) -> tuple[int, int, float, float] | None:
    """Return by how many rows and columns label images are off, if they are.

    Args:
        overlaps: of `shift_overlaps` for each image, int (N, 9, 2).

    Returns:
        Rows and columns by which they have to be moved, and the IoU of all pixels with and without
        that; None where no move makes them clearly better.
    """
    if not len(overlaps):
        return None
    both, either = overlaps[:, :, 0].astype(float), overlaps[:, :, 1].astype(float)
    pooled = both.sum(axis=0) / np.maximum(either.sum(axis=0), 1)
    best, still = int(pooled.argmax()), SHIFTS.index((0, 0))
    known = either.max(axis=1) > 0
    agreeing = (both / np.maximum(either, 1))[known].argmax(axis=1) == best
    if pooled[best] - pooled[still] < SHIFT_GAIN or agreeing.mean() < SHIFT_AGREEMENT:
        return None
    return (*SHIFTS[best], float(pooled[best]), float(pooled[still]))
