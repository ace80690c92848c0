"""Baselines: simple predictions that every result is compared with.

Of masks: all background, Otsu's threshold on grey values and on local deviation. Of instances: the
regions of Otsu's mask, as they are (`otsu_components`) or cut where they are narrow
(`otsu_watershed`). Of classes: the most frequent class, and a regression on brightness alone.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

from coverslip.imaging.field_of_view import fill_outside_fov
from coverslip.imaging.intensity import to_grey
from coverslip.imaging.labels import drop_small

SMOOTHING_PX = 1.0
"""Standard deviation of the Gaussian that smooths distances, so that a rough contour makes no
peaks."""

PROMINENCE_PX = 1.0
"""Peaks of the distance that rise less than this above the pass to a higher one are part of it."""

DEVIATION_PX = 3.0
"""Standard deviation of the Gaussian window of `otsu_of_deviation`."""

EIGHT_CONNECTED = np.ones((3, 3), bool)

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)

MAX_ITERATIONS = 2000


def all_background(shape: tuple[int, int]) -> np.ndarray:
    """Return a mask (bool HxW) without foreground."""
    return np.zeros(shape, dtype=bool)


def otsu(image: np.ndarray) -> np.ndarray:
    """Return the foreground by Otsu's threshold (IEEE Trans. SMC 9(1), 1979) on the grey image.

    The side of the threshold with fewer pixels is the foreground, because nuclei cover the
    smaller part of nearly every image, bright or dark; at a tie the brighter side is. An image
    of one grey value is all background.

    Args:
        image: HxW or HxWxC (1, 3 or 4 channels), uint8 or uint16.

    Returns:
        bool HxW.
    """
    grey = to_grey(image)
    if grey.min() == grey.max():
        return all_background(grey.shape)
    bright = grey > threshold_otsu(grey)
    return ~bright if bright.mean() > 0.5 else bright


def otsu_components(image: np.ndarray, min_area_px: int) -> np.ndarray:
    """Return the 8-connected regions of `otsu` with at least `min_area_px` pixels, int32 HxW."""
    return drop_small(ndimage.label(otsu(image), EIGHT_CONNECTED)[0], min_area_px)


def otsu_watershed(image: np.ndarray, min_area_px: int) -> np.ndarray:
    """Return the objects of `otsu`, holes filled, cut by a watershed on distance.

    Each prominent peak of the smoothed distance to the background floods its surroundings (Meyer,
    Signal Processing 38, 1994; peaks as in Soille, Morphological Image Analysis, 2003). The two
    constants are the best of a few that were tried on images of DSB 2018: without smoothing, the
    mean AP was no better than that of uncut regions.

    Args:
        image: HxW or HxWxC (1, 3 or 4 channels), uint8 or uint16.
        min_area_px: objects of fewer pixels are left out.

    Returns:
        int32 HxW, 0 is background, objects are 1, 2, ... without gaps.
    """
    mask = ndimage.binary_fill_holes(otsu(image))
    distance = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    distance = cv2.GaussianBlur(distance, (0, 0), SMOOTHING_PX)
    peaks = mask & (h_maxima(distance, PROMINENCE_PX) > 0)
    regions, count = ndimage.label(mask, EIGHT_CONNECTED)
    # A region too thin for a prominent peak is an object as it is.
    flat = np.bincount(regions[peaks], minlength=count + 1) == 0
    seeds, _ = ndimage.label(peaks | (mask & flat[regions]), EIGHT_CONNECTED)
    return drop_small(watershed(-distance, seeds, mask=mask), min_area_px)


def otsu_of_deviation(image: np.ndarray, field: np.ndarray) -> np.ndarray:
    """Return the foreground by Otsu's threshold on the local standard deviation, bool HxW.

    The usual method without training (Topman, Sharabani-Yosef and Gefen, Microsc. Microanal. 17,
    2011): unstained cells are rough where the ground is smooth.

    Args:
        image: uint8 or uint16 HxWxC, 1, 3 or 4 channels.
        field: bool HxW, the field of view; other pixels have no influence.
    """
    if not field.any():
        return np.zeros(field.shape, bool)
    grey = to_grey(fill_outside_fov(image, field)).astype(np.float32)
    grey -= grey[field].mean()
    mean, square = (
        cv2.GaussianBlur(array, (0, 0), DEVIATION_PX, borderType=cv2.BORDER_REFLECT)
        for array in (grey, grey * grey)
    )
    deviation = np.sqrt(np.maximum(square - mean * mean, 0))
    inside = deviation[field]
    if inside.min() == inside.max():
        return np.zeros(field.shape, bool)
    return (deviation > threshold_otsu(inside)) & field


INSTANCES = {"otsu": otsu_components, "otsu watershed": otsu_watershed}
"""Baselines of instances: from an image and the smallest area to a label image."""


# --- Classes of images


def majority(training: np.ndarray, classes: int) -> np.ndarray:
    """Return the fractions of the classes among the training images: (classes,) float64, sum 1.

    As a prediction these are the best probabilities that do not depend on the image; the most
    probable class is the most frequent one.

    Args:
        training: (N,) int, classes of the training images, N > 0.
        classes: number of classes.
    """
    return np.bincount(training, minlength=classes) / len(training)


def brightness(image: np.ndarray) -> np.ndarray:
    """Return mean, standard deviation and `PERCENTILES` of each channel of an image.

    Args:
        image: uint8 HxWxC, as `preprocess.image` gives it.

    Returns:
        float64, 9 for each channel, on the scale 0..255.
    """
    pixels = image.reshape(-1, image.shape[2]).astype(np.float64)
    percentiles = np.percentile(pixels, PERCENTILES, axis=0)
    return np.concatenate([pixels.mean(axis=0), pixels.std(axis=0), percentiles.ravel()])


class Brightness:
    """Logistic regression (L2 penalty of strength 1, standardized features) on `brightness`.

    Args:
        features: (N, F) of the training images.
        training: (N,) int, their classes.
        classes: number of classes; those without training images get probability 0.
    """

    def __init__(self, features: np.ndarray, training: np.ndarray, classes: int) -> None:
        self.classes = classes
        self.present = np.unique(training)
        self._model: Any = None
        if len(self.present) > 1:
            from sklearn.linear_model import LogisticRegression  # half a second to import
            from sklearn.pipeline import make_pipeline
            from sklearn.preprocessing import StandardScaler

            regression = LogisticRegression(max_iter=MAX_ITERATIONS)
            self._model = make_pipeline(StandardScaler(), regression).fit(features, training)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return the probabilities of the classes: (N, classes) float64, rows sum to 1."""
        probabilities = np.zeros((len(features), self.classes))
        if self._model is None:
            probabilities[:, self.present] = 1.0
        elif len(features):
            probabilities[:, self.present] = self._model.predict_proba(features)
        return probabilities
