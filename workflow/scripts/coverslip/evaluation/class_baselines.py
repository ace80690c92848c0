"""Predictions of classes that every result has to be seen beside.

`majority` always names the most frequent class of the training pictures. `Brightness` is a logistic
regression on how bright a picture is, without a look at any cell: what it gets right is lighting,
exposure and stain, which tell classes apart only where they were acquired apart.
"""

from __future__ import annotations

from typing import Any

import numpy as np

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
ITERATIONS = 2000


def majority(training: np.ndarray, classes: int) -> np.ndarray:
    """Shares of the classes among the training pictures: (classes,) float64, sum 1.

    As a prediction these are the best probabilities that know nothing of the picture; the most
    probable class is the most frequent one.

    Args:
        training: (N,) int, classes of the training pictures, N > 0.
        classes: number of classes.
    """
    return np.bincount(training, minlength=classes) / len(training)


def brightness(image: np.ndarray) -> np.ndarray:
    """Mean, standard deviation and `PERCENTILES` of each channel of a picture.

    Args:
        image: uint8 HxWxC, as `preprocess.picture` gives it.

    Returns:
        float64, 9 a channel, on the scale 0..255.
    """
    pixels = image.reshape(-1, image.shape[2]).astype(np.float64)
    percentiles = np.percentile(pixels, PERCENTILES, axis=0)
    return np.concatenate([pixels.mean(axis=0), pixels.std(axis=0), percentiles.ravel()])


class Brightness:
    """Logistic regression (L2 penalty of strength 1, standardised features) on `brightness`.

    Args:
        features: (N, F) of the training pictures.
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
