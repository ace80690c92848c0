"""K-means on the colours of an image, exactly and fast.

An image of millions of pixels has few distinct colours: 256 greys at most, some thousands of
colours. K-means (Lloyd, IEEE Trans. Inf. Theory 28, 1982) sees nothing of a pixel but its colour,
so it gives the very same partition on the distinct colours, each weighted by its number of pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from coverslip.config.sections import KMeans
from coverslip.errors import CoverslipError
from coverslip.imaging.field_of_view import FieldOfView, fill_outside_fov
from coverslip.imaging.flatfield import background, fit_background
from coverslip.imaging.intensity import to_grey
from coverslip.imaging.rows import Rows, Whole, histogram, parts, spans
from coverslip.imaging.texture import features, names, reach
from coverslip.models.model_info import reason

if TYPE_CHECKING:
    from coverslip.models.folder import ModelFolder
    from coverslip.models.tiles import Predict

TOLERANCE = 1e-4
"""Movement of the centres below which Lloyd's algorithm stops, as a share of the variance of the
pixels: scikit-learn's default."""

ROUNDS = 300
"""Largest number of rounds: scikit-learn's default."""


class Distinct(NamedTuple):
    """The distinct colours of an image."""

    colours: np.ndarray
    """N x C in the type of the image, ascending by the first channel, then the next."""
    counts: np.ndarray
    """N int64, pixels of each colour."""
    paint: Callable[[np.ndarray], np.ndarray]
    """From N values, one a colour, to the image of these values, HxW."""


class Clusters(NamedTuple):
    """A partition of the colours of an image."""

    centres: np.ndarray
    """K x C float64, on the scale of the image, the darkest first."""
    labels: np.ndarray
    """uint8 HxW: the number of the cluster of each pixel."""
    inertia: float
    """Mean squared distance of the pixels to their centres."""


def distinct(image: np.ndarray) -> Distinct:
    """Find the distinct colours of an image.

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
    """Cluster the colours of an image: normalise, flatten, K-means, relabel, reshape.

    Clusters are numbered from the darkest to the brightest (mean of the channels), so that a label
    means the same with every seed.

    Args:
        image: uint8 HxWxC, C = 1 or 3.
        clusters: their number; an image of fewer colours has as many clusters as colours.
        seed: seed of k-means++.
        starts: centres to start from instead, K x C on the scale of the image.
    """
    known = distinct(image)
    centres, numbers, inertia = assign_clusters(known.colours, known.counts, clusters, seed, starts)
    return Clusters(centres, known.paint(numbers), inertia)


def assign_clusters(
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


# --- K-means as a model: from an image and `model.json` to the clusters and to the foreground

OUTSIDE = 255
"""Label of pixels outside of the field of view."""

MOST = 64
"""Largest number of clusters."""

STRIP = 2**20
"""Features are computed in strips of about so many pixels, so that a large image fits."""

THRESHOLD = 0.5
"""Predictions are 0 or 1."""


def kmeans_predictor(model: ModelFolder) -> Predict:
    """Return the model of a folder as a function of whole images.

    Returns:
        A function from uint8 NxHxWxC to the foreground, float32 NxHxWx1, 0 or 1.

    Raises:
        CoverslipError: `model.json` does not hold what it should.
    """

    def predict(images: np.ndarray) -> np.ndarray:
        return np.stack([foreground_of(model, Whole(image))(image) for image in images])

    read_kmeans(model)
    return predict


ELBOW = "elbow"
"""Value of `clusters.choose` in `model.json` of a model without training: each image has its own
clusters of grey values, and their number is that of the elbow, see `elbow`."""

FEWEST, LARGEST = 2, 8
"""Numbers of clusters that an elbow is looked for in."""


class GreyClusters(NamedTuple):
    """Clusters of the grey values of an image, the darkest first."""

    table: np.ndarray
    """uint8 (256,): the cluster of each grey value."""
    number: int
    foreground: np.ndarray
    """uint8, the clusters that are foreground."""


def cluster_greys(
    counts: np.ndarray, number: int | None = None, cells: Sequence[int] | None = None
) -> GreyClusters:
    """Cluster the grey values of an image, without labels and without randomness.

    Args:
        counts: (256,), pixels of each grey value.
        number: of clusters, as far as there are so many grey values; none: see `elbow`.
        cells: clusters that are foreground, from 0 (the darkest), or from -1 (the brightest); none:
            all but the one with the most pixels.

    Examples:
        >>> greys = [18, 20, 22] * 50 + [110, 120, 130] * 10 + [220, 230, 240] * 7
        >>> counts = np.bincount(greys, minlength=256)
        >>> found = cluster_greys(counts)
        >>> found.number, found.foreground.tolist()
        (3, [1, 2])
    """
    values = np.flatnonzero(counts)
    starts, inertia = optimal_partitions(
        values, counts[values], LARGEST if number is None else number
    )
    chosen = elbow(inertia) if number is None else len(inertia)
    table = np.searchsorted(values[starts[chosen - 1]], np.arange(256), side="right") - 1
    table = np.maximum(table, 0).astype(np.uint8)
    if cells is None:
        pixels = np.bincount(table, counts, chosen)
        found = [at for at in range(chosen) if at != int(pixels.argmax())]
    else:
        found = sorted({at % chosen for at in cells if -chosen <= at < chosen})
    return GreyClusters(table, chosen, np.asarray(found, np.uint8))


def optimal_partitions(
    values: np.ndarray, weights: np.ndarray, most: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the best K-means of numbers for 1, 2, ... clusters.

    By dynamic programming (Wang and Song, Ckmeans.1d.dp, The R Journal 3, 2011), so that nothing
    depends on a start.

    Args:
        values: N, ascending.
        weights: N, above 0.
        most: number of clusters at most.

    Returns:
        For each number, the places where clusters start, and the mean squared distance to their
        centres.
    """
    sums = [np.cumsum(np.append(0.0, weights * values.astype(np.float64) ** k)) for k in range(3)]
    first, last = np.ogrid[: len(values), : len(values)]
    mass, moment, square = (each[last + 1] - each[first] for each in sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        cost = np.where(first <= last, square - moment**2 / mass, np.inf)
    best, before = [cost[0]], [np.zeros(len(values), int)]
    for _ in range(1, min(most, len(values))):
        total = best[-1][:-1, np.newaxis] + cost[1:]
        before.append(total.argmin(axis=0) + 1)
        best.append(total.min(axis=0))
    starts = []
    for number in range(1, len(best) + 1):
        found, end = [], len(values) - 1
        for at in reversed(range(number)):
            found.append(int(before[at][end]))
            end = found[-1] - 1
        starts.append(np.array(found[::-1]))
    return starts, np.array([max(each[-1], 0.0) for each in best]) / weights.sum()


def elbow(inertia: np.ndarray) -> int:
    """Return the number of clusters where more of them stop to pay.

    The point of the curve that is farthest below the line between its ends (Satopää et al., Finding
    a "kneedle" in a haystack, ICDCS Workshops 2011).

    Args:
        inertia: mean squared distances for 1, 2, ... clusters.

    Examples:
        >>> elbow(np.array([100.0, 40, 5, 4, 3]))
        3
    """
    if len(inertia) <= FEWEST or inertia[0] <= inertia[-1]:
        return len(inertia) if inertia[0] > inertia[-1] else 1
    fall = (inertia - inertia[-1]) / (inertia[0] - inertia[-1])
    line = np.linspace(1, 0, len(inertia))
    return FEWEST + int(np.argmax((line - fall)[FEWEST - 1 :]))


class ForegroundWindows:
    """Windows of an image as K-means sees them, with clusters of the whole image.

    Args:
        model: of the kind `kmeans`.
        prepare: from the pixels of a window, and row and column of its first one, to uint8 hxwxC.
        source: the whole image, uint8 HxWxC, preprocessed.

    Attributes:
        greys: the clusters of a model without training; none of others.
    """

    def __init__(
        self,
        model: ModelFolder,
        prepare: Callable[[np.ndarray, int, int], np.ndarray],
        source: Rows,
    ) -> None:
        self._prepare = prepare
        self._foreground = foreground_of(model, source)
        self.greys: GreyClusters | None = getattr(self._foreground, "greys", None)

    def __call__(self, pixels: np.ndarray, row: int, column: int) -> np.ndarray:
        """Return the foreground of a window, float32 hxwx1, 0 or 1."""
        return self._foreground(self._prepare(pixels, row, column), row, column)

    def clusters(self, pixels: np.ndarray) -> np.ndarray:
        """Return the cluster of each pixel, uint8 hxw, by a model without training.

        Args:
            pixels: of the image, or of a smaller copy.
        """
        assert self.greys is not None, "clusters of a model that was trained have no order"
        return self.greys.table[to_grey(self._prepare(pixels, 0, 0))]


class _GreyForeground:
    """The foreground of windows by clusters of grey values."""

    def __init__(self, source: Rows, clusters: dict[str, Any]) -> None:
        counts = sum(histogram(to_grey(part)) for part in parts(source))
        self.greys = cluster_greys(np.asarray(counts), clusters["number"], clusters["cells"])
        self._table = np.isin(self.greys.table, self.greys.foreground).astype(np.float32)

    def __call__(self, pixels: np.ndarray, row: int = 0, column: int = 0) -> np.ndarray:
        return self._table[to_grey(pixels)][..., np.newaxis]


def choose_clusters(model: ModelFolder, number: int | None, cells: Sequence[int] | None) -> None:
    """Fix the number of clusters, and which are foreground, of a model without training.

    Args:
        model: of any kind.
        number, cells: see `cluster_greys`; both none: nothing changes.

    Raises:
        CoverslipError: the model has clusters of its own, or none.
    """
    if number is None and cells is None:
        return
    clusters = model.info.get("clusters")
    if not isinstance(clusters, dict) or "choose" not in clusters:
        raise CoverslipError(
            "measure.clusters, measure.foreground_clusters: go with the model `kmeans` alone"
        )
    model.info["clusters"] = {**clusters, "number": number, "cells": cells}


def foreground_of(model: ModelFolder, source: Rows) -> Callable[..., np.ndarray]:
    """Look at an image, and return a function from its windows to their foreground.

    Args:
        model: of the kind `kmeans`.
        source: uint8 HxWxC, preprocessed.

    Returns:
        A function of the pixels of a window and of the row and column of its first pixel, which
        gives float32 hxwx1, 0 or 1. Pixels nearer to the edge of a window than `texture.reach`
        depend on where the window is.

    Raises:
        CoverslipError: `model.json` does not hold what it should.
    """
    recipe, clusters, cells, seed = read_kmeans(model)
    if "choose" in clusters:
        return _GreyForeground(source, clusters)
    labels = label_windows(source, recipe, clusters, seed)

    def foreground(pixels: np.ndarray, row: int = 0, column: int = 0) -> np.ndarray:
        found = labels(pixels, row, column)
        return np.isin(found[..., np.newaxis], cells).astype(np.float32)

    return foreground


def read_kmeans(model: ModelFolder) -> tuple[KMeans, dict[str, Any], np.ndarray, int]:
    """Recipe, clusters (see `checked`), which of them are cells (uint8), and the seed of a model.

    Raises:
        CoverslipError: `model.json` does not hold what it should.
    """
    path = model.folder / "model.json"
    try:
        recipe, seed = KMeans(**model.info["kmeans"]), int(model.info["seed"])
        clusters = check_clusters(recipe, model.info["clusters"])
        if "choose" in clusters:
            return recipe, clusters, np.zeros(0, np.uint8), seed
        cells = model.info["clusters"]["cells"]
        if not cells or not set(cells) <= set(range(clusters["number"])):
            raise ValueError(f"cells are the clusters {cells} of {clusters['number']}")
        return recipe, clusters, np.asarray(cells, np.uint8), seed
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise CoverslipError(f"{path}: no valid clusters ({reason(error)}): train again") from error


def check_clusters(recipe: KMeans, clusters: dict[str, Any]) -> dict[str, Any]:
    """Return the key `clusters` of `model.json` with its lists as arrays.

    Raises:
        KeyError, TypeError, ValueError: something is missing or of another kind.
    """
    if "choose" in clusters:
        if clusters["choose"] != ELBOW or recipe.features != "raw_color":
            raise ValueError(f"clusters are chosen by {clusters['choose']}")
        return {"number": None, "cells": None, **clusters}
    number = int(clusters["number"])
    if not 2 <= number <= MOST:
        raise ValueError(f"{number} clusters")
    if recipe.features == "raw_color":
        return {"number": number}
    count = len(names(recipe.scales))
    shapes = {"mean": (count,), "standard_deviation": (count,), "centres": (number, count)}
    arrays = {name: np.asarray(clusters[name], np.float32) for name in shapes}
    for name, shape in shapes.items():
        if arrays[name].shape != shape or not np.isfinite(arrays[name]).all():
            raise ValueError(f"{name} is not {' x '.join(map(str, shape))} numbers")
    if (arrays["standard_deviation"] <= 0).any():
        raise ValueError("a standard deviation is not above 0")
    return {"number": number, **arrays}


def cluster_labels(
    image: np.ndarray, recipe: KMeans, clusters: dict[str, Any], seed: int
) -> np.ndarray:
    """Return the number of the cluster of each pixel, uint8 HxW; `OUTSIDE` the field of view.

    Args:
        image: uint8 HxWxC, C = 1 or 3, a whole image.
        recipe: the section `kmeans` of the study.
        clusters: as `checked` gives them.
        seed: of the study; only `raw_color` depends on it.
    """
    return label_windows(Whole(image), recipe, clusters, seed)(image, 0, 0)


def label_windows(
    source: Rows, recipe: KMeans, clusters: dict[str, Any], seed: int
) -> Callable[[np.ndarray, int, int], np.ndarray]:
    """Look at an image, and return a function from its windows to `cluster_labels`."""
    if recipe.features == "raw_color":
        return _raw_color(source, clusters["number"], seed)
    looks = TextureFeatures(source, recipe.scales)

    def labels(pixels: np.ndarray, row: int, column: int) -> np.ndarray:
        window = slice(row, row + pixels.shape[0]), slice(column, column + pixels.shape[1])
        found = np.full(pixels.shape[:2], OUTSIDE, np.uint8)
        field = looks.field.window(*window)
        if field.any():
            flat = looks.flat(pixels, row, column)
            for part, values in looks.of_flat(flat):
                scaled = (values - clusters["mean"]) / clusters["standard_deviation"]
                found[part] = nearest(scaled, clusters["centres"])
        found[~field] = OUTSIDE
        return found

    return labels


def _raw_color(
    source: Rows, clusters: int, seed: int
) -> Callable[[np.ndarray, int, int], np.ndarray]:
    channels = source.shape[2]
    counts = np.zeros(256**channels, np.int64)
    for part in parts(source):
        if channels == 1:
            counts += histogram(part)
        else:
            found, times = np.unique(_codes(part), return_counts=True)
            counts[found] += times
    codes = np.flatnonzero(counts)
    values = [codes // 256**power % 256 for power in reversed(range(channels))]
    colours = np.stack(values, axis=1).astype(np.uint8)
    _, numbers, _ = assign_clusters(colours, counts[codes], clusters, seed)
    table = np.zeros(len(counts), np.uint8)
    table[codes] = numbers
    return lambda pixels, row, column: table[_codes(pixels)]


def _codes(pixels: np.ndarray) -> np.ndarray:
    """One number per colour, in the order of the colours."""
    codes = np.zeros(pixels.shape[:2], np.uint32)
    for channel in range(pixels.shape[2]):
        codes = codes * np.uint32(256) + pixels[:, :, channel]
    return codes


def nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the number of the nearest centre of each point, uint8.

    Args:
        points: float32 ...xF.
        centres: float32 KxF.
    """
    products = points @ (-2 * centres.T)
    return (products + (centres**2).sum(axis=1)).argmin(axis=-1).astype(np.uint8)


class TextureFeatures:
    """What the features `texture` see of an image: its texture under even light.

    Attributes:
        field: the field of view; black surroundings do not count.
    """

    def __init__(self, source: Rows, scales: list[float]) -> None:
        """Fit the light of an image.

        Args:
            source: uint8 HxWxC, C = 1 or 3.
            scales: see `texture.features`.
        """
        self.scales = scales
        self.field = FieldOfView(source)
        self._source = source
        self._shape = (source.shape[0], source.shape[1])
        self._light = fit_background(source, self.field.window)

    def strips(self) -> list[slice]:
        """Rows of the image in parts that are looked at together; none without a field."""
        return [slice(*span) for span in spans(self._shape, STRIP)] if self.field.area else []

    def features(self, rows: slice) -> np.ndarray:
        """Features of these rows, float32 rows x W x F; the same whatever the strips."""
        beyond = reach(self.scales) * (1 if self.field.everything else 2)
        top, bottom = max(0, rows.start - beyond), min(self._shape[0], rows.stop + beyond)
        flat = self.flat(self._source.rows(top, bottom), top, 0)
        return features(flat, self.scales)[rows.start - top : rows.stop - top]

    def flat(self, pixels: np.ndarray, row: int, column: int) -> np.ndarray:
        """Divide a window by the light, and continue it beyond the field, float32 hxw.

        Args:
            pixels: uint8 hxwxC.
            row, column: of its first pixel.
        """
        window = slice(row, row + pixels.shape[0]), slice(column, column + pixels.shape[1])
        flat = to_grey(pixels).astype(np.float32) / background(self._light, self._shape, *window)
        field = self.field.window(*window)
        # The step to the surroundings would be texture.
        return fill_outside_fov(flat[:, :, np.newaxis], field)[:, :, 0]

    def of_flat(self, flat: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield the features of a flat window in strips: their rows, and float32 rows x w x F."""
        beyond = reach(self.scales)
        for start, stop in spans(flat.shape, STRIP):
            top = max(0, start - beyond)
            found = features(flat[top : stop + beyond], self.scales)
            yield slice(start, stop), found[start - top : stop - top]
