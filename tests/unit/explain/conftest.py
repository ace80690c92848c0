"""A small network and an image to explain."""

import numpy as np
import pytest

from coverslip.config.sections import Network
from coverslip.models import networks
from coverslip.runtime import device

device.prepare(threads=1)

import keras  # noqa: E402


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(4)
    section = Network(architecture="cnn", filters=4, depth=1, num_classes=3, normalization="none")
    return networks.build(section, (16, 16, 1))


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).normal(0, 1, (16, 16, 1)).astype(np.float32)
