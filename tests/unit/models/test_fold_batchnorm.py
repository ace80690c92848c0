"""Networks made for speed."""

import keras
import numpy as np
import pytest

from coverslip.config.sections import Network
from coverslip.models import fold_batchnorm, networks

SECTIONS = [
    {"architecture": "unet", "normalization": "batch", "stem_stride": 2, "head": "instance"},
    {"architecture": "unet", "normalization": "group", "filters": 8},
    {"architecture": "unet_confluency"},
    {"architecture": "mobilenetv2_unet", "weights": "none"},
    {"architecture": "efficientnet_lite0_unet", "filters": 4, "normalization": "batch"},
    {"architecture": "resnet18", "weights": "none", "head": "classification", "num_classes": 4},
]


def trained(section: dict) -> keras.Model:
    """A network with weights and statistics that are not those of the start."""
    keras.utils.set_random_seed(7)
    network = networks.build(Network(**section), (64, 64, 3))
    rng = np.random.default_rng(7)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return network


def images() -> np.ndarray:
    return np.random.default_rng(8).random((2, 64, 64, 3), np.float32)


def normalizations(network: keras.Model) -> int:
    return sum(isinstance(x, keras.layers.BatchNormalization) for x in network.layers)


@pytest.mark.parametrize("section", SECTIONS, ids=lambda s: s["architecture"])
def test_folding_changes_logits_by_rounding_only(section):
    network = trained(section)
    quick = fold_batchnorm.fold_batchnorm(network, "float32")
    expected, found = network.predict_on_batch(images()), quick.predict_on_batch(images())
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_a_u_net_has_no_normalization_left():
    network = trained(SECTIONS[0])
    assert normalizations(network) > 10
    assert normalizations(fold_batchnorm.fold_batchnorm(network, "float32")) == 0


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_is_near_and_ends_in_float32(policy):
    network = trained(SECTIONS[0])
    quick = fold_batchnorm.fold_batchnorm(network, policy)
    assert {layer.compute_dtype for layer in quick.layers[1:-1]} == {policy.removeprefix("mixed_")}
    expected, found = network.predict_on_batch(images()), quick.predict_on_batch(images())
    assert found.dtype == np.float32
    assert 0 < np.abs(found - expected).max() < 0.05 * np.abs(expected).max()


@pytest.mark.parametrize(
    "kind", [keras.layers.Conv2D, keras.layers.Conv2DTranspose, keras.layers.DepthwiseConv2D]
)
@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}])
def test_each_kind_of_convolution_takes_it_up(kind, options):
    rng = np.random.default_rng(9)
    inputs = keras.Input((None, None, 4))
    size = {} if kind is keras.layers.DepthwiseConv2D else {"filters": 6}
    x = kind(kernel_size=3, padding="same", **size)(inputs)
    x = keras.layers.BatchNormalization(**options)(x)
    network = keras.Model(inputs, keras.layers.Conv2D(2, 1)(x))
    network.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in network.get_weights()])
    quick = fold_batchnorm.fold_batchnorm(network, "float32")
    assert normalizations(quick) == 0
    given = rng.random((2, 16, 16, 4), np.float32)
    np.testing.assert_allclose(
        quick.predict_on_batch(given), network.predict_on_batch(given), rtol=1e-4
    )


def test_a_shared_convolution_keeps_its_normalization():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same")(inputs)
    y = keras.layers.BatchNormalization()(x)
    network = keras.Model(inputs, keras.layers.Conv2D(1, 1)(keras.layers.Add()([x, y])))
    network.set_weights(
        [np.random.default_rng(1).uniform(0.5, 1.5, w.shape) for w in network.get_weights()]
    )
    quick = fold_batchnorm.fold_batchnorm(network, "float32")
    assert normalizations(quick) == 1
    given = np.ones((1, 8, 8, 3), np.float32)
    np.testing.assert_allclose(
        quick.predict_on_batch(given), network.predict_on_batch(given), rtol=1e-5
    )
