"""A model as a package of the BioImage Model Zoo (https://bioimage.io), by `bioimageio.spec`.

The package holds the ONNX network, a test image with its answer, and the model card. Programs that
read it (Fiji's deepImageJ, ilastik, QuPath, ImJoy) give preprocessed images: `model.json`, which is
in the ONNX file, states the preprocessing.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from coverslip import __version__
from coverslip.errors import CoverslipError
from coverslip.files import atomic_write

DOI = re.compile(r"\b10\.\d{4,}/[^\s)\]>]+[^\s)\]>.,;]")

SEED = 1

INSTANCE = ["background", "interior", "border", "distance"]
"""Channels of the answer of a model with the head `instance`."""

MISSING = "needs the package bioimageio.spec: pip install 'coverslip[bioimageio]'"


def write_package(network: Path, info: Mapping[str, Any], card: str, output: Path) -> None:
    """Write a BioImage.IO package of a model, format 0.5, and check it.

    Args:
        network: the ONNX file, see `models.export_onnx`.
        info: `model.json`.
        card: the model card, Markdown.
        output: the package, a zip.

    Raises:
        CoverslipError: `bioimageio.spec` is not installed, or it finds the package invalid.
    """
    try:
        library = import_module("bioimageio.spec")
        import_module("onnxruntime")
    except ImportError as error:
        raise CoverslipError(f"{output}: {MISSING}") from error
    with tempfile.TemporaryDirectory(prefix="coverslip-") as scratch:
        folder = Path(scratch)
        (folder / "README.md").write_text(_without_header(card), encoding="utf-8")
        image = _test_image((*info["patch"], info["channels"]))
        np.save(folder / "test_input.npy", image)
        np.save(folder / "test_output.npy", _answer(network, image))
        found = _description(network.resolve(), info, card, folder)
        if isinstance(found, library.InvalidDescr):
            raise CoverslipError(
                f"{output}: not a valid package: {found.validation_summary.format()[:500]}"
            )
        with atomic_write(output) as part:
            made = part.with_name(f"{part.name}.zip")
            try:
                library.save_bioimageio_package(found, output_path=made)
                made.replace(part)
            finally:
                made.unlink(missing_ok=True)


def _without_header(card: str) -> str:
    """Return a model card without the front matter of model hubs."""
    return re.sub(r"\A---\n.*?\n---\n", "", card, flags=re.DOTALL)


def _test_image(shape: tuple[int, int, int]) -> np.ndarray:
    """Return blobs on a dark ground, float32 (1, height, width, channels), 0..255."""
    height, width, channels = shape
    noise = np.random.default_rng(SEED).normal(size=(height, width)).astype(np.float32)
    blobs = cv2.GaussianBlur(noise, (0, 0), 5)
    image = 255 * np.clip(blobs / blobs.max(), 0, 1)
    return np.repeat(image[np.newaxis, :, :, np.newaxis], channels, axis=3)


def _answer(network: Path, image: np.ndarray) -> np.ndarray:
    session = import_module("onnxruntime").InferenceSession(
        str(network), providers=["CPUExecutionProvider"]
    )
    (answer,) = session.run(None, {session.get_inputs()[0].name: image})
    return np.asarray(answer, np.float32)


def _names(network: Path) -> tuple[str, str, int]:
    import onnx

    graph = onnx.load(network)
    opset = next(each.version for each in graph.opset_import if each.domain in ("", "ai.onnx"))
    return graph.graph.input[0].name, graph.graph.output[0].name, int(opset)


def _description(network: Path, info: Mapping[str, Any], card: str, folder: Path) -> Any:
    spec = import_module("bioimageio.spec.model.v0_5")
    context = import_module("bioimageio.spec").ValidationContext
    given, answered, opset = _names(network)
    classes = info.get("head") == "classification"
    side = info["patch"]
    doi = DOI.search(card)

    def space(axis: str, length: int) -> Any:
        # Multiples of a patch are multiples of what any network needs.
        size = length if classes else spec.ParameterizedSize(min=length, step=length)
        return spec.SpaceInputAxis(id=spec.AxisId(axis), size=size)

    def back(axis: str) -> Any:
        size = spec.SizeReference(tensor_id=spec.TensorId("image"), axis_id=spec.AxisId(axis))
        return spec.SpaceOutputAxis(id=spec.AxisId(axis), size=size)

    channels = ["grey"] if info["channels"] == 1 else ["red", "green", "blue"]
    outputs = INSTANCE if info.get("head") == "instance" else [str(n) for n in info["classes"]]
    outputs = outputs if len(outputs) == info["num_classes"] else outputs[-info["num_classes"] :]
    names = [spec.Identifier(re.sub(r"\W", "_", f"c{at}_{n}")) for at, n in enumerate(outputs)]
    channel = spec.ChannelAxis(channel_names=names)
    with context(root=folder, perform_io_checks=True):
        return spec.ModelDescr(
            name=f"coverslip {info.get('study') or 'model'}"[:120],
            description=f"Model of the study {info.get('study')}, trained by coverslip",
            authors=[spec.Author(name="The coverslip authors")],
            cite=[spec.CiteEntry(text="Training data", doi=spec.Doi(doi[0]))] if doi else [],
            license=spec.LicenseId(info.get("licence") or "CC0-1.0"),
            tags=["coverslip", "microscopy", "2d", info.get("task") or "segmentation"],
            documentation=spec.FileDescr(source=folder / "README.md"),
            version=spec.Version(__version__),
            inputs=[
                spec.InputTensorDescr(
                    id=spec.TensorId("image"),
                    axes=[
                        spec.BatchAxis(),
                        space("y", side[0]),
                        space("x", side[1]),
                        spec.ChannelAxis(channel_names=[spec.Identifier(c) for c in channels]),
                    ],
                    test_tensor=spec.FileDescr(source=folder / "test_input.npy"),
                )
            ],
            outputs=[
                spec.OutputTensorDescr(
                    id=spec.TensorId("probabilities"),
                    axes=[spec.BatchAxis(), *([] if classes else [back("y"), back("x")]), channel],
                    test_tensor=spec.FileDescr(source=folder / "test_output.npy"),
                )
            ],
            weights=spec.WeightsDescr(
                onnx=spec.OnnxWeightsDescr(source=network, opset_version=opset)
            ),
        )
