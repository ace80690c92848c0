"""Small models that are not trained."""

import numpy as np

from coverslip.config.sections import Preprocessing

RNG = np.random.default_rng(4)


GREY16 = Preprocessing(channels="grey", patch=16, normalization="dtype_range")


def network(outputs=1, shape=(None, None, 1), kernel=3, gain=1.0):
    """A convolution with fixed random weights."""
    import keras

    keras.utils.set_random_seed(8)
    inputs = keras.Input(shape)
    logits = keras.layers.Conv2D(outputs, kernel, padding="same")(inputs)
    made = keras.Model(inputs, logits)
    made.set_weights([gain * weights for weights in made.get_weights()])
    return made


def info(p=GREY16, **more):
    return {
        "classes": ["background", "nucleus"],
        "preprocessing": p,
        "fitted": {},
        "threshold": 0.4,
        **more,
    }


def grey(*size):
    return RNG.integers(0, 255, size, np.uint8)
