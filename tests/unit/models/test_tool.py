"""Other people's tools: any program by its command, StarDist by its own package."""

import json
import shlex
import sys
import zipfile

import numpy as np
import pytest
import tifffile

from coverslip.errors import CoverslipError
from coverslip.models.tool import FACTS, apply_tool, check_model, fill_command, merge_facts
from coverslip.models.tool import train_tool as train_by_package

PROGRAM = """
import sys
from pathlib import Path
import numpy as np
import tifffile
for path in sorted(Path(sys.argv[1]).iterdir()):
    image = tifffile.imread(path)
    tifffile.imwrite(Path(sys.argv[2]) / path.name, (image > 99).astype(np.uint16))
"""


def section(**keys) -> dict:
    return {"model": None, "command": None, "train": None, "options": {}} | keys


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "with a space" / "images"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    for name, shape in (("a", (64, 64)), ("b", (64, 96, 3))):
        tifffile.imwrite(folder / f"{name}.tif", rng.integers(0, 255, shape, dtype=np.uint8))
    return folder


def apply(tmp_path, images, file=None, **keys) -> dict:
    labels, log = tmp_path / "labels", tmp_path / "tool.log"
    return apply_tool(section(**keys), images, labels, file, sys.executable, 1, log, "CC0-1.0")


def test_any_command_makes_label_images(tmp_path, images):
    (images / "b.tif").unlink()
    program = tmp_path / "my tool.py"
    program.write_text(PROGRAM)
    command = shlex.join([sys.executable, str(program)]) + " {images} {labels}"
    facts = apply(tmp_path, images, tool="command", command=command)
    expected = tifffile.imread(images / "a.tif") > 99
    assert np.array_equal(tifffile.imread(tmp_path / "labels/a.tif"), expected)
    assert json.loads((tmp_path / "labels" / FACTS).read_text()) == facts
    assert facts["images"] == 1 and facts["megapixels"] == pytest.approx(64 * 64 / 1e6)
    assert facts["seconds"] > 0 and facts["peak_memory_mb"] > 10
    assert facts["tool"] == "command" and not facts["trained_on_split"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("true {images} {labels}", "command: wrote no label image"),
        ("echo so it is {images} {labels}; false", "command: so it is .*a space.*tool.log"),
    ],
)
def test_a_command_that_fails(tmp_path, images, command, words):
    with pytest.raises(CoverslipError, match=words):
        apply(tmp_path, images, tool="command", command=command)


def test_folders_are_quoted_for_the_shell(tmp_path):
    filled = fill_command("a {labels} {other} {images}", tmp_path / "a; b", tmp_path / "c'd")
    assert shlex.split(filled) == ["a", str(tmp_path / "c'd"), "{other}", str(tmp_path / "a; b")]


def test_a_tool_that_is_not_installed(tmp_path, images):
    with pytest.raises(CoverslipError, match="^cellpose: .*no package cellpose.*pip install"):
        apply(tmp_path, images, tool="cellpose")


def test_a_model_that_is_none(tmp_path, images):
    with pytest.raises(CoverslipError, match="not a model of this tool: it has no config.json"):
        apply(tmp_path, images, images, tool="stardist")


def test_a_model_has_its_published_or_noted_digest(tmp_path):
    model = tmp_path / "model"
    assert check_model(section(tool="stardist"), tmp_path) is None
    model.write_bytes(b"weights")
    with pytest.raises(CoverslipError, match="expected 4ad678d0"):
        check_model(section(tool="stardist", model="2D_versatile_fluo"), model)
    digest = check_model(section(tool="cellpose"), model)
    (tmp_path / "model.sha256").write_text(f"{digest}  model\n")
    assert check_model(section(tool="cellpose"), model) == digest
    model.write_bytes(b"others")
    with pytest.raises(CoverslipError, match=f"expected {digest}"):
        check_model(section(tool="cellpose"), model)


def test_facts_of_shards_are_one():
    parts = [
        {"tool": "x", "images": 2, "megapixels": 0.5, "seconds": 3.0, "peak_memory_mb": 80},
        {"tool": "x", "images": 1, "megapixels": 0.25, "seconds": 1.0, "peak_memory_mb": 90},
    ]
    whole = {"tool": "x", "images": 3, "megapixels": 0.75, "seconds": 4.0, "peak_memory_mb": 90}
    assert merge_facts(parts) == whole
    assert merge_facts([]) == {}


def disks(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """An image with four disks, and its label image."""
    rows, columns = np.mgrid[:64, :64]
    label = np.zeros((64, 64), np.uint16)
    for number, (y, x) in enumerate(((16, 16), (16, 48), (48, 16), (48, 48)), start=1):
        label[(rows - y) ** 2 + (columns - x) ** 2 < 90] = number
    image = np.where(label > 0, 180, 40) + rng.integers(0, 20, label.shape)
    return image.astype(np.uint8), label


def test_stardist_is_trained_and_applied_by_its_own_package(tmp_path, images):
    """Its objects mean nothing after so few steps, but each image has a label image."""
    rng = np.random.default_rng(1)
    for subset in ("train", "validation"):
        for kind in ("images", "labels"):
            (tmp_path / "training" / subset / kind).mkdir(parents=True)
        for number in range(2):
            for kind, pixels in zip(("images", "labels"), disks(rng), strict=True):
                rows = 24 if number else 64  # fewer than a patch has
                path = tmp_path / f"training/{subset}/{kind}/{number}.tif"
                tifffile.imwrite(path, pixels[:rows])
    training = {"epochs": 1, "steps": 2, "batch": 1, "patch": 32, "rays": 8}
    training |= {"learning_rate": 3e-4, "patience": 1}
    took = train_by_package(
        training,
        tmp_path / "training",
        tmp_path / "model",
        tmp_path / "state",
        seed=1,
        python=sys.executable,
        threads=1,
        log=tmp_path / "train.log",
    )
    assert took.cpu_seconds > 1 and not (tmp_path / "state").exists()
    recorded = json.loads((tmp_path / "model/training.json").read_text())
    assert recorded["epochs"] == len(recorded["history"]) == 1
    assert recorded["training_seconds"] == recorded["history"][0]["seconds"] > 0
    assert recorded["training_images"] == 2 and recorded["settings"]["rays"] == 8
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        for path in (tmp_path / "model").iterdir():
            archive.write(path, path.name)
    facts = apply(tmp_path, images, tmp_path / "model.zip", tool="stardist", model="model.zip")
    assert {path.name for path in (tmp_path / "labels").iterdir()} == {"a.tif", "b.tif", FACTS}
    assert tifffile.imread(tmp_path / "labels/b.tif").shape == (64, 96)
    assert facts["images"] == 2 and facts["version"]
    assert len(facts["model_sha256"]) == 64
