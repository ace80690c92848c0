"""Batch normalization as one operation while training."""

import keras
import numpy as np
import pytest

from coverslip.config.sections import Network
from coverslip.models import networks
from coverslip.training import batchnorm, trainer

SHAPE = (64, 64, 3)


@pytest.fixture
def drawn() -> np.ndarray:
    return np.random.default_rng(3).normal(2, 3, (4, 8, 8, 16)).astype("float32")


def one_layer(channels: int = 16, **options) -> keras.Model:
    inputs = keras.Input((8, 8, channels))
    network = keras.Model(inputs, keras.layers.BatchNormalization(momentum=0.9, **options)(inputs))
    rng = np.random.default_rng(5)
    network.set_weights([rng.uniform(0.5, 2, w.shape) for w in network.get_weights()])
    return network


def kinds(network: keras.Model) -> set[str]:
    return {
        type(layer).__name__
        for layer in network.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    }


def test_output_and_averages_are_those_of_keras(drawn):
    plain = one_layer()
    fast = batchnorm.fuse_batchnorm(plain)
    assert kinds(fast) == {"FusedBatchNormalization"}
    np.testing.assert_allclose(
        fast(drawn, training=True), plain(drawn, training=True), rtol=1e-5, atol=1e-5
    )
    for ours, theirs in zip(fast.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    fast.set_weights(plain.get_weights())
    np.testing.assert_array_equal(fast(drawn, training=False), plain(drawn, training=False))


def test_gradients_are_those_of_keras(drawn):
    import tensorflow as tf

    target = np.random.default_rng(4).normal(size=drawn.shape).astype("float32")
    plain = one_layer()
    found = []
    for network in (plain, batchnorm.fuse_batchnorm(plain)):
        given = tf.constant(drawn)
        with tf.GradientTape() as tape:
            tape.watch(given)
            loss = tf.reduce_sum((network(given, training=True) - target) ** 2)
        found.append(tape.gradient(loss, [given, *network.trainable_variables]))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


def test_a_frozen_layer_follows_no_batch(drawn):
    plain = one_layer()
    plain.layers[-1].trainable = False
    fast = batchnorm.fuse_batchnorm(plain)
    before = fast.get_weights()
    np.testing.assert_array_equal(fast(drawn, training=True), plain(drawn, training=True))
    for ours, kept in zip(fast.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, kept)


@pytest.mark.parametrize(
    ("channels", "options"), [(8, {}), (16, {"axis": 1}), (16, {"scale": False})]
)
def test_what_does_not_fit_stays_as_it_is(channels, options):
    assert kinds(batchnorm.fuse_batchnorm(one_layer(channels, **options))) == {"BatchNormalization"}


@pytest.mark.parametrize(
    "section",
    [
        {"architecture": "unet", "normalization": "batch", "stem_stride": 2, "head": "instance"},
        {"architecture": "mobilenetv2_unet", "weights": "none"},
        {"architecture": "efficientnet_lite0_unet", "filters": 4, "normalization": "batch"},
        {"architecture": "resnet18", "weights": "none", "head": "classification", "num_classes": 4},
    ],
    ids=lambda section: section["architecture"],
)
def test_variables_keep_order_and_values(section):
    plain = networks.build(Network(**section), SHAPE)
    fast = batchnorm.fuse_batchnorm(plain)
    assert "FusedBatchNormalization" in kinds(fast)
    assert [v.path for v in fast.variables] == [v.path for v in plain.variables]
    assert [layer.trainable for layer in fast.layers] == [x.trainable for x in plain.layers]
    for ours, theirs in zip(fast.variables, plain.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_numbers_stay_those_of_the_policy():
    with trainer.dtype_policy("mixed_bfloat16"):
        fast = batchnorm.fuse_batchnorm(one_layer())
    found = fast(np.ones((2, 8, 8, 16), "float32"), training=True)
    assert found.dtype.name == "bfloat16"
    assert {v.dtype for v in fast.variables} == {"float32"}
