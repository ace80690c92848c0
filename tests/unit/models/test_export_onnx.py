"""Exported networks give what Keras gives."""

import json

import numpy as np
import pytest

from coverslip.config.sections import Network, Preprocessing
from coverslip.errors import CoverslipError
from coverslip.models import export_onnx, heads, model, networks, preprocessing
from coverslip.runtime import device

device.prepare(threads=1)

# noqa: E402
# noqa: E402
# noqa: E402

RNG = np.random.default_rng(2)
FITTED = {"mean": [100.0, 110.0, 120.0], "standard_deviation": [20.0, 30.0, 0.0]}


@pytest.mark.parametrize(
    ("network", "scaling"),
    [
        (
            Network(filters=2, depth=1, stem_stride=2, normalization="batch", head="instance"),
            "unit",
        ),
        (
            Network(
                filters=2,
                depth=1,
                num_classes=2,
                head="semantic",
                stem_stride=1,
                normalization="group",
            ),
            "zscore",
        ),
    ],
)
def test_onnxruntime_gives_the_same(tmp_path, network, scaling):
    runtime = pytest.importorskip("onnxruntime")
    built = networks.build(network, (None, None, 3))
    info = {
        "classes": ["background", "foreground"],
        "preprocessing": Preprocessing(
            input_scaling=scaling, patch=16, channels="rgb", normalization="dtype_range"
        ),
        "fitted": FITTED if scaling == "zscore" else {},
        "threshold": 0.5,
        "head": network.head,
        "instances": {"threshold": 0.5, "seed": 0.5, "min_area_px": 9},
    }
    model.save(tmp_path / "model", built, info)
    path = tmp_path / "model.onnx"
    export_onnx.onnx(tmp_path / "model", path)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    assert name == "image"
    loaded = model.load(tmp_path / "model")
    for shape in ((16, 16, 3), (24, 32, 3)):
        image = RNG.integers(0, 256, shape, dtype=np.uint8)
        found = session.run(None, {name: image[None].astype(np.float32)})[0]
        whole = heads.probabilities(model.read_network(loaded), loaded.head)
        scaled = preprocessing.batch(image[None], loaded.preprocessing, loaded.info["fitted"])
        expected = whole.predict_on_batch(scaled)
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() < 1e-5
    stored = session.get_modelmeta().custom_metadata_map[export_onnx.METADATA]
    assert json.loads(stored)["head"] == network.head
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "model.onnx"]


def test_a_model_without_a_network_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(model.KINDS, "other", lambda _: None)
    folder = tmp_path / "model"
    folder.mkdir()
    info = {
        "format": 2,
        "kind": "other",
        "classes": ["background", "foreground"],
        "num_classes": 1,
        "preprocessing": {},
        "fitted": {},
        "threshold": 0.5,
    }
    (folder / "model.json").write_text(json.dumps(info))
    with pytest.raises(CoverslipError, match="no network to export"):
        export_onnx.onnx(folder, tmp_path / "model.onnx")


def test_onnxruntime_gives_the_same_classes(class_model, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    export_onnx.onnx(class_model, tmp_path / "model.onnx")
    session = runtime.InferenceSession(
        str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    loaded = model.load(class_model)
    image = np.random.default_rng(1).integers(0, 256, (20, 24), dtype=np.uint8)
    seen = preprocessing.resize_image(
        preprocessing.to_input(image, loaded.preprocessing), loaded.tile
    )
    found = session.run(None, {"image": seen[None].astype(np.float32)})[0][0]
    (expected,) = loaded.predict([image])
    np.testing.assert_allclose(found, expected, atol=1e-5)
