"""What the channels of a network's answer mean.

`mask`: foreground, or the classes from background on. `instances`: background, interior and border
of objects, and the depth of a pixel inside its object, see `coverslip.learning.targets`. `class`:
the classes of a whole picture.

Keras is imported only where a network is given.
"""

from __future__ import annotations

from typing import Any

import numpy as np

INSTANCES = "instances"
"""Head of models that tell objects apart."""


def probabilities(network: Any, head: str, temperature: float = 1.0) -> Any:
    """The network with its logits turned into float32 probabilities, 0..1.

    `mask`: one channel by a sigmoid, more by a softmax, and so `class`, whose logits are divided by
    the temperature. `instances`: background, interior and border by a softmax, and the depth by a
    sigmoid, see `coverslip.learning.targets`.
    """
    import keras

    logits = network.output
    if head == INSTANCES:
        classes = keras.layers.Activation("softmax", dtype="float32")(logits[..., :3])
        depth = keras.layers.Activation("sigmoid", dtype="float32")(logits[..., 3:])
        return keras.Model(network.input, keras.ops.concatenate([classes, depth], axis=-1))
    if head == "class":
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


def class_map(probabilities: np.ndarray, threshold: float, head: str = "mask") -> np.ndarray:
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
