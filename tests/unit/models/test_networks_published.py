"""Networks of the published studies, layer by layer against the authors' own code.

A layer is a line: kind, size, stride, padding, activation, bias, initializers, penalty; for
normalization momentum and epsilon; for dropout the rate.
"""

import math

import numpy as np
import pytest

from coverslip.config.sections import Network
from coverslip.models import networks
from coverslip.runtime import device

device.prepare(threads=1)

import keras  # noqa: E402
from keras import layers  # noqa: E402

# noqa: E402
# noqa: E402

SILENT = (layers.InputLayer, layers.Flatten, layers.ZeroPadding2D)


def initializer(value) -> str:
    config = value.get_config()
    if isinstance(value, keras.initializers.RandomUniform):
        assert config["minval"] == -config["maxval"]
        return f"uniform 1/sqrt({round(config['maxval'] ** -2)})"
    if isinstance(value, keras.initializers.RandomNormal):
        return f"normal {config['mean']:g} {config['stddev']:g}"
    return {"GlorotUniform": "glorot", "HeNormal": "he", "Zeros": "zeros"}[type(value).__name__]


def weights(layer) -> str:
    words = [initializer(layer.kernel_initializer)]
    words.append(f"bias {initializer(layer.bias_initializer)}" if layer.use_bias else "no bias")
    if layer.kernel_regularizer is not None:
        assert isinstance(layer.kernel_regularizer, keras.regularizers.L2)
        words.append(f"l2 {float(layer.kernel_regularizer.l2):g}")
    assert layer.bias_regularizer is None
    assert layer.activity_regularizer is None
    return ", ".join(words)


def line(layer) -> str:
    """Describe a layer; a ZeroPadding2D goes into the line of the layer after it."""
    if isinstance(layer, layers.Conv2D | layers.Conv2DTranspose):
        kind = "up" if isinstance(layer, layers.Conv2DTranspose) else "conv"
        assert layer.dilation_rate == (1, 1)
        height, width = layer.kernel_size
        size = f"{layer.filters} {height}x{width} /{layer.strides[0]} {layer.padding}"
        return f"{kind} {size} {layer.activation.__name__}, {weights(layer)}"
    if isinstance(layer, layers.Dense):
        return f"dense {layer.units} {layer.activation.__name__}, {weights(layer)}"
    if isinstance(layer, layers.BatchNormalization):
        assert layer.center
        assert layer.scale
        return f"norm {layer.momentum:g} {layer.epsilon:g}"
    if isinstance(layer, layers.MaxPooling2D):
        return f"pool {layer.pool_size[0]}x{layer.pool_size[1]} /{layer.strides[0]} {layer.padding}"
    if isinstance(layer, layers.Dropout):
        return f"dropout {layer.rate:g}"
    if isinstance(layer, layers.Concatenate):
        return f"concat {'+'.join(str(x.shape[-1]) for x in layer.input)}"
    if isinstance(layer, layers.Activation):
        return layer.activation.__name__
    return type(layer).__name__


def lines(model, after: str | None = None) -> list[str]:
    found = [layer for layer in model.layers if not isinstance(layer, SILENT)]
    if after is not None:
        found = found[[layer.name for layer in found].index(after) + 1 :]
    return [line(layer) for layer in found]


def conv(filters, start="glorot"):
    return f"conv {filters} 3x3 /1 same relu, {start}, bias zeros"


LIVECELL_CNN = [
    *(
        line
        for filters in (32, 64, 128)
        for line in (conv(filters), conv(filters), "pool 2x2 /2 valid")
    ),
    "dense 256 relu, glorot, bias zeros, l2 0.001",
    "dropout 0.5",
    "dense 9 linear, glorot, bias zeros",
]
LIVECELL_CNN_BN = [
    *(
        line
        for filters in (32, 64, 128, 256)
        for line in (
            conv(filters),
            "norm 0.99 0.001",
            conv(filters),
            "norm 0.99 0.001",
            "pool 2x2 /2 valid",
            "dropout 0.25",
        )
    ),
    "dense 512 relu, glorot, bias zeros, l2 0.001",
    "norm 0.99 0.001",
    "dropout 0.5",
    "dense 9 linear, glorot, bias zeros",
]


def torch_conv(filters, fan_in):
    start = f"uniform 1/sqrt({fan_in})"
    return [
        f"conv {filters} 3x3 /1 same linear, {start}, bias {start}",
        "norm 0.9 1e-05",
        "relu",
    ]


def torch_dense(units, fan_in):
    start = f"uniform 1/sqrt({fan_in})"
    return f"dense {units} linear, {start}, bias {start}"


NUCLEI_CNN = [
    *torch_conv(16, 27),
    *torch_conv(32, 144),
    "pool 2x2 /2 valid",
    *torch_conv(64, 288),
    *torch_conv(128, 576),
    "pool 2x2 /2 valid",
    torch_dense(256, 80_000),
    "norm 0.9 1e-05",
    "relu",
    "dropout 0.5",
    torch_dense(32, 256),
    "norm 0.9 1e-05",
    "relu",
    "dropout 0.5",
    torch_dense(4, 32),
]


def confluency_level(filters, dropout):
    return [conv(filters, "he"), f"dropout {dropout}", conv(filters, "he")]


UNET_CONFLUENCY = [
    *(
        line
        for filters, dropout in ((16, 0.1), (32, 0.1), (64, 0.2), (128, 0.2))
        for line in (*confluency_level(filters, dropout), "pool 2x2 /2 valid")
    ),
    *confluency_level(256, 0.3),
    *(
        line
        for filters, dropout in ((128, 0.2), (64, 0.2), (32, 0.1), (16, 0.1))
        for line in (
            f"up {filters} 2x2 /2 same linear, glorot, bias zeros",
            f"concat {filters}+{filters}",
            *confluency_level(filters, dropout),
        )
    ),
    "conv 1 1x1 /1 valid linear, glorot, bias zeros",
]


@pytest.mark.parametrize(
    ("architecture", "shape", "outputs", "expected"),
    [
        ("livecell_cnn", (100, 100, 1), 9, LIVECELL_CNN),
        ("livecell_cnn_bn", (128, 128, 1), 9, LIVECELL_CNN_BN),
        ("nuclei_cnn", (100, 100, 3), 4, NUCLEI_CNN),
        ("unet_confluency", (256, 256, 1), 1, UNET_CONFLUENCY),
    ],
)
def test_layers(architecture, shape, outputs, expected):
    model = networks.build(
        Network(architecture=architecture, head="semantic", num_classes=outputs), shape
    )
    assert lines(model) == expected
    assert all(layer.trainable for layer in model.layers)


@pytest.mark.parametrize("outputs", [2, 3])
def test_decoder_of_mobilenetv2_unet(outputs):
    network = Network(
        architecture="mobilenetv2_unet",
        head="semantic",
        num_classes=outputs,
        weights="imagenet",
        freeze_encoder=True,
    )
    model = networks.build(network, (128, 128, 3))
    decoder = [
        line
        for filters, skip in ((512, 576), (256, 192), (128, 144), (64, 96))
        for line in (
            f"up {filters} 3x3 /2 same linear, normal 0 0.02, no bias",
            "norm 0.99 0.001",
            "relu",
            f"concat {filters}+{skip}",
        )
    ]
    last = f"up {outputs} 3x3 /2 same linear, glorot, bias zeros"
    assert lines(model, after="block_16_project") == [*decoder, last]
    skips = [
        layer.input[1]._keras_history.operation.name
        for layer in model.layers
        if isinstance(layer, layers.Concatenate)
    ]
    assert skips == [f"block_{block}_expand_relu" for block in (13, 6, 3, 1)]
    names = [layer.name for layer in model.layers]
    bottom = names.index("block_16_project")
    assert [layer.trainable for layer in model.layers] == [at > bottom for at in range(len(names))]
    frozen = model.layers[: bottom + 1]
    norms = [layer for layer in frozen if isinstance(layer, layers.BatchNormalization)]
    assert {(layer.momentum, layer.epsilon) for layer in norms} == {(0.999, 1e-3)}


def test_mobilenetv2_encoder_is_that_of_keras():
    network = Network(architecture="mobilenetv2_unet", head="semantic", num_classes=2)
    model = networks.build(network, (128, 128, 3))
    keras_one = keras.applications.MobileNetV2((128, 128, 3), include_top=False, weights=None)
    for layer in keras_one.layers[1:]:
        if layer.name == "block_16_project_BN":
            break
        ours = model.get_layer(layer.name)
        assert type(ours) is type(layer)
        assert ours.output.shape == layer.output.shape


def test_stem_and_last_layer_of_resnet18():
    network = Network(architecture="resnet18", num_classes=4, stem_kernel=3, weights="imagenet")
    model = networks.build(network, (100, 100, 3))
    assert sum(math.prod(v.shape) for v in model.trainable_variables) == 11_170_884
    assert lines(model)[:4] == [
        "conv 64 3x3 /1 valid linear, uniform 1/sqrt(27), no bias",
        "norm 0.9 1e-05",
        "relu",
        "pool 3x3 /2 valid",
    ]
    assert [layer.padding for layer in model.layers if isinstance(layer, layers.ZeroPadding2D)][
        :2
    ] == [((1, 1), (1, 1))] * 2
    assert lines(model)[-1] == torch_dense(4, 512)
    sides = [
        layer.output.shape[1]
        for layer in model.layers
        if isinstance(layer, layers.Add | layers.MaxPooling2D)
    ]
    assert sides == [50, 50, 50, 25, 25, 13, 13, 7, 7]


def test_a_new_stem_keeps_random_weights(tmp_path):
    network = Network(architecture="resnet18", num_classes=4, stem_kernel=3, weights="imagenet")
    model = networks.build(network, (32, 32, 3))
    full = networks.build(Network(architecture="resnet18", num_classes=1000), (64, 64, 3))
    tensors = {}
    for layer in full.layers:
        module = layer.name.replace("downsample_", "downsample.")
        if module.startswith("layer"):
            module = module.replace("_", ".", 2)
        values = [np.full(v.shape, 0.25, np.float32) for v in layer.get_weights()]
        if isinstance(layer, layers.Conv2D):
            tensors[f"{module}.weight"] = values[0].transpose(3, 2, 0, 1)
        elif isinstance(layer, layers.Dense):
            tensors |= {f"{module}.weight": values[0].T, f"{module}.bias": values[1]}
        elif isinstance(layer, layers.BatchNormalization):
            names = ("weight", "bias", "running_mean", "running_var")
            tensors |= {f"{module}.{n}": v for n, v in zip(names, values, strict=True)}
    np.savez(tmp_path / "weights.npz", **tensors)
    stem, last = model.get_layer("conv1_new").get_weights(), model.get_layer("fc").get_weights()
    networks.load_pretrained(model, network, tmp_path / "weights.npz")
    np.testing.assert_array_equal(model.get_layer("conv1_new").get_weights()[0], stem[0])
    np.testing.assert_array_equal(model.get_layer("fc").get_weights()[0], last[0])
    for name in ("bn1", "layer1_0_conv1", "layer4_1_bn2"):
        assert all((value == 0.25).all() for value in model.get_layer(name).get_weights())


def test_widths_of_the_dense_layers_are_options():
    network = Network(architecture="nuclei_cnn", num_classes=4, dense_1=512, dense_2=64)
    model = networks.build(network, (20, 20, 3))
    units = [layer.units for layer in model.layers if isinstance(layer, layers.Dense)]
    assert units == [512, 64, 4]


def test_torch_initializers_stay_within_their_bounds():
    keras.utils.set_random_seed(0)
    model = networks.build(Network(architecture="nuclei_cnn", num_classes=4), (20, 20, 3))
    kernel, bias = model.layers[1].get_weights()
    for values in (kernel, bias):
        assert 0.5 * 27**-0.5 < np.abs(values).max() <= 27**-0.5
