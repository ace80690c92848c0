"""Label maps of the real Bowl, and predictions of them that are wrong."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from scipy import ndimage

from coverslip.data.formats.dsb2018 import group_members
from coverslip.imaging.labels import from_masks


def bowl(real_data: Path, every: int) -> Iterator[np.ndarray]:
    """Every so many label maps (int32) of the real Bowl, in the order of their ids."""
    with zipfile.ZipFile(real_data / "dsb2018" / "stage1_train.zip") as archive:
        for _, members in sorted(group_members(archive.namelist()).items())[::every]:
            data = [np.frombuffer(archive.read(name), np.uint8) for name in sorted(members[1])]
            masks = [cv2.imdecode(each, cv2.IMREAD_GRAYSCALE) > 0 for each in data]
            yield from_masks(masks, masks[0].shape).label


def disturbed(label: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Predictions that go wrong each in its way, by name."""
    inside = ndimage.grey_erosion(label, 3)
    down = np.zeros_like(label)
    down[2:] = label[:-2]
    cut = label + (np.arange(label.shape[1]) % 12 < 6) * (label > 0) * (label.max() + 1)
    kept = rng.permutation(label.max() + 1)
    fewer = np.where(kept % 4 > 0, kept * 37, 0)  # other numbers, with gaps; a quarter is missing
    fewer[0] = 0
    noisy = np.where(rng.random(label.shape) < 0.1, rng.integers(0, 50, label.shape), label)
    return {
        "equal": label,
        "eroded": np.where(inside == label, label, 0),
        "dilated": ndimage.grey_dilation(label, 5),
        "shifted": down,
        "joined": ndimage.label(label > 0)[0],
        "cut": cut,
        "halved": label + (np.arange(label.shape[0])[:, None] % 2) * (label > 0) * 1000,
        "fewer": fewer[label],
        "noisy": noisy,
        "nothing": np.zeros_like(label),
    }


def blobs(side: int = 64) -> np.ndarray:
    """Discs of several sizes, some of them touching or cut by the edge."""
    label = np.zeros((side, side), np.uint16)
    y, x = np.mgrid[:side, :side]
    for number, (cy, cx, r) in enumerate([(12, 12, 9), (12, 31, 10), (40, 20, 5), (60, 50, 8)], 1):
        label[(y - cy) ** 2 + (x - cx) ** 2 <= r * r] = number
    label[30, 50] = 9  # a single pixel
    return label
