"""K-means as a model: from a picture and `model.json` to the clusters and to the foreground.

Two recipes (see `coverslip.configuration.config.KMeans`). `published` clusters the raw colours of
each picture anew; what is stored are the number of clusters and which of them, from the darkest on,
are cells. `honest` makes the light even, looks at local texture beside brightness, and puts each
pixel into the nearest of the clusters that were found on the training pictures; their centres are
stored.

The key `clusters` of `model.json` holds `number`; `cells`, the clusters that are foreground; and,
for `honest`, `features` (their names), their `mean` and `standard_deviation` over the training
pictures, and the `centres` in these units, one a cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from coverslip.configuration.config import KMeans
from coverslip.errors import CoverslipError
from coverslip.evaluation.baselines import to_grey
from coverslip.measuring.measure_field import continued, field_of_view
from coverslip.models.flatfield import background, fit_background
from coverslip.models.kmeans import partition
from coverslip.models.texture import features, names, reach

if TYPE_CHECKING:
    from coverslip.models.model import Model
    from coverslip.models.tiles import Predict

OUTSIDE = 255
"""Label of pixels outside of the field of view."""
MOST = 64
"""Largest number of clusters."""
STRIP = 2**20
"""Features are computed in strips of about so many pixels, so that a large picture fits."""
THRESHOLD = 0.5
"""Predictions are 0 or 1."""


def predictor(model: Model) -> Predict:
    """The model of a folder as a function of whole pictures.

    Returns:
        A function from uint8 NxHxWxC to the foreground, float32 NxHxWx1, 0 or 1.

    Raises:
        CoverslipError: `model.json` does not hold what it should.
    """
    recipe, clusters, cells, seed = read(model)

    def predict(images: np.ndarray) -> np.ndarray:
        found = [labels(image, recipe, clusters, seed) for image in images]
        return np.isin(np.stack(found)[..., np.newaxis], cells).astype(np.float32)

    return predict


def read(model: Model) -> tuple[KMeans, dict[str, Any], np.ndarray, int]:
    """Recipe, clusters (see `checked`), which of them are cells (uint8), and the seed of a model.

    Raises:
        CoverslipError: `model.json` does not hold what it should.
    """
    path = model.folder / "model.json"
    try:
        cells = np.asarray(model.info["clusters"]["cells"], np.uint8)
        recipe, seed = KMeans(**model.info["kmeans"]), int(model.info["seed"])
        return recipe, checked(recipe, model.info["clusters"]), cells, seed
    except (KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CoverslipError(f"{path}: tells no clusters ({reason}): train anew") from error


def checked(recipe: KMeans, clusters: dict[str, Any]) -> dict[str, Any]:
    """The key `clusters` of `model.json` with its lists as arrays.

    Raises:
        KeyError, TypeError, ValueError: something is missing or of another kind.
    """
    number = int(clusters["number"])
    if not 2 <= number <= MOST:
        raise ValueError(f"{number} clusters")
    if recipe.recipe == "published":
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


def labels(image: np.ndarray, recipe: KMeans, clusters: dict[str, Any], seed: int) -> np.ndarray:
    """The number of the cluster of each pixel, uint8 HxW; `OUTSIDE` the field of view.

    Args:
        image: uint8 HxWxC, C = 1 or 3, a whole picture.
        recipe: the section `kmeans` of the study.
        clusters: as `checked` gives them.
        seed: of the study; only `published` depends on it.
    """
    if recipe.recipe == "published":
        return partition(image, clusters["number"], seed).labels
    found = np.full(image.shape[:2], OUTSIDE, np.uint8)
    looks = Looks(image, recipe.scales)
    for rows in looks.strips():
        scaled = (looks.features(rows) - clusters["mean"]) / clusters["standard_deviation"]
        found[rows] = nearest(scaled, clusters["centres"])
    found[~looks.field] = OUTSIDE
    return found


def nearest(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Number of the nearest centre of each point, uint8.

    Args:
        points: float32 ...xF.
        centres: float32 KxF.
    """
    products = points @ (-2 * centres.T)
    return (products + (centres**2).sum(axis=1)).argmin(axis=-1).astype(np.uint8)


class Looks:
    """What the recipe `honest` sees of a picture: its texture under even light, strip by strip.

    Attributes:
        field: bool HxW, the field of view; black surroundings do not count.
    """

    def __init__(self, image: np.ndarray, scales: list[float]) -> None:
        """Look at a picture.

        Args:
            image: uint8 HxWxC, C = 1 or 3.
            scales: see `texture.features`.
        """
        self.scales = scales
        self.field = field_of_view(image, "black")
        self._grey = to_grey(image)
        self._light = fit_background(self._grey, self.field)
        self._flat: np.ndarray | None = None
        if not self.field.all():
            # The step to the surroundings would be texture: the picture goes on beyond its field.
            flat = self._flattened(slice(0, len(self._grey)))
            self._flat = continued(flat[:, :, np.newaxis], self.field)[:, :, 0]

    def strips(self) -> list[slice]:
        """Rows of the picture in parts that are looked at together; none without a field."""
        height, width = self._grey.shape
        step = max(1, STRIP // width)
        starts = range(0, height, step) if self.field.any() else ()
        return [slice(start, min(start + step, height)) for start in starts]

    def features(self, rows: slice) -> np.ndarray:
        """Features of these rows, float32 rows x W x F; the same whatever the strips."""
        beyond = reach(self.scales)
        wide = slice(max(0, rows.start - beyond), min(len(self._grey), rows.stop + beyond))
        flat = self._flattened(wide) if self._flat is None else self._flat[wide]
        inner = slice(rows.start - wide.start, rows.stop - wide.start)
        return features(flat, self.scales)[inner]

    def _flattened(self, rows: slice) -> np.ndarray:
        light = background(self._light, self._grey.shape, rows)
        return self._grey[rows].astype(np.float32) / light
