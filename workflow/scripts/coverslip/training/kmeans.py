"""Fit K-means: from the images of a split to a model folder, as a network is trained.

There are no epochs. Numbers of clusters are tried one after the other, and the history has a row
for each: the loss is the mean squared distance to the centres, accuracy and IoU are those of the
best choice of clusters. The number with the best IoU on the training images is selected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from coverslip.config.sections import KMeans, Preprocessing
from coverslip.data.image_store import ImageStore
from coverslip.data.tables import select_images
from coverslip.errors import CoverslipError
from coverslip.evaluation.runs import HISTORY_COLUMNS
from coverslip.files import atomic_write, write_json
from coverslip.imaging.rows import Whole
from coverslip.imaging.texture import names
from coverslip.metrics.pixels import image_iou
from coverslip.models import preprocessing
from coverslip.models.kmeans import THRESHOLD, TextureFeatures, nearest, partition
from coverslip.models.model import FORMAT

SUBSETS = ("train", "validation")

PIXELS = 100_000
"""Clusters are fitted to about so many pixels, evenly spread over the training images."""


class Tally(NamedTuple):
    """Counts of the clusters in some images."""

    pixels: np.ndarray
    """N x 2 x K int64: pixels of each cluster in each image, background first, then cells."""
    distances: np.ndarray
    """N float64: mean squared distance of the pixels to their centres."""


def train(
    images: Path,
    split: Path,
    fold: int,
    seed: int,
    preprocessing: Preprocessing,
    kmeans: KMeans,
    output: Path,
    facts: dict[str, Any],
    report: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Fit K-means on the training images and write its model folder.

    Args:
        images: the store.
        split: table of the split.
        fold: fold of it.
        seed: of the study; `texture` does not depend on it.
        preprocessing: the section; images are not resized.
        kmeans: the section.
        output: the model folder: `model.json`, `history.csv`.
        facts: merged into `model.json` (digests, licence, study).
        report: receives one line for each number of clusters.

    Returns:
        Facts for the record of the run.

    Raises:
        CoverslipError: a subset has no images, or no training image has cells.
    """
    ids = {name: list(select_images(split, fold, [name]).index) for name in SUBSETS}
    for name in SUBSETS:
        if not ids[name]:
            raise CoverslipError(
                f"fold {fold} of {split} has no {name} images: change the shares in split"
            )
    # Sums of several threads differ in their last digits from run to run.
    with threadpool_limits(limits=1), ImageStore(images) as store:
        source = Source(store, preprocessing)
        fits = {}
        if kmeans.features == "texture":
            fits = find_clusters(source, ids["train"], kmeans)
        tallies = {name: tally(source, ids[name], kmeans, fits, seed) for name in SUBSETS}
    history, number, cells = select(tallies, kmeans.clusters, report)
    clusters = {"number": number, "cells": cells, **fits.get(number, {})}
    info = _info(kmeans, preprocessing, clusters, seed, fold) | facts
    _write(Path(output), history, info)
    return {"clusters": number, "cells": cells, "training_images": len(ids["train"])}


def select(
    tallies: dict[str, dict[int, Tally]], numbers: list[int], report: Callable[[str], None]
) -> tuple[pd.DataFrame, int, list[int]]:
    """Choose the number of clusters and which of them are cells, on the training images.

    Args:
        tallies: by subset and number of clusters.
        numbers: of clusters, in the order of the history; of equally good ones the first is taken.
        report: receives one line for each number.

    Returns:
        The history, the number, and the clusters that are cells.
    """
    rows, choices = [], []
    for number in numbers:
        cells = choose_cells(tallies["train"][number].pixels)
        row: dict[str, float] = {"epoch": number}
        for name, prefix in zip(SUBSETS, ("", "validation_"), strict=True):
            row |= scores(tallies[name][number], cells, prefix)
        rows.append(row)
        choices.append(cells)
        report(
            f"{number} clusters, {len(cells)} of them cells: IoU {row['iou']:.4f} on training, "
            f"{row['validation_iou']:.4f} on validation images"
        )
    best = int(np.argmax([row["iou"] for row in rows]))
    columns = [name for name in HISTORY_COLUMNS if name in rows[0]]
    return pd.DataFrame(rows, columns=columns), numbers[best], choices[best]


class Source:
    """Images of a store as the model sees them, with their truth."""

    def __init__(self, store: ImageStore, preprocessing: Preprocessing) -> None:
        self.store = store
        self.preprocessing = preprocessing

    def image(self, id: str) -> np.ndarray:
        """Return an image, uint8 HxWxC."""
        try:
            return preprocessing.to_input(self.store.image(id), self.preprocessing)
        except CoverslipError as error:
            raise CoverslipError(f"{self.store.path}: image '{id}': {error}") from error

    def truth(self, id: str) -> np.ndarray:
        """Return the true foreground, bool HxW."""
        return self.store.label(id) > 0


def find_clusters(source: Source, ids: list[str], kmeans: KMeans) -> dict[int, dict[str, Any]]:
    """Find the clusters of the training images, for each number of them.

    Returns:
        By number: `features`, `mean`, `standard_deviation` and `centres` for `model.json`.

    Raises:
        CoverslipError: all images are black, or have fewer different pixels than clusters.
    """
    none = np.empty((0, len(names(kmeans.scales))), np.float32)
    points = np.concatenate([none, *_samples(source, ids, kmeans.scales)]).astype(np.float64)
    if len(points) < max(kmeans.clusters):
        raise CoverslipError(
            f"{source.store.path}: the training images have {len(points)} pixels in their fields "
            f"of view, too few for {max(kmeans.clusters)} clusters: lower kmeans.clusters"
        )
    mean, deviation = points.mean(axis=0), points.std(axis=0)
    deviation = np.where(deviation > 0, deviation, 1.0)
    scaled = (points - mean) / deviation
    return {
        number: {
            "features": names(kmeans.scales),
            "mean": mean.tolist(),
            "standard_deviation": deviation.tolist(),
            "centres": centres(scaled, number).tolist(),
        }
        for number in kmeans.clusters
    }


def centres(points: np.ndarray, number: int) -> np.ndarray:
    """Return the centres of K-means without randomness, along the first principal component.

    It starts from the means of equally many points along that component, because the result would
    otherwise depend on the seed.

    Args:
        points: float64 NxF, standardized.
        number: of clusters, at most N.

    Returns:
        float64 number x F.
    """
    from sklearn.cluster import KMeans as Lloyd  # half a second, and most jobs need none of it

    _, _, axes = np.linalg.svd(np.cov(points, rowvar=False).reshape(points.shape[1], -1))
    axis = axes[0] * np.sign(axes[0].sum() or 1.0)
    order = np.argsort(points @ axis, kind="stable")
    starts = np.stack([points[part].mean(axis=0) for part in np.array_split(order, number)])
    fitted = Lloyd(number, init=starts, n_init=1).fit(points).cluster_centers_
    return fitted[np.argsort(fitted @ axis, kind="stable")]


def _samples(source: Source, ids: list[str], scales: list[float]) -> Iterator[np.ndarray]:
    """Yield features of some pixels of each image, float32 NxF, evenly spread over its field."""
    pixels_per_image = max(1, PIXELS // len(ids))
    for id in ids:
        texture = TextureFeatures(Whole(source.image(id)), scales)
        step = max(1, texture.field.area // pixels_per_image)
        before = 0
        for rows in texture.strips():
            inside = texture.features(rows)[texture.field.window(rows)]
            yield inside[-before % step :: step]
            before += len(inside)


def tally(
    source: Source, ids: list[str], kmeans: KMeans, fits: dict[int, dict], seed: int
) -> dict[int, Tally]:
    """Count the pixels of each cluster in each image, for each number of clusters."""
    pixels: dict[int, list[np.ndarray]] = {number: [] for number in kmeans.clusters}
    distances: dict[int, list[float]] = {number: [] for number in kmeans.clusters}
    for id in ids:
        image, truth = source.image(id), source.truth(id)
        by_number = (
            _tally_texture(image, truth, kmeans, fits)
            if fits
            else _tally_published(image, truth, kmeans, seed)
        )
        for number, (counts, distance) in by_number.items():
            pixels[number].append(counts)
            distances[number].append(distance)
    return {
        number: Tally(np.stack(pixels[number]), np.array(distances[number]))
        for number in kmeans.clusters
    }


def _tally_published(
    image: np.ndarray, truth: np.ndarray, kmeans: KMeans, seed: int
) -> dict[int, tuple[np.ndarray, float]]:
    tallies = {}
    for number in kmeans.clusters:
        clusters = partition(image, number, seed)
        tallies[number] = (count_pixels(clusters.labels, truth, number), clusters.inertia)
    return tallies


def _tally_texture(
    image: np.ndarray, truth: np.ndarray, kmeans: KMeans, fits: dict[int, dict]
) -> dict[int, tuple[np.ndarray, float]]:
    texture = TextureFeatures(Whole(image), kmeans.scales)
    counts = {number: np.zeros((2, number), np.int64) for number in fits}
    squares = dict.fromkeys(fits, 0.0)
    for rows in texture.strips():
        field = texture.field.window(rows)
        inside, true = texture.features(rows)[field], truth[rows][field]
        for number, fit in fits.items():
            middle = np.asarray(fit["centres"], np.float32)
            scale = np.asarray(fit["standard_deviation"], np.float32)
            scaled = (inside - np.asarray(fit["mean"], np.float32)) / scale
            labels = nearest(scaled, middle)
            counts[number] += count_pixels(labels, true, number)
            squares[number] += float(((scaled - middle[labels]) ** 2).sum(dtype=np.float64))
    area = max(1, texture.field.area)
    return {number: (counts[number], squares[number] / area) for number in fits}


def count_pixels(labels: np.ndarray, truth: np.ndarray, number: int) -> np.ndarray:
    """Count the pixels of each cluster, int64 2 x number: background, then cells.

    Args:
        labels: uint8, any shape, below `number`.
        truth: bool, the same shape.
        number: of clusters.
    """
    both = np.bincount(labels.ravel() + number * truth.ravel().astype(np.int64))
    return np.pad(both, (0, 2 * number - len(both))).reshape(2, number)


def choose_cells(pixels: np.ndarray) -> list[int]:
    """Choose the clusters that are cells: those with the largest fractions of cell pixels.

    Their number is that with the best mean IoU over the images that have cells; of equals, the
    smaller one.

    Args:
        pixels: N x 2 x K, as in `Tally`.

    Raises:
        CoverslipError: no image has cells.
    """
    total = pixels.sum(axis=0)
    if total[1].sum() == 0:
        raise CoverslipError(
            "no training image has any foreground, so it is unknown which clusters are cells"
        )
    fractions = total[1] / np.maximum(total.sum(axis=0), 1)
    order = np.argsort(-fractions, kind="stable")
    ious = [mean_iou(pixels, order[:count]) for count in range(1, len(order))]
    return sorted(int(number) for number in order[: int(np.argmax(ious)) + 1])


def mean_iou(pixels: np.ndarray, cells: np.ndarray | list[int]) -> float:
    """Return the mean IoU of the foreground over the images that have any, or NaN."""
    predicted = pixels[:, :, cells].sum(axis=2)
    true = pixels[:, 1].sum(axis=1)
    with_cells = true > 0
    if not with_cells.any():
        return float("nan")
    return float(
        image_iou(predicted[:, 1], predicted[:, 0], true - predicted[:, 1])[with_cells].mean()
    )


def scores(tally: Tally, cells: list[int], prefix: str) -> dict[str, float]:
    """Return loss, pixel accuracy and mean IoU of some images, named with a prefix."""
    correct = tally.pixels[:, 1, cells].sum() + tally.pixels[:, 0].sum()
    correct -= tally.pixels[:, 0, cells].sum()
    return {
        f"{prefix}loss": float(tally.distances.mean()),
        f"{prefix}accuracy": float(correct / max(1, tally.pixels.sum())),
        f"{prefix}iou": mean_iou(tally.pixels, cells),
    }


def _info(
    kmeans: KMeans, preprocessing: Preprocessing, clusters: dict[str, Any], seed: int, fold: int
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "kind": "kmeans",
        "task": "segmentation",
        "architecture": "kmeans",
        "kmeans": kmeans.model_dump(mode="json"),
        "clusters": clusters,
        "preprocessing": preprocessing.model_dump(mode="json"),
        "fitted": {},
        "classes": ["background", "foreground"],
        "num_classes": 1,
        "threshold": THRESHOLD,
        "kept_epoch": clusters["number"],
        "seed": seed,
        "fold": fold,
    }


def _write(folder: Path, history: pd.DataFrame, info: dict[str, Any]) -> None:
    """Write the folder, `model.json` last: if it exists, the folder is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.json").unlink(missing_ok=True)
    with atomic_write(folder / "history.csv") as part:
        history.to_csv(part, index=False)
    write_json(folder / "model.json", info, indent=2, allow_nan=False)
