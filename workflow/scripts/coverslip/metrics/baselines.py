"""Trivial predictions that every result has to be seen beside.

Needs no training and no labels: `all_background` never finds anything, `otsu` is the threshold
that a student would try first. Its objects are the regions of its mask, as they are
(`otsu_components`) or cut where they are narrow (`otsu_watershed`).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from scipy import ndimage
from skimage.filters import threshold_otsu
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

from coverslip.imaging.intensity import to_grey
from coverslip.imaging.labels import drop_small

SMOOTHING = 1.0
"""Standard deviation in pixels of the Gaussian that smooths distances, so that a rough outline
makes no peaks."""

PROMINENCE = 1.0
"""Peaks of the distance that rise less than this many pixels above the pass to a higher one are
part of it."""

NEIGHBOURS = np.ones((3, 3), bool)
"""Pixels touch at sides and corners."""


def all_background(shape: tuple[int, int]) -> np.ndarray:
    """Mask (bool, HxW) without a single foreground pixel."""
    return np.zeros(shape, dtype=bool)


def otsu(image: np.ndarray) -> np.ndarray:
    """Foreground by Otsu's threshold (IEEE Trans. SMC 9(1), 1979) on the grey image.

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
    """Objects of `otsu`: its 8-connected regions of at least `min_area_px` pixels, int32 HxW."""
    return drop_small(ndimage.label(otsu(image), NEIGHBOURS)[0], min_area_px)


def otsu_watershed(image: np.ndarray, min_area_px: int) -> np.ndarray:
    """Objects of `otsu`, holes filled, cut where they are narrow by a watershed on distance.

    Each prominent peak of the smoothed distance to the background floods its surroundings (Meyer,
    Signal Processing 38, 1994; peaks as in Soille, Morphological Image Analysis, 2003). The two
    constants are the best of a few that were tried on images of the 2018 Data Science Bowl, so
    that the model has a fair opponent: without smoothing, its mean AP was no better than uncut.

    Args:
        image: HxW or HxWxC (1, 3 or 4 channels), uint8 or uint16.
        min_area_px: objects of fewer pixels are left out.

    Returns:
        int32 HxW, 0 is background, objects are 1, 2, ... without gaps.
    """
    mask = ndimage.binary_fill_holes(otsu(image))
    distance = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    distance = cv2.GaussianBlur(distance, (0, 0), SMOOTHING)
    peaks = mask & (h_maxima(distance, PROMINENCE) > 0)
    regions, count = ndimage.label(mask, NEIGHBOURS)
    # A region too thin for a prominent peak is an object as it is.
    flat = np.bincount(regions[peaks], minlength=count + 1) == 0
    seeds, _ = ndimage.label(peaks | (mask & flat[regions]), NEIGHBOURS)
    return drop_small(watershed(-distance, seeds, mask=mask), min_area_px)


# --- Predictions of classes that every result has to be seen beside

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)

ITERATIONS = 2000


def majority(training: np.ndarray, classes: int) -> np.ndarray:
    """Shares of the classes among the training images: (classes,) float64, sum 1.

    As a prediction these are the best probabilities that know nothing of the image; the most
    probable class is the most frequent one.

    Args:
        training: (N,) int, classes of the training images, N > 0.
        classes: number of classes.
    """
    return np.bincount(training, minlength=classes) / len(training)


def brightness(image: np.ndarray) -> np.ndarray:
    """Mean, standard deviation and `PERCENTILES` of each channel of an image.

    Args:
        image: uint8 HxWxC, as `preprocess.image` gives it.

    Returns:
        float64, 9 a channel, on the scale 0..255.
    """
    pixels = image.reshape(-1, image.shape[2]).astype(np.float64)
    percentiles = np.percentile(pixels, PERCENTILES, axis=0)
    return np.concatenate([pixels.mean(axis=0), pixels.std(axis=0), percentiles.ravel()])


class Brightness:
    """Logistic regression (L2 penalty of strength 1, standardised features) on `brightness`.

    Args:
        features: (N, F) of the training images.
        training: (N,) int, their classes.
        classes: number of classes; those that training lacks get probability 0.
    """

    def __init__(self, features: np.ndarray, training: np.ndarray, classes: int) -> None:
        self.classes = classes
        self.known = np.unique(training)
        self._model: Any = None
        if len(self.known) > 1:
            from sklearn.linear_model import LogisticRegression  # half a second to import
            from sklearn.pipeline import make_pipeline
            from sklearn.preprocessing import StandardScaler

            regression = LogisticRegression(max_iter=ITERATIONS)
            self._model = make_pipeline(StandardScaler(), regression).fit(features, training)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Probabilities of the classes: (N, classes) float64, rows sum to 1."""
        found = np.zeros((len(features), self.classes))
        if self._model is None:
            found[:, self.known] = 1.0
        elif len(features):
            found[:, self.known] = self._model.predict_proba(features)
        return found
