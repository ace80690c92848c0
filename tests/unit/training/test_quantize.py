"""Networks of 8 bits predict about what they predict in float32."""

import shutil

import cv2
import keras
import numpy as np
import pytest

from coverslip.config.sections import Network, Preprocessing
from coverslip.data.simulate import nuclei
from coverslip.errors import CoverslipError
from coverslip.measure.blocks import label_image
from coverslip.models import export_onnx, model, networks
from coverslip.models.folder import shipped_model
from coverslip.models.onnx_network import QUANTIZED
from coverslip.training.quantize import quantize

RNG = np.random.default_rng(4)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for number in range(3):
        image = np.zeros((90, 100), np.uint8)
        for x, y in RNG.integers(10, 80, (6, 2)).tolist():
            cv2.circle(image, (x, y), 8, 200, -1)
        cv2.imwrite(str(folder / f"{number}.png"), image)
    return folder


@pytest.fixture(scope="module")
def quantized(tmp_path_factory, images):
    folder = tmp_path_factory.mktemp("quantized")
    network = Network(filters=4, depth=1, normalization="batch", head="instance")
    keras.utils.set_random_seed(1)
    built = networks.build(network, (None, None, 1))
    info = {
        "classes": ["background", "nucleus"],
        "preprocessing": Preprocessing(input_scaling="unit", patch=64, channels="grey"),
        "fitted": {},
        "threshold": 0.5,
        "head": "instance",
        "instances": {"threshold": 0.5, "seed": 0.5, "min_area_px": 9},
    }
    model.save(folder, built, info)
    export_onnx.export(folder)
    (folder / "SHA256SUMS").write_text("00  model.onnx\n00  model.int8.onnx\n")
    assert quantize(folder, images) == folder / QUANTIZED
    return folder


def test_probabilities_change_little(quantized, images):
    image = cv2.imread(str(images / "0.png"), cv2.IMREAD_GRAYSCALE)
    (exact,) = model.load(quantized, runtime="float32").predict([image])
    (found,) = model.load(quantized, threads=1).predict([image])
    assert 0 < np.abs(found - exact).max() < 0.1
    sums = (quantized / "SHA256SUMS").read_text().split()
    assert sums[1::2] == ["model.onnx", QUANTIZED] and len(sums[2]) == 64


def test_a_new_export_drops_the_old_one(quantized, tmp_path):
    folder = shutil.copytree(quantized, tmp_path / "model")
    export_onnx.export(folder)
    assert not (folder / QUANTIZED).exists()


def test_what_has_no_network_or_no_images_is_an_error(quantized, images, tmp_path):
    with pytest.raises(CoverslipError, match="no image in it"):
        quantize(quantized, tmp_path)
    folder = shutil.copytree(quantized, tmp_path / "model")
    (folder / "model.onnx").unlink()
    with pytest.raises(CoverslipError, match=r"has no model\.onnx"):
        quantize(folder, images)


def test_the_shipped_model_finds_the_same_nuclei():
    rng = np.random.default_rng(1)
    image = nuclei.draw_image(512, nuclei.draw_plate(512, rng), rng)[0]
    folder = shipped_model("nuclei")
    assert (folder / QUANTIZED).is_file()
    exact, found = (
        label_image(model.load(folder, runtime=runtime, threads=2), image)
        for runtime in ("float32", "auto")
    )
    assert exact.max() > 50 and abs(int(found.max()) - int(exact.max())) <= 0.02 * exact.max()
    assert ((found > 0) != (exact > 0)).mean() < 0.005
