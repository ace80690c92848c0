"""Confluency: the percentage of the field of view that cells cover, and its error.

What is outside the field of view (black surroundings, `coverslip.imaging.field_of_view`) is no
area, neither of the truth nor of a prediction. Like the other metrics
(`coverslip.metrics.pixels`), those of the error are functions of sums over images: an image
is reduced to the numbers `STATISTICS`. All functions take `sums` (..., S) and give (...) float64;
what is undefined (nothing to divide by) is NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pandas as pd
from skimage.filters import threshold_otsu

from coverslip.imaging.field_of_view import fill_outside_fov
from coverslip.imaging.intensity import to_grey
from coverslip.metrics.pixels import Metric, ratio

if TYPE_CHECKING:
    from coverslip.evaluation.summary import Sources

BANDS = ((0, 25), (25, 50), (50, 75), (75, 100))
"""Bands of the true confluency in percent, each without its end but the last."""

EACH = ("images", "error", "absolute_error", "squared_error")

STATISTICS = (
    "true",
    "predicted",
    *EACH,
    *(f"{name}_{low}_{high}" for low, high in BANDS for name in EACH),
)
"""What is kept of an image: its confluency in truth and prediction in percent; 1, its error
(predicted less true) in percentage points, without its sign, and its square; the latter four again
for each band of the true confluency. All are 0 for an image without a field of view."""

FIELD, TRUE, PREDICTED = "fov_area_px", "fov_true_px", "fov_predicted_px"

OTSU = "field_otsu_px"

DEVIATION = "field_deviation_px"

SOURCES = {
    "model": PREDICTED,
    "all background": None,
    "otsu": OTSU,
    "otsu of deviation": DEVIATION,
}
"""The model and what it is compared with: where the pixels that each covers stand."""

TABLE = ["fov_area_px", "confluency_true", "confluency_predicted", "confluency_error"]
"""Columns for `images.csv`: pixels of the field of view, and percentages of it."""

POINTS = "percentage points"

DEVIATION_SCALE = 3.0
"""Standard deviation in pixels of the Gaussian window of the baseline of local deviation."""


def truth_areas(
    field: np.ndarray, truth: np.ndarray, otsu: np.ndarray, deviation: np.ndarray
) -> dict[str, int]:
    """How many pixels of the field of view truth and baselines cover, by column.

    Args:
        field: bool HxW, the field of view.
        truth: bool HxW, true foreground.
        otsu: bool HxW, `baselines.otsu` of the image.
        deviation: bool HxW, `deviation_mask` of the image.
    """
    covered = {TRUE: truth, OTSU: otsu, DEVIATION: deviation}
    pixels = {name: int(np.count_nonzero(mask & field)) for name, mask in covered.items()}
    return {FIELD: int(np.count_nonzero(field)), **pixels}


def predicted_area(field: np.ndarray, mask: np.ndarray) -> dict[str, int]:
    """How many pixels of the field of view a prediction (bool HxW) covers, by column."""
    return {PREDICTED: int(np.count_nonzero(mask & field))}


def deviation_mask(image: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Foreground by Otsu's threshold on the local standard deviation, bool HxW.

    The usual way without training (Topman, Sharabani-Yosef and Gefen, Microsc. Microanal. 17,
    2011): unstained cells are rough where the ground is smooth. Rough is foreground.

    Args:
        image: uint8 or uint16 HxWxC, 1, 3 or 4 channels.
        field: bool HxW, the field of view; only its pixels have a say.
    """
    if not field.any():
        return np.zeros(field.shape, bool)
    grey = to_grey(fill_outside_fov(image, field)).astype(np.float32)
    grey -= grey[field].mean()
    mean, square = (
        cv2.GaussianBlur(array, (0, 0), DEVIATION_SCALE, borderType=cv2.BORDER_REFLECT)
        for array in (grey, grey * grey)
    )
    deviation = np.sqrt(np.maximum(square - mean * mean, 0))
    inside = deviation[field]
    if inside.min() == inside.max():
        return np.zeros(field.shape, bool)
    return (deviation > threshold_otsu(inside)) & field


def sources() -> Sources:
    """The model, nothing found, Otsu's threshold on the grey values and on the local deviation."""
    return {source: partial(_statistics_of, column=column) for source, column in SOURCES.items()}


def _statistics_of(rows: pd.DataFrame, column: str | None) -> np.ndarray:
    covered = np.zeros(len(rows)) if column is None else rows[column].to_numpy(dtype=float)
    return statistics(rows[FIELD].to_numpy(), rows[TRUE].to_numpy(), covered)


def statistics(field: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Sufficient statistics of images: (N, S) float64, in the order of `STATISTICS`.

    Args:
        field: (N,) pixels of the field of view.
        true: (N,) pixels of it that are covered.
        predicted: (N,) pixels of it that are covered as predicted.
    """
    true, predicted = percent(true, field), percent(predicted, field)
    error = predicted - true
    counts = np.stack([np.ones(len(error)), error, np.abs(error), error**2], axis=-1)
    counts[np.isnan(error)] = 0
    first = np.nan_to_num(np.stack([true, predicted], axis=-1))
    edges = [low for low, _ in BANDS[1:]]
    band = np.searchsorted(edges, np.nan_to_num(true), side="right")
    by_band = [counts * (band == number)[:, np.newaxis] for number in range(len(BANDS))]
    return np.concatenate([first, counts, *by_band], axis=-1)


def percent(pixels: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Percentage of the field of view, float64; NaN where there is no field."""
    field = np.asarray(field, dtype=np.float64)
    return 100 * ratio(np.asarray(pixels, dtype=np.float64), field)


def column(sums: np.ndarray, name: str) -> np.ndarray:
    """One statistic of `sums` (..., S): (...)."""
    return sums[..., STATISTICS.index(name)]


def mean(sums: np.ndarray, name: str, band: str = "") -> np.ndarray:
    """Mean of a statistic over images, of all or of a band such as `_0_25`."""
    return ratio(column(sums, name + band), column(sums, f"images{band}"))


def root_mean_square(sums: np.ndarray, band: str = "") -> np.ndarray:
    """Root of the mean squared error over images."""
    return np.sqrt(mean(sums, "squared_error", band))


def metrics(observed: pd.DataFrame) -> list[Metric]:
    """Metrics of the confluency, overall and in those bands that have images.

    Args:
        observed: rows with the columns of `truth_areas`.
    """
    sums = _statistics_of(observed, SOURCES["model"]).sum(axis=0)
    found = [band for band in BANDS if column(sums, f"images_{band[0]}_{band[1]}") > 0]
    of_bands = (metric for band in found for metric in _errors_in(band))
    return [*_whole(), *_errors("images", "images"), *of_bands]


def of_groups(observed: pd.DataFrame) -> pd.DataFrame:
    """Observations of whole groups: areas of all images of a well, slide or field together.

    Args:
        observed: rows of one subset, with the columns of `truth_areas` and `predicted_area`.

    Returns:
        One row a group and run (id: the group, fold, seed, group), with the same columns of areas.
    """
    areas = [FIELD, TRUE, *(name for name in SOURCES.values() if name)]
    found = observed.groupby(["fold", "seed", "group"], sort=True)[areas].sum().reset_index()
    return found.assign(id=found["group"])


def group_metrics() -> list[Metric]:
    """Metrics of the confluency of whole groups, of the rows of `of_groups`."""
    over = "groups, all images of a group taken together"
    return _errors(over, "groups", kind="group_")


def _whole() -> list[Metric]:
    words = {
        "confluency": ("predicted", "as predicted"),
        "confluency_true": ("true", "in truth, which is the same for all methods"),
    }
    return [
        Metric(
            name,
            "%",
            f"Percentage of the field of view that cells cover, {word}: mean over images.",
            partial(mean, name=statistic),
            partial(column, name="images"),
            "images",
        )
        for name, (statistic, word) in words.items()
    ]


def _errors_in(band: tuple[int, int]) -> list[Metric]:
    low, high = band
    over = f"images of {low} to {high} % true confluency"
    return _errors(over, "images", f"_{low}_{high}")


def _errors(over: str, support_unit: str, band: str = "", kind: str = "") -> list[Metric]:
    """The three errors, over what the words tell, of all or of a band such as `_0_25`."""
    error = "predicted - true percentage of the field of view that cells cover"
    told: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
        "bias": (
            f"Mean of {error}, over {over}: above 0 where too much is found.",
            partial(mean, name="error", band=band),
        ),
        "mae": (
            f"Mean of |{error}|, over {over}.",
            partial(mean, name="absolute_error", band=band),
        ),
        "rmse": (
            f"Root of the mean square of {error}, over {over}.",
            partial(root_mean_square, band=band),
        ),
    }
    support = partial(column, name=f"images{band}")
    return [
        Metric(f"confluency_{kind}{name}{band}", POINTS, text, compute, support, support_unit)
        for name, (text, compute) in told.items()
    ]


def columns(observed: pd.DataFrame) -> pd.DataFrame:
    """The columns `TABLE` of observations; empty where an image has no field of view."""
    field = observed[FIELD]
    true, predicted = (percent(observed[name], field) for name in (TRUE, PREDICTED))
    values = [field, true, predicted, predicted - true]
    return pd.DataFrame(dict(zip(TABLE, values, strict=True)), index=observed.index)
