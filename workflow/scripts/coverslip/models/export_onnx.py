"""Trained networks for other tools: ONNX.

The graph takes what `preprocess.image` gives, as float32 0..255 (N, height, width, channels), and
gives probabilities (N, height, width, K) as `Model.predict` does; scaling is inside. Heights and
widths may be any multiples of what the network needs. With the head `classification`
it takes images that are resized already, and gives (N, K). `model.json` travels as metadata, so
that the file explains itself. ONNX: open neural network exchange, https://onnx.ai.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

import keras
import numpy as np

from coverslip.errors import CoverslipError
from coverslip.files import atomic_write
from coverslip.models import heads, preprocessing
from coverslip.models import model as models

METADATA = "coverslip"
"""Name of the metadata that holds `model.json`."""


def onnx(folder: Path, output: Path) -> None:
    """Write the network of a model folder as an ONNX file.

    Raises:
        CoverslipError: the folder holds no network, or cannot be read.
    """
    model = models.load(folder)
    if model.info["kind"] != "network":
        raise CoverslipError(
            f"{folder}: a model of kind `{model.info['kind']}` has no network to export: "
            + ("export its members" if model.info["kind"] == "ensemble" else "choose another study")
        )
    network = models.read_network(model)
    side = model.tile
    size = side if model.head == "classification" else (None, None)
    image = keras.Input((*size, network.input_shape[-1]), name="image", dtype="float32")
    with_probabilities = heads.probabilities(network, model.head, model.temperature)
    whole = keras.Model(image, with_probabilities(_scaling(model)(image)))
    whole(np.zeros((1, *side, network.input_shape[-1]), np.float32))  # Keras asks for a call
    logging.getLogger("tf2onnx").setLevel(logging.WARNING)
    with atomic_write(output) as part:
        made = part.with_name(f"{part.name}.onnx")  # Keras insists on the ending
        try:
            whole.export(made, format="onnx", verbose=False)
            _describe(made, model)
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


def _describe(path: Path, model: models.Model) -> None:
    import onnx as format

    graph = format.load(path)
    graph.producer_name = "coverslip"
    entry = graph.metadata_props.add()
    entry.key, entry.value = METADATA, json.dumps(model.info, sort_keys=True)
    format.save(graph, path)
