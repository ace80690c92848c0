"""What is settled after training."""

import numpy as np
import pytest

from coverslip.config.sections import Augmentation, Network
from coverslip.models import networks
from coverslip.runtime import device
from coverslip.training import calibration

device.prepare(threads=1)

import keras  # noqa: E402
from test_batches import batches, patches  # noqa: E402, F401

# noqa: E402
# noqa: E402
# noqa: E402
# noqa: E402


def test_statistics_are_the_plain_mean_over_batches(patches):  # noqa: F811
    given = batches(patches).shuffled(1, 0, Augmentation(flip=True, rot90=False, gamma=(1.0, 1.0)))
    network = networks.build(
        Network(filters=2, depth=1, normalization="batch", head="semantic", stem_stride=1),
        (None, None, 1),
    )
    first = next(x for x in network.layers if isinstance(x, keras.layers.BatchNormalization))
    before = keras.Model(network.input, first.input)
    calibration.recalibrate_batchnorm(network, given)
    activity = [keras.ops.convert_to_numpy(before(given[i][0])) for i in range(len(given))]
    means = np.mean([a.mean((0, 1, 2)) for a in activity], axis=0)
    variances = np.mean([a.var((0, 1, 2)) for a in activity], axis=0)
    assert first.moving_mean.numpy() == pytest.approx(means, rel=1e-4, abs=1e-5)
    assert first.moving_variance.numpy() == pytest.approx(variances, rel=1e-4)
    assert first.momentum == 0.9


def test_a_network_without_batch_normalization_is_left_alone(patches):  # noqa: F811
    network = networks.build(
        Network(filters=2, depth=1, head="semantic", stem_stride=1, normalization="group"),
        (None, None, 1),
    )
    before = [value.numpy().copy() for value in network.variables]
    calibration.recalibrate_batchnorm(
        network,
        batches(patches).shuffled(1, 0, Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0))),
    )
    for old, new in zip(before, network.variables, strict=True):
        assert np.array_equal(old, new.numpy())
