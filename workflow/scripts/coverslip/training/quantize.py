"""8-bit networks: `python -m coverslip.training.quantize MODEL_FOLDER IMAGES`.

Writes `model.int8.onnx` beside the `model.onnx` of a model folder: weights and activations are
integers of 8 bits, whose scales come from images like those that it is for (post-training static
quantization: Jacob et al., Quantization and training of neural networks for efficient
integer-arithmetic-only inference, CVPR 2018; by `onnxruntime.quantization`). `measure` then
predicts by it in about half of the time. Probabilities change by about 0.002: score the network on
labelled images before you keep it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.data.image_suffixes import SUFFIXES
from coverslip.data.readers import read_planes
from coverslip.errors import CoverslipError
from coverslip.files import atomic_write
from coverslip.models import preprocessing
from coverslip.models.model import Model, load
from coverslip.models.onnx_network import FILE, QUANTIZED, write_checksum
from coverslip.models.tiles import pad

IMAGES = 64
"""Images that scales are taken from at most, evenly spread over the sorted names."""

OPERATIONS = ("Add", "Clip", "Concat", "Conv", "Relu", "Resize")
"""Operations of 8 bits. Without `Clip` and `Relu`, values that they cut off would take scale."""


def quantize(folder: Path, images: Path) -> Path:
    """Write `model.int8.onnx` into a model folder; `SHA256SUMS` there gets its digest.

    Args:
        folder: with `model.onnx`, of a segmentation at native size.
        images: a folder of images, at any depth.

    Raises:
        CoverslipError: the folder has no such network, or there is no image.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    model = load(folder)
    if (
        not (folder / FILE).is_file()
        or model.head == "classification"
        or model.preprocessing.resize
    ):
        raise CoverslipError(f"{folder}: has no {FILE} of a segmentation at native size")
    tiles = iter(list(islice(calibration_tiles(model, images), IMAGES)))

    class Reader:
        def get_next(self) -> dict[str, np.ndarray] | None:
            tile = next(tiles, None)
            return None if tile is None else {"image": tile}

    with tempfile.TemporaryDirectory(prefix="coverslip-") as scratch:
        plain, made = Path(scratch) / "plain.onnx", Path(scratch) / "int8.onnx"
        quant_pre_process(str(folder / FILE), str(plain), skip_symbolic_shape=True)
        quantize_static(
            str(plain),
            str(made),
            Reader(),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=list(OPERATIONS),
            nodes_to_exclude=_outer_nodes(onnx.load(plain).graph),
        )
        whole = onnx.load(made)
        del whole.metadata_props[:]
        whole.metadata_props.extend(onnx.load(folder / FILE).metadata_props)
        with atomic_write(folder / QUANTIZED) as part:
            onnx.save(whole, part)
    write_checksum(folder / QUANTIZED)
    return folder / QUANTIZED


def calibration_tiles(model: Model, images: Path) -> Iterator[np.ndarray]:
    """Yield the middle of each image as the network sees it, float32 1xHxWxC.

    Args:
        model: gives the preprocessing and the size of a tile.
        images: a folder.

    Raises:
        CoverslipError: there is no image in it.
    """
    found = sorted(p for p in images.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not found:
        raise CoverslipError(f"{images}: no image in it")
    for at in np.unique(np.linspace(0, len(found) - 1, IMAGES).round().astype(int)):
        for plane in islice(read_planes(found[at]), 1):
            if plane.image is not None:
                pixels = pad(preprocessing.to_input(plane.image, model.preprocessing), model.tile)
                top, left = (
                    (n - side) // 2 for n, side in zip(pixels.shape, model.tile, strict=False)
                )
                height, width = model.tile
                yield pixels[np.newaxis, top : top + height, left : left + width].astype(np.float32)


def _outer_nodes(graph: Any) -> list[str]:
    """Return the nodes before the first convolution and after the last one: they stay exact."""
    places = [at for at, node in enumerate(graph.node) if node.op_type == "Conv"]
    return [node.name for at, node in enumerate(graph.node) if at < places[0] or at > places[-1]]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="model folder with model.onnx")
    parser.add_argument("images", type=Path, help="folder of images like those that it is for")
    arguments = parser.parse_args()
    try:
        made = quantize(arguments.folder, arguments.images)
        print(f"{made}: {made.stat().st_size / 1e6:.1f} MB")
    except CoverslipError as error:
        raise SystemExit(str(error)) from error
