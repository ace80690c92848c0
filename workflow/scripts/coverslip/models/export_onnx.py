"""Trained networks as ONNX: `python -m coverslip.models.export_onnx FOLDER...`.

Each model folder gets `model.onnx`, by which `measure` and `coverslip.load_model` predict without
TensorFlow, and which other tools read. The graph takes what `preprocessing.to_input` gives, as
float32 0..255 (N, height, width, channels), and gives probabilities (N, height, width, K) as
`Model.predict` does; scaling is inside. Heights and widths may be any multiples of what the network
needs. With the head `classification` it takes images that are resized already, and gives (N, K).
`model.json` is in the metadata. ONNX: open neural network exchange, https://onnx.ai.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

from coverslip.errors import CoverslipError
from coverslip.files import atomic_write
from coverslip.models import heads, preprocessing
from coverslip.models import model as models
from coverslip.models.folder import member_folders
from coverslip.models.onnx_network import (
    DIVISOR,
    FILE,
    METADATA,
    QUANTIZED,
    write_checksum,
)
from coverslip.models.tiling import size_divisor_of


def export(folder: Path) -> list[Path]:
    """Write `model.onnx` into a model folder, or into those of the members of an ensemble.

    `SHA256SUMS` in such a folder gets its digest.

    Returns:
        the files.

    Raises:
        CoverslipError: the folder has no network, or cannot be read.
    """
    written = []
    for each in member_folders(folder) or [Path(folder)]:
        onnx(each, each / FILE)
        (each / QUANTIZED).unlink(missing_ok=True)  # of the network before
        write_checksum(each / FILE)
        written.append(each / FILE)
    return written


def onnx(folder: Path, output: Path) -> None:
    """Write the network of a model folder as an ONNX file.

    Raises:
        CoverslipError: the folder holds no network, or cannot be read.
    """
    model = models.load(folder, runtime="keras")
    if model.info["kind"] != "network":
        raise CoverslipError(
            f"{folder}: a model of kind `{model.info['kind']}` has no network to export: "
            + ("export its members" if model.info["kind"] == "ensemble" else "choose another study")
        )
    network = models.read_network(model)
    side = model.tile
    size = side if model.head == "classification" else (None, None)
    image = keras.Input((*size, network.input_shape[-1]), name="image", dtype="float32")
    plain = _with_plain_upsampling(network)
    with_probabilities = heads.probabilities(plain, model.head, model.temperature)
    whole = keras.Model(image, with_probabilities(_scaling(model)(image)))
    whole(np.zeros((1, *side, network.input_shape[-1]), np.float32))  # Keras asks for a call
    logging.getLogger("tf2onnx").setLevel(logging.WARNING)
    with atomic_write(output) as part:
        made = part.with_name(f"{part.name}.onnx")  # Keras insists on the ending
        try:
            whole.export(made, format="onnx", verbose=False)
            _finish(made, model, _divisor(network, model))
            made.replace(part)
        finally:
            made.unlink(missing_ok=True)


def _scaling(model: models.Model) -> keras.layers.Layer:
    """`preprocess.batch` as a layer."""
    if model.preprocessing.input_scaling == "zscore":
        deviation = np.asarray(model.info["fitted"]["standard_deviation"])
        scale = 1.0 / np.where(deviation > 0, deviation, 1.0)
        mean = np.asarray(model.info["fitted"]["mean"])
        return keras.layers.Rescaling(scale.tolist(), offset=(-mean * scale).tolist())
    if model.preprocessing.input_scaling == "imagenet":
        mean = np.asarray(preprocessing.IMAGENET_MEAN)
        deviation = np.asarray(preprocessing.IMAGENET_DEVIATION)
        scale = 1 / (255 * deviation)
        return keras.layers.Rescaling(scale.tolist(), offset=(-mean / deviation).tolist())
    if model.preprocessing.input_scaling == "column_l2":
        return keras.layers.UnitNormalization(axis=1)
    return keras.layers.Rescaling(1.0 / 255 if model.preprocessing.input_scaling == "unit" else 1.0)


class _NearestUpsampling(keras.layers.Layer):
    """`UpSampling2D` by nearest neighbours, as one operation of ONNX instead of ten."""

    def call(self, inputs: Any) -> Any:
        """Double height and width."""
        from tensorflow import image, shape

        height, width = (shape(inputs)[axis] for axis in (1, 2))
        return image.resize(inputs, (2 * height, 2 * width), method="nearest")

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Double height and width."""
        count, height, width, channels = input_shape
        return count, height and 2 * height, width and 2 * width, channels


def _with_plain_upsampling(network: keras.Model) -> keras.Model:
    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        doubles = isinstance(layer, keras.layers.UpSampling2D) and tuple(layer.size) == (2, 2)
        if doubles and layer.interpolation == "nearest":
            return _NearestUpsampling(name=layer.name)
        return type(layer).from_config(layer.get_config())

    copy = keras.models.clone_model(network, clone_function=clone)
    for layer in network.layers:
        if layer.weights:
            copy.get_layer(layer.name).set_weights(layer.get_weights())
    return copy


def _divisor(network: keras.Model, model: models.Model) -> int | None:
    if model.head == "classification" or model.preprocessing.resize is not None:
        return None
    return size_divisor_of(network, model.tile)


def _finish(path: Path, model: models.Model, divisor: int | None) -> None:
    """Give upsampling its fixed scale, by which ONNX Runtime is faster, and add the metadata."""
    import onnx as format

    whole = format.load(path)
    resizes = [
        node
        for node in whole.graph.node
        if node.op_type == "Resize" and any(each.s == b"nearest" for each in node.attribute)
    ]
    if resizes:
        scales = format.numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")
        whole.graph.initializer.append(scales)
    for node in resizes:
        del node.input[1:]
        node.input.extend(["", scales.name])
        del node.attribute[:]
        for key, value in (
            ("mode", "nearest"),
            ("nearest_mode", "floor"),
            ("coordinate_transformation_mode", "asymmetric"),
        ):
            node.attribute.append(format.helper.make_attribute(key, value))
    used = {name for node in whole.graph.node for name in node.input}
    unused = [each for each in whole.graph.initializer if each.name not in used]
    for each in unused:
        whole.graph.initializer.remove(each)
    whole.producer_name = "coverslip"
    for key, text in (
        (METADATA, json.dumps(model.info, sort_keys=True)),
        (DIVISOR, "" if divisor is None else str(divisor)),
    ):
        entry = whole.metadata_props.add()
        entry.key, entry.value = key, text
    format.save(whole, path)


if __name__ == "__main__":
    try:
        for argument in sys.argv[1:]:
            for file in export(Path(argument)):
                print(f"{file}: {file.stat().st_size / 1e6:.1f} MB")
    except CoverslipError as error:
        raise SystemExit(str(error)) from error
