"""What leaves a trained classification: its card and its ONNX file."""

import json

import class_files
import numpy as np
import pytest
from test_class_evaluate import scored
from test_class_training import finished, study  # noqa: F401 (fixtures)

from coverslip.models import export_onnx, model, preprocessing
from coverslip.reporting import model_card


def test_onnxruntime_gives_the_same(finished, tmp_path):  # noqa: F811
    runtime = pytest.importorskip("onnxruntime")
    export_onnx.onnx(finished / "model", tmp_path / "model.onnx")
    session = runtime.InferenceSession(
        str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    loaded = model.load(finished / "model")
    image = np.random.default_rng(1).integers(0, 256, (20, 24), dtype=np.uint8)
    seen = preprocessing.resize_image(
        preprocessing.to_input(image, loaded.preprocessing), loaded.tile
    )
    found = session.run(None, {"image": seen[None].astype(np.float32)})[0][0]
    (expected,) = loaded.predict([image])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_card_is_about_classes(tmp_path):
    files = class_files.make(tmp_path)
    scored(tmp_path, files)
    facts = json.loads((files.models[0] / "model.json").read_text())
    facts |= {"fold": 0, "seed": 1, "device": {"name": "CPU", "dtype_policy": "float32"}}
    facts |= {
        "epochs_run": 6,
        "parameters": 1234567,
        "architecture": "cnn",
        "head": "classification",
    }
    facts |= {"patch": [16, 16], "preprocessing": {"resize": [16, 16]}}
    (tmp_path / "model.json").write_text(json.dumps(facts))
    row = {"fold": 0, "images": 4, "groups": 2, "strata": {"a172": 2, "bv2": 2}}
    counts = [row | {"subset": "train"}, row | {"subset": "test", "strata": {"mcf7": 4}}]
    split = {"method": "grouped", "seed": 3, "counts": counts, "leaking": False, "leaks": []}
    (tmp_path / "split.json").write_text(json.dumps(split))
    model_card.write(
        tmp_path / "model.json",
        tmp_path / "metrics.json",
        tmp_path / "split.json",
        {"title": "Lines", "licence": "CC0-1.0", "citation": ""},
        {
            "title": "A study",
            "question": "",
            "task": "classification",
            "reproduces": None,
            "known_issues": [],
        },
        tmp_path / "README.md",
    )
    card = (tmp_path / "README.md").read_text()
    assert "tags: [microscopy, image-classification, coverslip]" in card
    assert "Of which class is an image?" in card
    assert "probabilities of a172, bv2, mcf7" in card
    assert "measure" not in card
    assert "- Never trained on mcf7." in card
    for words in ("| accuracy |", "| macro F1 |", "expected calibration error", "brightness alone"):
        assert words in card
