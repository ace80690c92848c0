"""Planes for another tool, and its label images in place of a model."""

import json

import numpy as np
import pytest
import tifffile

from coverslip.config.sections import Measure
from coverslip.errors import CoverslipError
from coverslip.imaging.rows import Whole
from coverslip.measure import blocks
from coverslip.measure.tool_images import export_planes, labels_digest, load_model, plane_file
from coverslip.models.tool import FACTS
from coverslip.pipeline import folder_inventory


def write_labels(folder, label, name="a.tif", page=1) -> None:
    folder.mkdir(exist_ok=True)
    tifffile.imwrite(folder / plane_file(name, page), label)
    facts = {"tool": "stardist", "training_data_licence": "CC0-1.0", "images": 1}
    (folder / FACTS).write_text(json.dumps(facts))


def test_each_plane_is_a_file_of_its_own(tmp_path):
    images = tmp_path / "images"
    images.mkdir()
    stack = np.arange(2 * 40 * 50, dtype=np.uint16).reshape(2, 40, 50)
    tifffile.imwrite(images / "stack.tif", stack, metadata={"axes": "ZYX"}, imagej=True)
    tifffile.imwrite(images / "one.tif", stack[0].astype(np.uint8))
    (images / "broken.png").write_bytes(b"nothing")
    folder_inventory.contents(images, tmp_path / "notes.json")
    out = tmp_path / "out"
    count = export_planes(images, tmp_path / "notes.json", 0, 1, Measure(), out)
    assert count == 3
    for page in (1, 2):
        found = tifffile.imread(out / plane_file("stack.tif", page))
        assert np.array_equal(found, stack[page - 1])
    assert tifffile.imread(out / plane_file("one.tif", 1)).dtype == np.uint8


@pytest.mark.parametrize("block", [2048, 48])
def test_objects_are_those_of_the_tool_in_one_block_or_several(tmp_path, monkeypatch, block):
    label = np.zeros((120, 130), np.uint16)
    label[4:20, 4:20], label[40:70, 30:80], label[100:118, 100:128] = 7, 3, 300
    write_labels(tmp_path / "labels", label)
    monkeypatch.setattr(blocks, "BLOCK", block)
    monkeypatch.setattr(blocks, "HALO", 32)
    model = load_model(tmp_path / "labels").of_plane("a.tif", 1)
    image = np.full((120, 130, 1), 50, np.uint8)
    found = blocks.segment_image(model, Whole(image), tmp_path / "scratch")
    assert len(found.grid) == (1 if block == 2048 else 9)
    numbers = found.label(slice(None))
    assert found.count == 3 and found.foreground_px == np.count_nonzero(label)
    pairs = set(zip(label.ravel().tolist(), numbers.ravel().tolist(), strict=True))
    assert len(pairs) == 4 and (0, 0) in pairs


def test_an_image_without_label_image(tmp_path):
    write_labels(tmp_path / "labels", np.zeros((8, 8), np.uint16))
    model = load_model(tmp_path / "labels").of_plane("b.tif", 1)
    with pytest.raises(CoverslipError, match="wrote no label image"):
        model.open_image(Whole(np.zeros((8, 8, 1), np.uint8)))


def test_results_change_with_the_label_images(tmp_path):
    write_labels(tmp_path / "labels", np.zeros((8, 8), np.uint16))
    first = labels_digest(tmp_path / "labels")
    (tmp_path / "labels" / FACTS).write_text('{"seconds": 9}')
    assert labels_digest(tmp_path / "labels") == first
    write_labels(tmp_path / "labels", np.ones((8, 8), np.uint16))
    assert labels_digest(tmp_path / "labels") != first
