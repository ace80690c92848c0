"""Image stores with manifests as `ingest` writes them, for tests of what reads them."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from coverslip.config.sections import Dataset, Source
from coverslip.data import tables
from coverslip.data.image_store import ImageStoreWriter

Image = tuple[np.ndarray, np.ndarray]


def dataset(**changes: object) -> Dataset:
    return Dataset(title="cells", source=Source(kind="path"), format="dsb2018", **changes)


def random_image(seed: int, size: int = 64, background: int = 10) -> Image:
    """An image HxWx1 uint8 with five discs and its label map."""
    rng = np.random.default_rng(seed)
    label = np.zeros((size, size), np.int32)
    for nucleus in range(1, 6):
        y, x = (int(v) for v in rng.integers(6, size - 6, 2))
        cv2.circle(label, (x, y), 4, nucleus, -1)
    grey = cv2.GaussianBlur(np.where(label > 0, 150.0, background), (0, 0), 1)
    grey += rng.normal(0, 2, grey.shape)
    return np.clip(grey, 0, 255).astype(np.uint8)[..., None], label


def write(folder: Path, images: dict[str, Image], **columns: dict[str, object]) -> None:
    """A store and a manifest as `ingest` writes them; `columns` change values by id."""
    rows = []
    with ImageStoreWriter(folder / "images.h5") as store:
        for name, (image, label) in sorted(images.items()):
            store.image(name, image)
            store.label(name, label)
            row = {
                "id": name,
                "group": name,
                "class": "",
                "height": image.shape[0],
                "width": image.shape[1],
                "channels": image.shape[2],
                "dtype": str(image.dtype),
                "sha256": sha256(image.tobytes()).hexdigest(),
                "member": f"{name}/images/{name}.png",
                "n_objects": len(np.unique(label[label > 0])),
                "foreground": float((label > 0).mean()),
                "overlap_pixels": 0,
                "empty_masks": 0,
            }
            rows.append(row | {key: given[name] for key, given in columns.items() if name in given})
    tables.write_manifest(pd.DataFrame(rows, columns=tables.COLUMNS), folder / "manifest.csv")
