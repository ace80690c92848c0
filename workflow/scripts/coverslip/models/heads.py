"""Heads: what the output channels of a network mean.

- `mask`: class of each pixel; `instances`: background, interior and border, and the depth in the
  object; `class`: class of the whole image.

Targets for training are made from label images (`encode`), probabilities from logits
(`probabilities`, `calibrated_probabilities`), masks from probabilities (`class_map`).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from scipy.special import log_softmax, softmax

BACKGROUND, INTERIOR, BORDER = 0, 1, 2
"""Classes of the head `instance`."""

BORDER_WIDTH = 2
"""Thickness of the border inside each object, in pixels, where the object is thick enough."""

CORE = 0.5
"""Pixels at least this deep, as a share of the deepest pixel of their object, are interior however
near its outline they are: so that an object of a few pixels has an interior, too."""


def encode(labels: np.ndarray, head: str) -> np.ndarray:
    """Targets of a batch of label maps.

    Args:
        labels: uint16 (N, height, width), 0 is background; for `classification` (N, 1, 1), the
            class.
        head: `semantic`, `instance` or `classification`, see `config.Network`.

    Returns:
        For `semantic` uint8 (N, height, width), 1 is foreground. For `instance` uint8
        (N, height, width, 2): the class (0 background, 1 interior, 2 border) and the depth, 0..255.
        For `classification` int32 (N,), the class of the image.
    """
    if head == "classification":
        return labels[:, 0, 0].astype(np.int32)
    if head == "semantic":
        return (labels > 0).astype(np.uint8)
    return np.stack([instances(label) for label in labels])


def instances(label: np.ndarray) -> np.ndarray:
    """Class and depth of each pixel of one label map.

    The depth of a pixel is its Euclidean distance to the outline of its object, as a share of the
    largest such distance in the object, so that small and large objects are alike. Edges of the
    patch are no outlines. Three classes as in Caicedo et al., Evaluation of deep learning
    strategies for nucleus segmentation in fluorescence images, Cytometry A 2019.

    Args:
        label: uint16 (height, width), instances numbered from 1 on without gaps or with few.

    Returns:
        uint8 (height, width, 2): class and depth (255 is the deepest pixel of an object).
    """
    found = np.zeros((*label.shape, 2), np.uint8)
    inside = label > 0
    if not inside.any():
        return found
    distance = depth(label)
    deepest = np.ones(int(label.max()) + 1, np.float32)
    np.maximum.at(deepest, label[inside], distance[inside])
    share = np.where(inside, distance / deepest[label], 0.0)
    border = (distance <= BORDER_WIDTH) & (share < CORE)
    found[..., 0] = np.where(inside, np.where(border, BORDER, INTERIOR), BACKGROUND)
    found[..., 1] = np.where(inside, np.rint(255 * share), 0)
    return found


def depth(label: np.ndarray) -> np.ndarray:
    """Distance of each pixel of an object to the nearest pixel outside it, float32, in pixels.

    Pixels of the outline have 1, background 0. Between touching objects the outline pixels of the
    neighbour count as outline too, which is a pixel off at most.
    """
    outline = np.zeros(label.shape, bool)
    down = label[1:] != label[:-1]
    right = label[:, 1:] != label[:, :-1]
    outline[1:] |= down
    outline[:-1] |= down
    outline[:, 1:] |= right
    outline[:, :-1] |= right
    inside = label > 0
    free = (inside & ~outline).astype(np.uint8)
    if free.all():
        return np.full(label.shape, float(max(label.shape)), np.float32)  # one object is all
    return np.where(inside, cv2.distanceTransform(free, cv2.DIST_L2, 5) + 1.0, 0.0).astype("f4")


# --- Calibration of class probabilities by one number, the temperature

BOUNDS = (0.05, 20.0)
"""Smallest and largest temperature; where every validation image is right the likelihood has no
maximum, and the smallest one is taken."""


def fit_temperature(logits: np.ndarray, truth: np.ndarray) -> float:
    """Return the temperature with the smallest mean negative log likelihood.

    Args:
        logits: (N, K) float, of validation images.
        truth: (N,) int, their true classes.

    Returns:
        Within `BOUNDS`; 1 where there are no images.
    """
    if not len(truth):
        return 1.0
    logits = np.asarray(logits, np.float64)
    rows = np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(logits / np.exp(log_temperature), axis=1)[rows, truth].mean())

    low, high = np.log(BOUNDS)
    from scipy.optimize import minimize_scalar  # slow to load, and only training needs it

    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return round(float(np.exp(found.x)), 6)


def calibrated_probabilities(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Softmax of logits (..., K) over a temperature: float64 (..., K), sum 1."""
    return softmax(np.asarray(logits, np.float64) / temperature, axis=-1)


# --- What the channels of a network's answer mean

INSTANCES = "instance"
"""Head of models that separate objects."""


def probabilities(network: Any, head: str, temperature: float = 1.0) -> Any:
    """Return the network with its logits turned into float32 probabilities, 0..1.

    `semantic`: one channel by a sigmoid, more by a softmax, and so `classification`, whose
    logits are divided by the temperature. `instance`: background, interior and border by a
    softmax, and the depth by a sigmoid, see `coverslip.models.heads`.
    """
    import keras

    logits = network.output
    if head == INSTANCES:
        classes = keras.layers.Activation("softmax", dtype="float32")(logits[..., :3])
        depth = keras.layers.Activation("sigmoid", dtype="float32")(logits[..., 3:])
        return keras.Model(network.input, keras.ops.concatenate([classes, depth], axis=-1))
    if head == "classification":
        logits = logits / temperature
    activation = "sigmoid" if network.output_shape[-1] == 1 else "softmax"
    return keras.Model(network.input, keras.layers.Activation(activation, dtype="float32")(logits))


def foreground(probabilities: np.ndarray) -> np.ndarray:
    """Probability of foreground, float32 HxW: the only channel, or 1 - background.

    Args:
        probabilities: float32 HxWxK as `Model.predict` gives them.
    """
    if probabilities.shape[-1] == 1:
        return probabilities[..., 0]
    return np.float32(1) - probabilities[..., 0]


def class_map(probabilities: np.ndarray, threshold: float, head: str = "semantic") -> np.ndarray:
    """Class of each pixel, uint8 HxW, 0 is background.

    With one foreground class by the threshold on its probability, with more the most probable;
    interior and border of an object are both foreground.

    Args:
        probabilities: float32 HxWxK as `Model.predict` gives them.
        threshold: probability of foreground from which on a pixel is foreground.
        head: that of the model.
    """
    if head == INSTANCES or probabilities.shape[-1] <= 2:
        return (foreground(probabilities) >= threshold).astype(np.uint8)
    return probabilities.argmax(axis=-1).astype(np.uint8)
