"""K-means on the colours of a picture, exactly and fast.

A picture of millions of pixels has few distinct colours: 256 greys at most, some thousands of
colours. K-means (Lloyd, IEEE Trans. Inf. Theory 28, 1982) sees nothing of a pixel but its colour,
so it gives the very same partition on the distinct colours, each weighted by its number of pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

TOLERANCE = 1e-4
"""Movement of the centres below which Lloyd's algorithm stops, as a share of the variance of the
pixels: scikit-learn's default."""
ROUNDS = 300
"""Largest number of rounds: scikit-learn's default."""


class Distinct(NamedTuple):
    """The distinct colours of a picture."""

    colours: np.ndarray
    """N x C in the type of the picture, ascending by the first channel, then the next."""
    counts: np.ndarray
    """N int64, pixels of each colour."""
    paint: Callable[[np.ndarray], np.ndarray]
    """From N values, one a colour, to the picture of these values, HxW."""


class Clusters(NamedTuple):
    """A partition of the colours of a picture."""

    centres: np.ndarray
    """K x C float64, on the scale of the picture, the darkest first."""
    labels: np.ndarray
    """uint8 HxW: the number of the cluster of each pixel."""
    inertia: float
    """Mean squared distance of the pixels to their centres."""


def distinct(image: np.ndarray) -> Distinct:
    """Find the distinct colours of a picture.

    Args:
        image: uint8 HxWxC, C = 1 or 3.
    """
    if image.shape[2] == 1:
        grey = image[:, :, 0]
        counts = np.bincount(grey.ravel(), minlength=256)
        found = np.flatnonzero(counts)
        places = np.cumsum(counts > 0) - 1
        colours = found[:, np.newaxis].astype(np.uint8)
        return Distinct(colours, counts[found], lambda values: values[places][grey])
    weights = [256**power for power in reversed(range(image.shape[2]))]
    codes = np.zeros(image.shape[:2], np.uint32)
    for at, weight in enumerate(weights):
        codes += image[:, :, at] * np.uint32(weight)
    # A hash table is several times as fast as sorting all pixels.
    numbers, found = pd.factorize(codes.ravel(), sort=True)
    colours = np.stack([found // weight % 256 for weight in weights], axis=1).astype(np.uint8)
    counts = np.bincount(numbers, minlength=len(found))
    return Distinct(colours, counts, lambda values: values[numbers].reshape(codes.shape))


def lloyd(
    colours: np.ndarray, counts: np.ndarray, starts: np.ndarray | str, seed: int, clusters: int
) -> tuple[np.ndarray, np.ndarray]:
    """K-means on weighted colours, with the partition that it gives on all pixels.

    scikit-learn does the work. Its tolerance is a share of the variance of what it is given, which
    here is that of the colours, so it is brought to that of the pixels: the rounds are as many.

    Args:
        colours: N x C float64, distinct.
        counts: N, pixels of each.
        starts: K x C centres to start from, each one of the colours; or `k-means++` (Arthur and
            Vassilvitskii, 2007), whose draw is by pixels as well.
        seed: seed of that draw.
        clusters: their number K, at most N.

    Returns:
        Centres, K x C float64, and the cluster of each colour, N int32, in no order.
    """
    from sklearn.cluster import KMeans  # half a second, and most jobs need none of it

    mean = np.average(colours, axis=0, weights=counts)
    of_pixels = np.average((colours - mean) ** 2, axis=0, weights=counts).mean()
    of_colours = colours.var(axis=0).mean()
    tolerance = TOLERANCE * of_pixels / of_colours if of_colours > 0 else 0.0
    with threadpool_limits(limits=1):  # sums of several threads differ from run to run
        found = KMeans(
            clusters, init=starts, n_init=1, max_iter=ROUNDS, tol=tolerance, random_state=seed
        ).fit(colours, sample_weight=counts)
    return found.cluster_centers_, found.labels_


def partition(
    image: np.ndarray, clusters: int, seed: int, starts: np.ndarray | None = None
) -> Clusters:
    """Cluster the colours of a picture: normalise, flatten, K-means, relabel, reshape.

    Clusters are numbered from the darkest to the brightest (mean of the channels), so that a label
    means the same with every seed.

    Args:
        image: uint8 HxWxC, C = 1 or 3.
        clusters: their number; a picture of fewer colours has as many clusters as colours.
        seed: seed of k-means++.
        starts: centres to start from instead, K x C on the scale of the picture.
    """
    known = distinct(image)
    centres, numbers, inertia = clustered(known.colours, known.counts, clusters, seed, starts)
    return Clusters(centres, known.paint(numbers), inertia)


def clustered(
    colours: np.ndarray,
    counts: np.ndarray,
    clusters: int,
    seed: int,
    starts: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Cluster distinct colours; see `partition`.

    Args:
        colours: uint8 NxC, ascending.
        counts: N, pixels of each.

    Returns:
        Centres (K x C float64, the darkest first), the cluster of each colour (uint8), and the mean
        squared distance of the pixels.
    """
    colours = colours.astype(np.float64) / 255
    clusters = min(clusters, len(colours))
    begin = "k-means++" if starts is None or len(starts) != clusters else starts / 255
    centres, labels = lloyd(colours, counts, begin, seed, clusters)
    order = np.lexsort((*centres.T, centres.mean(axis=1)))
    numbers = np.argsort(order).astype(np.uint8)[labels]
    distances = ((colours - centres[labels]) ** 2).sum(axis=1)
    inertia = float(np.average(distances, weights=counts))
    return 255 * centres[order], numbers, inertia
