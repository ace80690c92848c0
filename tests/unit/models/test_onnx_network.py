"""Exported networks predict without Keras, and give what Keras gives."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from coverslip.config.sections import Network, Preprocessing
from coverslip.errors import CoverslipError
from coverslip.models import ensemble, export_onnx, model, networks
from coverslip.models.onnx_network import TOLERANCE, OnnxNetwork

RNG = np.random.default_rng(4)
ROOT = Path(__file__).resolve().parents[3]
INFO = {
    "classes": ["background", "nucleus"],
    "preprocessing": Preprocessing(input_scaling="unit", patch=64, channels="grey"),
    "fitted": {},
    "threshold": 0.5,
    "head": "instance",
    "instances": {"threshold": 0.5, "seed": 0.5, "min_area_px": 9},
}


def save(folder, scale=1.0):
    network = Network(filters=2, depth=1, normalization="batch", head="instance")
    built = networks.build(network, (None, None, 1))
    built.set_weights([scale * RNG.normal(0, 0.3, w.shape) ** 2 for w in built.get_weights()])
    model.save(folder, built, INFO)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    save(folder)
    (folder / "SHA256SUMS").write_text("00  model.keras\n")
    assert export_onnx.export(folder) == [folder / "model.onnx"]
    return folder


def test_probabilities_are_those_of_keras(exported):
    images = [RNG.integers(0, 255, size, np.uint8) for size in ((64, 64), (90, 230), (7, 200))]
    by_keras = model.load(exported, runtime="keras")
    by_onnx = model.load(exported, threads=1)
    for expected, found in zip(by_keras.predict(images), by_onnx.predict(images), strict=True):
        assert np.abs(found - expected).max() < TOLERANCE and np.ptp(found) > 0.01
    assert by_onnx.grain == by_keras.grain is not None
    assert model.needs_keras(by_keras) and not model.needs_keras(by_onnx)
    assert len((exported / "SHA256SUMS").read_text().splitlines()) == 2


def test_a_file_of_another_network_is_rejected(exported, tmp_path):
    folder = shutil.copytree(exported, tmp_path / "model")
    info = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(info | {"identity": "other"}))
    with pytest.raises(CoverslipError, match="from another model.json: export it again"):
        model.load(folder).predictor()
    (folder / "model.onnx").write_bytes(b"text")
    with pytest.raises(CoverslipError, match="cannot be loaded"):
        model.load(folder).predictor()
    save(folder)
    assert not (folder / "model.onnx").exists(), "a new network is not described by the old file"


def test_members_of_an_ensemble_predict_by_their_files(exported, tmp_path):
    members = [shutil.copytree(exported, tmp_path / name) for name in "ab"]
    ensemble.write(members, tmp_path / "both")
    loaded = model.load(tmp_path / "both")
    assert not model.needs_keras(loaded)
    image = RNG.integers(0, 255, (40, 50), np.uint8)
    (found,) = loaded.predict([image])
    (expected,) = model.load(exported, runtime="keras").predict([image])
    assert np.abs(found - expected).max() < TOLERANCE
    (members[0] / "model.onnx").unlink()
    assert model.needs_keras(loaded)


MEASURE = """
import sys
from pathlib import Path
from coverslip.config.sections import Measure
from coverslip.measure.images import Outputs, measure
place, model = Path(sys.argv[1]), Path(sys.argv[2])
names = ("images.csv", "objects.csv", "labels", "overlays", "exports")
measure(place / "in", place / "notes.json", 0, 1, model, Measure(), "x", place / "state",
        Outputs(*(place / name for name in names)), 2)
assert not {"tensorflow", "keras"} & set(sys.modules), sorted(sys.modules)
"""


def test_the_shipped_model_measures_without_tensorflow(tmp_path):
    (tmp_path / "in").mkdir()
    image = np.full((200, 220), 20, np.uint8)
    for at in ((50, 60), (120, 150), (150, 60)):
        cv2.circle(image, at, 12, 180, -1)
    noisy = np.clip(cv2.GaussianBlur(image, (0, 0), 2) + RNG.normal(0, 3, image.shape), 0, 255)
    cv2.imwrite(str(tmp_path / "in/a.png"), noisy.astype(np.uint8))
    (folder,) = (ROOT / "resources/models").glob("nuclei-*")
    command = [sys.executable, "-c", MEASURE, str(tmp_path), str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow/scripts")}
    subprocess.run(command, check=True, cwd=ROOT, env=environment)
    assert len((tmp_path / "objects.csv").read_text().splitlines()) == 4


def test_the_shipped_file_belongs_to_its_folder():
    for folder in (ROOT / "resources/models").iterdir():
        loaded = model.load(folder)
        if loaded.info["kind"] == "network":
            OnnxNetwork(folder / "model.onnx", loaded.info, threads=1)
            assert (folder / "model.onnx").stat().st_size < 25e6
