"""Networks: their size, their shapes, and that they load without coverslip."""

import math

import numpy as np
import pytest
import torch_models

from coverslip.config.sections import Network
from coverslip.config.tasks import ENCODERS
from coverslip.errors import CoverslipError
from coverslip.models import networks
from coverslip.runtime import device

device.prepare(threads=1)

import keras  # noqa: E402

# noqa: E402
# noqa: E402
# noqa: E402
# noqa: E402


def trainable(model: keras.Model) -> int:
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


@pytest.mark.parametrize(("channels", "parameters"), [(1, 1_940_817), (3, 1_941_105)])
def test_unet_confluency_is_the_published_one(channels, parameters):
    model = networks.build(
        Network(architecture="unet_confluency", head="semantic"), (256, 256, channels)
    )
    assert model.count_params() == trainable(model) == parameters


@pytest.mark.parametrize(("outputs", "parameters"), [(2, 6_502_786), (3, 6_504_227)])
def test_mobilenetv2_unet_is_the_published_one(outputs, parameters):
    network = Network(
        architecture="mobilenetv2_unet", num_classes=outputs, freeze_encoder=True, head="semantic"
    )
    model = networks.build(network, (128, 128, 3))
    assert model.count_params() == parameters
    assert trainable(model) == 4_658_882 + parameters - 6_502_786
    assert model.output_shape == (None, 128, 128, outputs)
    momenta = {
        layer.momentum
        for layer in model.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    assert momenta == {0.9, 0.99}  # encoder from random weights, decoder


@pytest.mark.parametrize("normalization", ["none", "batch", "group"])
@pytest.mark.parametrize(("filters", "depth", "outputs"), [(3, 1, 1), (4, 3, 2)])
def test_unet(filters, depth, outputs, normalization):
    network = Network(
        filters=filters,
        depth=depth,
        num_classes=outputs,
        normalization=normalization,
        dropout=0.2,
        head="semantic",
        stem_stride=1,
    )
    model = networks.build(network, (None, None, 2))
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(convolutions) == 5 * depth + 3
    assert max(layer.filters for layer in convolutions) == filters * 2**depth
    for side in (16, 32):
        logits = model.predict_on_batch(np.zeros((1, side, 16, 2), np.float32))
        assert logits.shape == (1, side, 16, outputs)


def test_unet_at_half_resolution():
    network = Network(
        filters=4, depth=2, stem_stride=2, max_filters=8, head="instance", normalization="group"
    )
    model = networks.build(network, (None, None, 3))
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert max(layer.filters for layer in convolutions) == 8
    at_full = [layer for layer in convolutions if layer.strides == (2, 2)]
    assert len(at_full) == 1
    logits = model.predict_on_batch(np.zeros((1, 16, 24, 3), np.float32))
    assert logits.shape == (1, 16, 24, 4)
    with pytest.raises(CoverslipError, match="multiples of 8"):
        networks.build(network, (20, 20, 3))


@pytest.mark.parametrize(
    "architecture", ["unet", "unet_confluency", "mobilenetv2_unet", "efficientnet_lite0_unet"]
)
def test_a_saved_network_has_float32_logits_without_coverslip(architecture, tmp_path):
    network = Network(architecture=architecture, filters=2, depth=2)
    keras.config.set_dtype_policy("mixed_float16")
    try:
        assert networks.build(network, (32, 32, 3)).output.dtype == "float32"
    finally:
        keras.config.set_dtype_policy("float32")
    model = networks.build(network, (None, None, 3))
    assert {layer.__class__.__module__.split(".")[0] for layer in model.layers} == {"keras"}
    model.save(tmp_path / "model.keras")
    images = np.random.default_rng(0).random((1, 64, 32, 3), dtype=np.float32)
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert np.array_equal(model.predict_on_batch(images), again.predict_on_batch(images))


@pytest.mark.parametrize(
    ("architecture", "multiple"),
    [("unet", 8), ("unet_confluency", 16), *((name, 32) for name in ENCODERS)],
)
def test_a_size_that_cannot_be_halved_is_refused(architecture, multiple):
    network = Network(architecture=architecture, depth=3, stem_stride=1)
    with pytest.raises(CoverslipError, match=f"multiples of {multiple}$"):
        networks.build(network, (multiple * 3 // 2, multiple, 3))


class TestEfficientNetLite0:
    NETWORK = Network(
        architecture="efficientnet_lite0_unet",
        filters=4,
        normalization="batch",
        weights="imagenet",
        freeze_encoder=True,
        head="semantic",
    )

    def test_size(self):
        model = networks.build(self.NETWORK, (None, None, 3))
        encoder = keras.Model(model.inputs, model.get_layer("blocks_6_0_bn3").output)
        # That of timm, 4,652,008, less its head.
        head = 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000
        weights = sum(math.prod(w.shape) for w in encoder.weights if "moving" not in w.path)
        assert weights == 4_652_008 - head
        assert trainable(model) == trainable(networks.build(unfrozen(), (None, None, 3))) - weights

    @pytest.mark.parametrize("channels", [3, 1])
    def test_the_encoder_gives_what_torch_gives(self, channels, tmp_path):
        torch = pytest.importorskip("torch")
        torch.manual_seed(3)
        reference = torch_models.lively(torch, torch_models.efficientnet_lite0(torch))
        tensors = {name: tensor.numpy() for name, tensor in reference.state_dict().items()}
        np.savez(tmp_path / "weights.npz", **tensors)
        model = networks.build(self.NETWORK, (64, 96, channels))
        networks.load_pretrained(model, self.NETWORK, tmp_path / "weights.npz")
        images = np.random.default_rng(4).random((2, 64, 96, channels), np.float32)
        expected = reference(torch.tensor(2 * images - 1).permute(0, 3, 1, 2).expand(2, 3, 64, 96))
        for stage, name in ((0, "blocks_0_0_bn2"), (4, "blocks_4_2_add"), (6, "blocks_6_0_bn3")):
            ours = keras.Model(model.inputs, model.get_layer(name).output).predict_on_batch(images)
            theirs = expected[stage].detach().permute(0, 2, 3, 1).numpy()
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4 * np.abs(theirs).max())

    def test_what_does_not_fit_is_named(self, tmp_path):
        model = networks.build(self.NETWORK, (64, 64, 3))
        np.savez(tmp_path / "other.npz", **{"conv_stem.weight": np.zeros((32, 3, 5, 5), "float32")})
        with pytest.raises(CoverslipError, match="conv_stem: shapes .*expected"):
            networks.load_pretrained(model, self.NETWORK, tmp_path / "other.npz")
        np.savez(tmp_path / "empty.npz")
        with pytest.raises(CoverslipError, match=r"conv_stem\.weight"):
            networks.load_pretrained(model, self.NETWORK, tmp_path / "empty.npz")


def unfrozen() -> Network:
    return TestEfficientNetLite0.NETWORK.model_copy(update={"freeze_encoder": False})


class TestPretrained:
    NETWORK = Network(
        architecture="mobilenetv2_unet", num_classes=2, weights="imagenet", head="semantic"
    )

    @pytest.fixture(scope="class")
    def file(self, tmp_path_factory):
        """Weights in the old HDF5 format that keras.applications publishes."""
        keras.utils.set_random_seed(5)
        encoder = keras.applications.MobileNetV2(
            input_shape=(None, None, 3), include_top=False, weights=None
        )
        path = tmp_path_factory.mktemp("weights") / "encoder.h5"
        encoder.save(path)
        return path, encoder.get_layer("block_16_project").get_weights()[0]

    def test_loaded(self, file):
        path, expected = file
        model = networks.build(self.NETWORK, (64, 64, 3))
        networks.load_pretrained(model, self.NETWORK, path)
        assert np.array_equal(model.get_layer("block_16_project").get_weights()[0], expected)
        assert model.get_layer("bn_Conv1").momentum == 0.999

    def test_what_does_not_fit_is_named(self, file, tmp_path):
        grey = networks.build(self.NETWORK, (64, 64, 1))
        with pytest.raises(CoverslipError, match="do not fit.*channels: rgb"):
            networks.load_pretrained(grey, self.NETWORK, file[0])
        absent = tmp_path / "absent.h5"
        with pytest.raises(CoverslipError, match=f"no file {absent}"):
            networks.load_pretrained(grey, self.NETWORK, absent)
        absent.write_bytes(b"not HDF5")
        with pytest.raises(CoverslipError, match="do not fit"):
            networks.load_pretrained(grey, self.NETWORK, absent)
        network = Network(weights="imagenet", head="semantic", stem_stride=1, normalization="group")
        with pytest.raises(CoverslipError, match="unet has no pretrained weights"):
            networks.load_pretrained(grey, network, file[0])
