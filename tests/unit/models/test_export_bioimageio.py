"""A model as a package of the BioImage Model Zoo, opened by the library of the zoo."""

import sys
import zipfile

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from coverslip.errors import CoverslipError
from coverslip.models import export_bioimageio as bioimageio

CARD = """---
license: cc0-1.0
---
# Nuclei

Caicedo et al. Nature Methods (2019). https://doi.org/10.1038/s41592-019-0612-7
"""


def sigmoid_network(path):
    """Write a network whose answer is the sigmoid of its input."""
    shape = ["N", "height", "width", 1]
    given, answer = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("image", "out")
    )
    node = helper.make_node("Sigmoid", ["image"], ["out"])
    graph = helper.make_graph([node], "net", [given], [answer])
    opset = [helper.make_opsetid("", 15)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=8), path)


INFO = {
    "head": "semantic",
    "classes": ["background", "foreground"],
    "num_classes": 1,
    "channels": 1,
    "patch": [64, 64],
    "study": "nuclei",
    "task": "segmentation",
    "licence": "CC0-1.0",
}


def test_the_zoo_reads_the_package(tmp_path):
    spec = pytest.importorskip("bioimageio.spec", reason="needs the extra `bioimageio`")
    sigmoid_network(tmp_path / "model.onnx")
    package = tmp_path / "bioimageio.zip"
    bioimageio.write_package(tmp_path / "model.onnx", INFO, CARD, package)
    found = spec.load_model_description(package, perform_io_checks=True)
    assert found.license == "CC0-1.0" and found.cite[0].doi == "10.1038/s41592-019-0612-7"
    assert [str(axis.id) for axis in found.inputs[0].axes] == ["batch", "y", "x", "channel"]
    with zipfile.ZipFile(package) as file:
        names = {name.rsplit("/", 1)[-1] for name in file.namelist()}
        assert {"test_input.npy", "test_output.npy", "README.md", "model.onnx"} <= names
        given, answer = (
            np.load(file.open(name))
            for name in sorted(n for n in file.namelist() if n.endswith(".npy"))
        )
    assert answer == pytest.approx(1 / (1 + np.exp(-given)), abs=1e-5)


def test_it_needs_its_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "bioimageio.spec", None)
    with pytest.raises(CoverslipError, match=r"coverslip\[bioimageio\]"):
        bioimageio.write_package(tmp_path / "model.onnx", INFO, CARD, tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == []
