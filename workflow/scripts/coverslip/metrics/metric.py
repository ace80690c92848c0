"""A metric: its definition, its function, and how the images of a subset become one value.

A metric is either a function of sums over images (pooled: an image with many objects counts more)
or the mean over images of a function of each image. Both need only numbers that add up over images.
So the value of all images, of one training, of a baseline and of all groups but one is computed by
the same vectorized function. What is undefined (nothing to divide by) is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

Statistics = Mapping[str, np.ndarray]
"""Numbers of images by name, float64 (N, ...), or their sums over images, (..., ...)."""


class Support(NamedTuple):
    """What a metric is computed on."""

    unit: str
    statistic: str | None = None
    """Statistic that counts it; None: the images that are averaged over."""


@dataclass(frozen=True)
class Metric:
    """A metric with everything that a reader of a result needs to know about it."""

    name: str
    function: Callable[..., np.ndarray]
    inputs: tuple[str, ...]
    """Statistics that the function takes, in its order."""
    support: Support
    definition: str
    unit: str = "fraction"
    higher_is_better: bool | None = True
    """None where neither end is best, as for a bias or a count ratio."""
    average: Literal["no", "mean", "root_mean_square"] = "no"
    """`no`: the function takes sums over images. Else it takes the numbers of each image, and its
    values are averaged over the images for which it is defined."""
    selected: Callable[..., np.ndarray] | None = None
    """Takes what the function takes; images for which it is False do not count."""
    by_class: bool = False
    """Whether the function gives one value for each class, (..., K)."""
    class_index: int | None = None
    """The class of a metric `by_class`, see `expand_classes`."""

    @property
    def function_name(self) -> str:
        """Where the function is defined, such as `coverslip.metrics.pixels.iou`."""
        return f"{self.function.__module__}.{self.function.__qualname__}"

    @property
    def bounds(self) -> tuple[float, float] | None:
        """Smallest and largest possible value; None where it may be negative."""
        if self.unit in ("fraction", "%"):
            return (0.0, 1.0) if self.unit == "fraction" else (0.0, 100.0)
        return (0.0, np.inf) if self.higher_is_better is False or self.unit == "ratio" else None

    def compute(self, sums: Statistics) -> np.ndarray:
        """Return the values (...) of sums over images, see `image_statistics`."""
        if self.average == "no":
            values = self.function(*(sums[name] for name in self.inputs))
            return values if self.class_index is None else values[..., self.class_index]
        mean = ratio(sums[f"{self.name}: sum"], sums[f"{self.name}: images"])
        return mean if self.average == "mean" else np.sqrt(mean)

    def count(self, sums: Statistics) -> np.ndarray:
        """Return what the metric is computed on, (...)."""
        counts = sums[self.support.statistic or f"{self.name}: images"]
        return counts if self.class_index is None else counts[..., self.class_index]


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Return the quotient, NaN where the denominator is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator == 0, np.nan, numerator / denominator)


def expand_classes(metrics: Iterable[Metric], classes: int) -> list[Metric]:
    """Return the metrics of all classes together, then those of each class."""
    metrics = list(metrics)
    single = [metric for metric in metrics if metric.by_class]
    whole = [metric for metric in metrics if not metric.by_class]
    return whole + [replace(m, class_index=index) for index in range(classes) for m in single]


def image_statistics(metrics: Iterable[Metric], images: Statistics) -> dict[str, np.ndarray]:
    """Return the numbers of images that add up, all that `metrics` need.

    Args:
        metrics: which ones.
        images: the inputs and supports of the metrics for each image, (N, ...).
    """
    statistics: dict[str, np.ndarray] = {}
    for metric in metrics:
        if metric.support.statistic:
            statistics[metric.support.statistic] = images[metric.support.statistic]
        inputs = {name: images[name] for name in metric.inputs}
        if metric.average == "no":
            statistics |= inputs
            continue
        values = metric.function(*inputs.values())
        counted = ~np.isnan(values)
        if metric.selected is not None:
            counted &= metric.selected(*inputs.values())
        values = np.where(counted, values, 0.0)
        statistics[f"{metric.name}: sum"] = values if metric.average == "mean" else values**2
        statistics[f"{metric.name}: images"] = counted.astype(float)
    return statistics


class Layout:
    """The columns of statistics in one array, so that they are added up together."""

    def __init__(self, statistics: Statistics) -> None:
        self.shapes = {name: array.shape[1:] for name, array in statistics.items()}

    def pack(self, statistics: Statistics) -> np.ndarray:
        """Return the statistics of N images as one float64 array (N, S)."""
        parts = [statistics[name].reshape(len(statistics[name]), -1) for name in self.shapes]
        return np.concatenate(parts, axis=1)

    def unpack(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """Return (..., S) by name, each with its own last axes."""
        arrays, start = {}, 0
        for name, shape in self.shapes.items():
            part = values[..., start : start + math.prod(shape)]
            arrays[name] = part.reshape(*values.shape[:-1], *shape)
            start += math.prod(shape)
        return arrays


def sum_statistics(metrics: Sequence[Metric], images: Statistics) -> dict[str, np.ndarray]:
    """Return the sums over images of what `metrics` need."""
    return {name: array.sum(axis=0) for name, array in image_statistics(metrics, images).items()}
