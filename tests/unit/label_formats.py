"""Label images in the formats of other programs, written as those programs do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import microscope_files
import numpy as np
import pandas as pd
import tifffile
from PIL import Image

from coverslip.imaging.label_polygons import label_polygons
from coverslip.measure.exports.geojson import label_features, write_geojson
from coverslip.measure.exports.imagej import label_rois, write_rois


def _tiff(folder: Path, stem: str, label: np.ndarray) -> None:
    tifffile.imwrite(folder / f"{stem}.label.tif", label.astype(np.uint16))


def _png(folder: Path, stem: str, label: np.ndarray) -> None:
    Image.fromarray(label.astype(np.uint16)).save(folder / f"{stem}_cp_masks.png")


def _npy(folder: Path, stem: str, label: np.ndarray) -> None:
    np.save(folder / f"{stem}.npy", label)


def _cellpose(folder: Path, stem: str, label: np.ndarray) -> None:
    facts = {"masks": label.astype(np.uint16), "outlines": label > 0, "filename": f"{stem}.png"}
    np.save(folder / f"{stem}_seg.npy", facts, allow_pickle=True)  # type: ignore[arg-type]


def _zarr(folder: Path, stem: str, label: np.ndarray) -> None:
    microscope_files.ome_zarr(folder / f"{stem}.ome.zarr", label, "yx", channels=())


def _rois(folder: Path, stem: str, label: np.ndarray) -> None:
    write_rois(folder / f"{stem}.roi.zip", label_rois(label_polygons(label)))


def _geojson(folder: Path, stem: str, label: np.ndarray) -> None:
    polygons = label_polygons(label)
    table = pd.DataFrame({"label": list(polygons), "area_px": 1.0})
    write_geojson(folder / f"{stem}.geojson", label_features(polygons, table))


def run_lengths(mask: np.ndarray) -> list[int]:
    """Run lengths of COCO of a mask: down the columns, starting with background."""
    flat = mask.T.ravel()
    changes = np.flatnonzero(np.diff(flat, prepend=False))
    return np.diff(changes, prepend=0, append=flat.size).tolist()


def coco(labels: Mapping[str, np.ndarray]) -> dict[str, list[dict[str, Any]]]:
    """One COCO file of several label images, by the names of their images."""
    images, annotations = [], []
    for at, (name, label) in enumerate(labels.items(), start=7):
        height, width = label.shape
        images.append({"id": at, "file_name": f"{name}.png", "height": height, "width": width})
        for number in np.unique(label[label > 0]):
            outline = {"size": [height, width], "counts": run_lengths(label == number)}
            annotations.append({"id": int(number), "image_id": at, "segmentation": outline})
    return {"images": images, "annotations": annotations}


def _coco(folder: Path, stem: str, label: np.ndarray) -> None:
    (folder / f"{stem}.json").write_text(json.dumps(coco({stem: label})))


WRITERS = {
    "TIFF": _tiff,
    "PNG": _png,
    "npy": _npy,
    "Cellpose": _cellpose,
    "OME-Zarr": _zarr,
    "ImageJ": _rois,
    "GeoJSON": _geojson,
    "COCO": _coco,
}
"""By format: a function that writes a label image (int HxW) into a folder, named after its
image."""
