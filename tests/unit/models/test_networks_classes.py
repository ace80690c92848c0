"""Networks for classes: their size, their shapes, and that they load without coverslip."""

import math

import numpy as np
import pytest
import torch_models

from coverslip.config.sections import Network
from coverslip.errors import CoverslipError
from coverslip.models import networks
from coverslip.runtime import device

device.prepare(threads=1)

import keras  # noqa: E402

# noqa: E402
# noqa: E402
# noqa: E402

SIZES = {"livecell_cnn": 8, "livecell_cnn_bn": 16, "nuclei_cnn": 4}


def trainable(model: keras.Model) -> int:
    return sum(math.prod(variable.shape) for variable in model.trainable_variables)


def built(architecture, shape, outputs, **options):
    return networks.build(Network(architecture=architecture, num_classes=outputs, **options), shape)


def test_published_numbers_of_parameters():
    assert built("livecell_cnn", (100, 100, 1), 9).count_params() == 5_007_593
    assert built("livecell_cnn_bn", (128, 128, 1), 9).count_params() == 9_571_305
    assert trainable(built("nuclei_cnn", (100, 100, 3), 4)) == 20_587_108
    assert trainable(built("resnet18", (None, None, 3), 4)) == 11_178_564
    assert trainable(built("resnet18", (100, 100, 1), 4)) == 11_178_564 - 2 * 7 * 7 * 64


def test_penalty_and_dropout_of_the_study():
    model = built("livecell_cnn", (16, 16, 1), 9)
    assert len(model.losses) == 1
    kernel = model.get_layer("dense").kernel
    np.testing.assert_allclose(model.losses[0], 1e-3 * np.sum(np.square(kernel)), rtol=1e-5)
    rates = [layer.rate for layer in model.layers if isinstance(layer, keras.layers.Dropout)]
    assert rates == [0.5]


@pytest.mark.parametrize("normalization", ["none", "batch", "group"])
def test_cnn_looks_at_any_size(normalization):
    network = Network(
        architecture="cnn",
        filters=4,
        depth=2,
        max_filters=8,
        num_classes=3,
        normalization=normalization,
        dropout=0.2,
    )
    model = networks.build(network, (None, None, 1))
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.filters for layer in convolutions] == [4, 4, 8, 8, 8, 8]
    for side in (8, 16):
        assert model.predict_on_batch(np.zeros((2, side, 12, 1), np.float32)).shape == (2, 3)
    with pytest.raises(CoverslipError, match="multiples of 4$"):
        networks.build(network, (18, 16, 1))


@pytest.mark.parametrize("architecture", SIZES)
def test_a_network_bound_to_a_size_says_so(architecture):
    smallest = SIZES[architecture]
    for shape in ((None, None, 1), (smallest - 1, 64, 1)):
        with pytest.raises(CoverslipError, match=rf"{architecture} needs .*{smallest}x{smallest} "):
            built(architecture, shape, 2)
    assert built(architecture, (smallest, smallest, 1), 2).output_shape == (None, 2)


@pytest.mark.parametrize("architecture", [*SIZES, "resnet18", "cnn"])
def test_a_saved_network_has_float32_logits_without_coverslip(architecture, tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        assert built(architecture, (32, 32, 3), 3).output.dtype == "float32"
    finally:
        keras.config.set_dtype_policy("float32")
    model = built(architecture, (32, 32, 3), 3, filters=2)
    assert {layer.__class__.__module__.split(".")[0] for layer in model.layers} == {"keras"}
    model.save(tmp_path / "model.keras")
    images = np.random.default_rng(0).random((2, 32, 32, 3), dtype=np.float32)
    again = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    assert np.array_equal(model.predict_on_batch(images), again.predict_on_batch(images))


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture(scope="module")
def reference(torch):
    torch.manual_seed(3)
    return torch_models.lively(torch, torch_models.resnet18(torch))


def saved(model, path):
    tensors = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    if path.suffix == ".npz":
        np.savez(path, **tensors)
    else:
        from safetensors.numpy import save_file

        save_file({name: np.ascontiguousarray(array) for name, array in tensors.items()}, path)
    return path


@pytest.mark.parametrize(("side", "ending"), [(100, "npz"), (65, "safetensors")])
def test_resnet18_is_that_of_torch(torch, reference, tmp_path, side, ending):
    network = Network(architecture="resnet18", num_classes=4, weights="imagenet")
    model = networks.build(network, (side, side, 3))
    networks.load_pretrained(model, network, saved(reference, tmp_path / f"weights.{ending}"))
    rng = np.random.default_rng(1)
    images = rng.normal(rng.normal(0, 1, (3, 1, 1, 3)), 1, (3, side, side, 3)).astype(np.float32)
    with torch.no_grad():
        expected = reference(torch.tensor(images.transpose(0, 3, 1, 2))).numpy()
    assert np.ptp(expected, axis=0).max() > 0.1, "the images differ"
    np.testing.assert_allclose(model.predict_on_batch(images), expected, rtol=0, atol=1e-4)


def test_resnet18_adapted_to_grey_and_to_other_classes(torch, reference, tmp_path):
    path = saved(reference, tmp_path / "weights.npz")
    network = Network(architecture="resnet18", num_classes=7, weights="imagenet")
    keras.utils.set_random_seed(0)
    model = networks.build(network, (64, 64, 1))
    last = model.get_layer("fc").get_weights()[0]
    networks.load_pretrained(model, network, path)
    np.testing.assert_array_equal(model.get_layer("fc").get_weights()[0], last)
    grey = np.random.default_rng(1).normal(size=(2, 64, 64, 1)).astype(np.float32)
    features = keras.Model(model.input, model.layers[-2].output).predict_on_batch(grey)
    with torch.no_grad():
        x = torch.tensor(np.repeat(grey, 3, axis=3).transpose(0, 3, 1, 2))
        x = reference.maxpool(reference.bn1(reference.conv1(x)).relu())
        for level in range(1, 5):
            x = getattr(reference, f"layer{level}")(x)
    np.testing.assert_allclose(features, x.mean(dim=(2, 3)).numpy(), rtol=0, atol=1e-4)


def test_weights_that_do_not_fit_are_named(tmp_path):
    network = Network(architecture="resnet18", num_classes=4, weights="imagenet")
    model = networks.build(network, (32, 32, 3))
    tensors = {"conv1.weight": np.zeros((64, 3, 5, 5), np.float32)}
    np.savez(tmp_path / "other.npz", **tensors)
    with pytest.raises(CoverslipError, match=r"do not fit resnet18 \(conv1: shapes"):
        networks.load_pretrained(model, network, tmp_path / "other.npz")
    np.savez(tmp_path / "none.npz")
    with pytest.raises(CoverslipError, match=r"do not fit resnet18 \('conv1.weight'\)"):
        networks.load_pretrained(model, network, tmp_path / "none.npz")
    np.savez(tmp_path / "pickle.npz", **{"conv1.weight": np.array([{}], object)})
    with pytest.raises(CoverslipError, match="do not fit resnet18 .*allow_pickle=False"):
        networks.load_pretrained(model, network, tmp_path / "pickle.npz")
    for name in ("weights.safetensors", "weights.pth"):
        (tmp_path / name).write_bytes(b"neither the one nor the other")
        with pytest.raises(CoverslipError, match="not a safetensors file"):
            networks.load_pretrained(model, network, tmp_path / name)
