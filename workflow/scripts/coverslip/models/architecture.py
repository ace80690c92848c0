"""Levels of a network, read from `model.keras` without Keras.

The file is a zip with the configuration of every layer as JSON and the weights as HDF5. The layers
are followed from the input to the output, and those that work at one size of the image, before
the first upsampling or after it, are one stage.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py

from coverslip.errors import CoverslipError

SHRINKING = {
    "Conv2D",
    "SeparableConv2D",
    "DepthwiseConv2D",
    "MaxPooling2D",
    "AveragePooling2D",
}

FLATTENING = {"Flatten", "GlobalAveragePooling2D", "GlobalMaxPooling2D"}

MODELS = {"Functional", "Model", "Sequential"}

WORDS = {
    "Conv2D": "conv",
    "SeparableConv2D": "separable conv",
    "DepthwiseConv2D": "depthwise conv",
    "Conv2DTranspose": "transposed conv",
    "BatchNormalization": "batch norm",
    "GroupNormalization": "group norm",
    "LayerNormalization": "layer norm",
    "MaxPooling2D": "max-pool",
    "AveragePooling2D": "average-pool",
    "GlobalAveragePooling2D": "global average",
    "GlobalMaxPooling2D": "global maximum",
    "UpSampling2D": "upsampling",
    "Concatenate": "concatenation",
    "Dropout": "dropout",
    "SpatialDropout2D": "dropout",
    "Dense": "dense",
}
"""Kinds of layers that are listed for a stage; others (activations, padding) are left out."""

MAX_KINDS = 3
"""Number of kinds that are listed for a stage, the most frequent first."""

FLAT = float("inf")
"""Shrinkage of what has no height and width any more."""


@dataclass
class Stage:
    """Layers that work at one size of the image, on the way down or up."""

    side: str
    """`down` or `up`: before or after the first upsampling."""
    shrink: float
    """How many times lower than the input; infinite for vectors."""
    size: tuple[int, int]
    """Height and width in pixels, of an input of the given size."""
    channels_in: int
    channels: int
    """Channels after the last layer."""
    parameters: int = 0
    frozen: bool = True
    """No layer with parameters is trainable."""
    kinds: Counter = field(default_factory=Counter)
    sources: list[int] = field(default_factory=list)
    """Numbers of the stages that feed it."""

    @property
    def shape(self) -> str:
        """Size and channels in words."""
        channels = f"{self.channels_in} → {self.channels}"
        if self.shrink == FLAT:
            return f"{channels} numbers"
        return f"{self.size[0]} × {self.size[1]}, {channels} channels"

    @property
    def layers(self) -> str:
        """The most frequent kinds of layers in words."""
        kinds = [f"{n} {kind}" if n > 1 else kind for kind, n in self.kinds.most_common(MAX_KINDS)]
        more = ["…"] if len(self.kinds) > MAX_KINDS else []
        return ", ".join([*kinds, *more]) or "input"


@dataclass(frozen=True)
class _Tensor:
    stage: int
    channels: int


def read_stages(path: Path, size: tuple[int, int]) -> list[Stage]:
    """Stages of a saved network, from input to output.

    Args:
        path: `model.keras`.
        size: height and width of the input in pixels; it is only reported, not checked.

    Raises:
        CoverslipError: the file is missing or is no saved network with layers in a graph.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            model = json.loads(archive.read("config.json"))
            with h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as weights:
                parameters = dict(_parameters(weights["layers"]))
        walk = _Walk(size, parameters)
        walk.model(model["class_name"], model["config"], [])
    except (OSError, KeyError, IndexError, ValueError, zipfile.BadZipFile) as error:
        raise CoverslipError(
            f"{path}: cannot be read as a network ({type(error).__name__}: {error}): remove the "
            "model folder and train again"
        ) from error
    return walk.ordered()


def _parameters(layers: h5py.Group) -> Iterator[tuple[str, int]]:
    """Yield the names of layers and numbers of their parameters, inner models opened."""
    for key, group in layers.items():
        if "layers" in group:
            yield from _parameters(group["layers"])
            continue
        sizes: list[int] = []

        def add(name: str, item: Any, sizes: list[int] = sizes) -> None:
            # The state of a random generator (dropout) is no parameter.
            if isinstance(item, h5py.Dataset) and "seed_generator" not in name:
                sizes.append(item.size)

        group.visititems(add)
        named = group.get("vars")
        yield (str(named.attrs.get("name", key)) if named is not None else key), sum(sizes)


class _Walk:
    """Follows tensors through layers and gathers stages."""

    def __init__(self, size: tuple[int, int], parameters: dict[str, int]) -> None:
        self.size = size
        self.parameters = parameters
        self.stages: list[Stage] = []

    def ordered(self) -> list[Stage]:
        """Stages in the order of the way down, then up; their sources renumbered."""

        def place(at: int) -> tuple[bool, bool, float]:
            stage = self.stages[at]
            up = stage.side == "up"
            return up, stage.shrink == FLAT, -stage.shrink if up else stage.shrink

        order = sorted(range(len(self.stages)), key=place)
        for stage in self.stages:
            stage.sources = sorted(order.index(source) for source in stage.sources)
            stage.frozen = stage.frozen and stage.parameters > 0
        return [self.stages[at] for at in order]

    def model(self, kind: str, config: dict, inputs: list[_Tensor]) -> list[_Tensor]:
        """Outputs of a model whose inputs are given (none: the whole network)."""
        if kind == "Sequential":
            for layer in config["layers"]:
                inputs = self.layer(layer, inputs)
            return inputs
        made: dict[str, list[_Tensor]] = {}
        given = dict(zip((key[0] for key in _keys(config["input_layers"])), inputs, strict=False))
        for layer in config["layers"]:
            name = layer["name"]
            if name in given:
                made[name] = [given[name]]
            else:
                fed = [made[source][at] for source, at in _sources(layer["inbound_nodes"])]
                made[name] = self.layer(layer, fed)
        return [made[name][at] for name, _, at in _keys(config["output_layers"])]

    def layer(self, layer: dict, inputs: list[_Tensor]) -> list[_Tensor]:
        """Outputs of one layer; it is added to its stage."""
        kind, config = layer["class_name"], layer["config"]
        if kind in MODELS:
            return self.model(kind, config, inputs)
        if kind == "InputLayer":
            if inputs:
                return inputs
            channels = config["batch_shape"][-1]
            return [_Tensor(self._stage("down", 1.0, channels), channels)]
        factor = _factor(kind, config)
        before = [self.stages[tensor.stage] for tensor in inputs]
        up = factor < 1 or any(stage.side == "up" for stage in before)
        shrink = FLAT if kind in FLATTENING else max(s.shrink for s in before) * factor
        at = self._stage("up" if up else "down", shrink, inputs[0].channels)
        stage = self.stages[at]
        for tensor in inputs:
            if tensor.stage != at and tensor.stage not in stage.sources:
                stage.sources.append(tensor.stage)
        stage.channels = _channels(kind, config, [tensor.channels for tensor in inputs])
        if kind in WORDS:
            stage.kinds[_words(kind, config)] += 1
        count = self.parameters.pop(config.get("name", layer.get("name")), 0)
        stage.parameters += count
        stage.frozen = stage.frozen and (count == 0 or not config.get("trainable", True))
        return [_Tensor(at, stage.channels)]

    def _stage(self, side: str, shrink: float, channels: int) -> int:
        for at, stage in enumerate(self.stages):
            if (stage.side, stage.shrink) == (side, shrink):
                return at
        height, width = (
            1 if shrink == FLAT else max(1, round(side / shrink)) for side in self.size
        )
        self.stages.append(Stage(side, shrink, (height, width), channels, channels))
        return len(self.stages) - 1


def _keys(entry: list) -> list[list]:
    """Normalise what Keras writes for one or several tensors to a list of [layer, node, tensor]."""
    return [entry] if entry and isinstance(entry[0], str) else list(entry)


def _sources(node: Any) -> Iterator[tuple[str, int]]:
    """Yield the names of layers and numbers of outputs that feed a layer."""
    if isinstance(node, dict) and node.get("class_name") == "__keras_tensor__":
        name, _, tensor = node["config"]["keras_history"]
        yield name, tensor
    elif isinstance(node, dict):
        for each in node.values():
            yield from _sources(each)
    elif isinstance(node, list):
        for each in node:
            yield from _sources(each)


def _factor(kind: str, config: dict) -> float:
    """By how much a layer divides the height of the image."""
    if kind in SHRINKING:
        return float(_first(config.get("strides") or config.get("pool_size")))
    if kind == "Conv2DTranspose":
        return 1 / _first(config["strides"])
    if kind == "UpSampling2D":
        return 1 / _first(config["size"])
    return 1.0


def _first(value: Any) -> int:
    return value[0] if isinstance(value, list | tuple) else value


def _channels(kind: str, config: dict, before: list[int]) -> int:
    if kind == "Concatenate":
        return sum(before)
    if kind == "DepthwiseConv2D":
        return before[0] * config.get("depth_multiplier", 1)
    return config.get("filters") or config.get("units") or before[0]


def _words(kind: str, config: dict) -> str:
    word = WORDS[kind]
    if "kernel_size" in config:
        height = _first(config["kernel_size"])
        return f"{word} {height}×{config['kernel_size'][-1]}"
    return word
