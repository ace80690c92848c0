"""Images of a folder for another tool to segment, and its label images in place of a model.

A tool knows neither planes nor channels: each plane that is measured becomes a TIFF file of its
own, whose name is a digest of the file's name, and the number of the page.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.config.sections import Measure, Preprocessing
from coverslip.data.image_folder import write_image
from coverslip.data.label_files import read_label_file
from coverslip.errors import CoverslipError
from coverslip.files import read_sha256
from coverslip.imaging.rows import Rows
from coverslip.measure.input_folder import list_images, own_results, shard_of
from coverslip.measure.planes import measured_planes
from coverslip.models.model import FORMAT, Model, load
from coverslip.models.tiles import Predict
from coverslip.models.tool import FACTS, merge_facts
from coverslip.pipeline import folder_inventory


def export_planes(
    folder: Path, notes: Path, shard: int, shards: int, settings: Measure, output: Path
) -> int:
    """Write the planes of the images of a shard as TIFF files; return how many.

    Planes that cannot be read are left out: measuring reports them. Arguments: see
    `images.measure`.
    """
    known = folder_inventory.entries(folder, notes, skip=own_results(folder)) or {}
    names = list_images({name: entry[-1] for name, entry in known.items()})
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    count = 0
    for name in names:
        if shard_of(name, shards) != shard:
            continue
        for plane in measured_planes(folder / name, settings):
            pixels = plane.image
            if plane.rows is not None:
                pixels = plane.rows.rows(0, plane.rows.shape[0])
            if pixels is None:
                continue
            write_image(output / plane_file(name, plane.page), pixels)
            count += 1
    return count


def plane_file(name: str, page: int) -> str:
    """Return the name of the TIFF file of a plane, and of its label image."""
    return f"{hashlib.sha256(os.fsencode(name)).hexdigest()[:24]}_{page}.tif"


def load_model(folder: Path, threads: int | None = None) -> Model:
    """Return the model of a model folder; or label images, of a folder (or shards) of a tool."""
    if (folder / "model.json").is_file():
        return load(folder, threads=threads)
    files = [folder / FACTS] if (folder / FACTS).is_file() else sorted(folder.glob(f"*/{FACTS}"))
    facts = merge_facts([json.loads(path.read_text(encoding="utf-8")) for path in files])
    return LabelImages(folder, facts)


def labels_digest(folder: Path) -> str:
    """Return the SHA-256 of the label images in a folder, and of the tool and model of them."""
    total = hashlib.sha256()
    for path in sorted(folder.glob("*.tif*")):
        total.update(f"{path.name}\t{read_sha256(path)}\n".encode())
    return total.hexdigest()


def _unused(tiles: np.ndarray) -> np.ndarray:
    raise NotImplementedError


class LabelImages(Model):
    """Label images of a folder, in place of a model: predicting an image is to look its up.

    Objects have no confidence: tools give none in their label images.
    """

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        info = {
            "format": FORMAT,
            "kind": "tool",
            "head": "instance",
            "classes": ["background", "foreground"],
            "num_classes": 4,
            "preprocessing": Preprocessing().model_dump(mode="json"),
            "fitted": {},
            "threshold": 0.5,
            "instances": {"threshold": 0.5, "seed": 0.5, "min_area_px": 0},
            "licence": facts.get("training_data_licence"),
            "tool": facts,
        }
        super().__init__(folder, info)
        # Values of a network, which a page would show.
        self.info = {key: value for key, value in info.items() if key != "threshold"}
        self._plane = ""

    def of_plane(self, name: str, page: int) -> LabelImages:
        """Return the model of one plane, see `plane_file`."""
        found = LabelImages(self.folder, self.info["tool"])
        found._plane = plane_file(name, page)
        return found

    def open_image(
        self, source: Rows, overlap: float = 0.25, tta: bool = False
    ) -> Callable[[np.ndarray, int, int], np.ndarray]:
        """Return a function that looks up windows of the label image, see `Model.open_image`."""
        path = self.folder / self._plane
        if not path.is_file():
            raise CoverslipError(f"{path}: the tool wrote no label image of it")
        label = read_label_file(path, (source.shape[0], source.shape[1])).label

        def window(pixels: np.ndarray, row: int, column: int) -> np.ndarray:
            height, width = pixels.shape[:2]
            found = label[row : row + height, column : column + width]
            # As of a network: the first channel is background.
            return np.stack([found == 0, found], axis=-1)

        return window

    def predictor(self) -> Predict:
        """Return a function that is never called: `open_image` looks label images up."""
        return _unused

    def mask(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the foreground of a window, uint8 HxW."""
        return (probabilities[..., 1] > 0).astype(np.uint8)

    def objects_of_any_size(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the objects of a window, int32 HxW, numbered from 1 without gaps."""
        numbers, label = np.unique(probabilities[..., 1], return_inverse=True)
        first = 0 if numbers[0] == 0 else 1
        return (label.reshape(probabilities.shape[:2]) + first).astype(np.int32)

    def smallest_object(self, areas: np.ndarray) -> int:
        """Return 0: the tool decides which objects are too small."""
        return 0

    def object_confidence(self, probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return NaN for each object, float64 (objects,)."""
        return np.full(int(labels.max(initial=0)), np.nan)
