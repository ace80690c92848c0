"""A folder is measured once: only what is new or changed is computed again."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile

from coverslip.config.sections import Measure
from coverslip.measure.images import Outputs, measure
from coverslip.measure.page import build
from coverslip.models import model
from coverslip.runtime import device

INFO = {
    "format": 1,
    "kind": "bright",
    "classes": ["background", "foreground"],
    "preprocessing": {"channels": "grey", "patch": 32, "intensity": "range"},
    "fitted": {},
    "threshold": 0.5,
    "outputs": 1,
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of images, and a model that takes bright pixels for foreground."""
    monkeypatch.setitem(model.KINDS, "bright", lambda _: lambda tiles: tiles / np.float32(255))
    monkeypatch.setattr(device, "prepare", lambda threads: device.Device("none"))
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.json").write_text(json.dumps(INFO))
    for at, name in enumerate(["a.png", "b.png", "sub/c.tif", "d.png"]):
        draw(tmp_path / "in" / name, 10 + at)
    (tmp_path / "in/broken.png").write_bytes(b"text")
    (tmp_path / "in/notes.txt").write_bytes(b"text")
    return tmp_path


def draw(path, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((60, 70), 20, np.uint8)
    image[5 : 5 + size, 8 : 8 + size] = 220
    assert cv2.imwrite(str(path), image)


def run(place, shard=0, shards=1, code="x", **settings):
    out = place / f"out{shard}"
    outputs = Outputs(out / "images.csv", out / "objects.csv", out / "labels", out / "overlays")
    computed = measure(
        folder=place / "in",
        notes=place / "notes.json",
        shard=shard,
        shards=shards,
        model=place / "model",
        settings=Measure(**settings),
        code=code,
        state=place / "state",
        outputs=outputs,
        threads=1,
        report=lambda line: None,
    )
    return computed, outputs


def test_numbers_of_a_folder(place):
    computed, outputs = run(place, pixel_size_um=2.0)
    assert computed == 5
    table = pd.read_csv(outputs.images).set_index("image")
    assert list(table.index) == ["a.png", "b.png", "broken.png", "d.png", "sub/c.tif"]
    assert table.loc["a.png", "confluency_percent"] == round(100 * 100 / 4200, 4)
    assert table.loc["sub/c.tif", "mean_area_px"] == 144
    assert table.loc["sub/c.tif", "mean_area_um2"] == 576
    assert table.loc["broken.png", "error"].startswith("cannot be decoded")
    assert table["error"].notna().sum() == 1
    objects = pd.read_csv(outputs.objects)
    assert list(objects["image"]) == ["a.png", "b.png", "d.png", "sub/c.tif"]
    label = tifffile.imread(outputs.labels / "sub/c.tif.label.tif")
    assert label.dtype == np.uint16 and label.sum() == 144
    with tifffile.TiffFile(outputs.labels / "a.png.label.tif") as tiff:
        assert tiff.pages[0].compression == 8
        assert tiff.pages[0].tags["XResolution"].value == (5000, 1)
    assert (outputs.overlays / "d.png.overlay.png").is_file()
    assert len(list(outputs.overlays.rglob("*.png"))) == 4


def test_only_what_is_new_or_changed_is_computed(place):
    assert run(place)[0] == 5
    assert run(place)[0] == 0
    draw(place / "in/e.png", 20)
    assert run(place)[0] == 1
    draw(place / "in/a.png", 30)
    computed, outputs = run(place)
    assert computed == 1
    assert pd.read_csv(outputs.images)["objects"].sum() == 5
    (place / "in/b.png").rename(place / "in/renamed.png")
    computed, outputs = run(place)
    assert computed == 0 and "renamed.png" in list(pd.read_csv(outputs.images)["image"])
    assert not (outputs.overlays / "b.png.overlay.png").exists()


def test_other_files_in_the_model_folder_are_no_part_of_the_model(place):
    assert run(place)[0] == 5
    for name in ("README.md", "model.onnx", ".DS_Store", "notes.txt"):
        (place / "model" / name).write_text("x")
    assert run(place)[0] == 0


def test_what_changes_results_computes_all_and_what_does_not_nothing(place):
    assert run(place)[0] == 5
    assert run(place, time_pattern="(?P<time>x)", shards=1)[0] == 0
    assert run(place, minimum_area=1000)[0] == 5
    assert run(place, code="y")[0] == 5
    assert run(place)[0] == 0
    (place / "model/model.json").write_text(json.dumps(INFO | {"threshold": 0.6}))
    assert run(place)[0] == 5


@pytest.mark.parametrize(("fast", "policy"), [(True, "mixed_bfloat16"), (False, None)])
def test_networks_are_fast_where_that_is_asked(place, monkeypatch, fast, policy):
    seen = []

    def network(loaded):
        seen.append(loaded.policy)
        return lambda tiles: tiles / np.float32(255)

    monkeypatch.setitem(model.KINDS, "network", network)
    monkeypatch.setattr(device, "prepare", lambda threads: device.Device("none", bfloat16=True))
    (place / "model/model.json").write_text(json.dumps(INFO | {"kind": "network"}))
    (place / "model/model.keras").write_text("")
    assert run(place, fast=fast)[0] == 5
    assert seen == [policy]
    assert run(place, fast=fast)[0] == 0
    assert run(place, fast=not fast)[0] == 5


def test_shards_hold_each_image_once_whatever_their_number(place):
    one = pd.read_csv(run(place)[1].images)
    parts = [run(place, shard, 3) for shard in range(3)]
    assert [computed for computed, _ in parts] == [0, 0, 0]
    three = pd.concat([pd.read_csv(outputs.images) for _, outputs in parts])
    assert sorted(three["image"]) == sorted(one["image"])


def test_a_job_that_was_killed_goes_on_where_it_was(place, monkeypatch):
    from coverslip.measure import image_result

    whole, left = image_result.overlay, [2]

    def killed(*arguments):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return whole(*arguments)

    monkeypatch.setattr(image_result, "overlay", killed)
    with pytest.raises(KeyboardInterrupt):
        run(place)
    monkeypatch.setattr(image_result, "overlay", whole)
    assert run(place)[0] == 2, "the two that were drawn and the broken one between them are kept"


def test_pages_have_rows_labels_and_overlays_of_their_own(place):
    stack = np.full((3, 40, 40), 20, np.uint16)
    stack[1:, 5:15, 5:15] = 60000
    tifffile.imwrite(place / "in/t.ome.tif", stack, ome=True, metadata={"axes": "TYX"})
    _, outputs = run(place)
    table = pd.read_csv(outputs.images)
    table = table[table["image"] == "t.ome.tif"]
    assert list(table["plane"]) == ["t1", "t2", "t3"] and list(table["objects"]) == [0, 1, 1]
    assert tifffile.imread(outputs.labels / "t.ome.tif.label.tif").shape == (3, 40, 40)
    assert (outputs.overlays / "t.ome.tif.page2.overlay.png").is_file()


def test_the_page_holds_all_it_shows(place):
    from coverslip.measure import plot, tables

    _, outputs = run(place)
    table = tables.image_table([outputs.images], Measure().time_pattern, "frame")
    tables.write_images(table, place / "images.csv")
    plot.draw(table, place / "plot.svg")
    facts = {"name": "<in>", "folder": "in", "model": "model"}
    facts["settings"] = Measure().model_dump()
    page = place / "measure.html"
    build(place / "images.csv", outputs.overlays, place / "plot.svg", facts, INFO, page)
    text = page.read_text(encoding="utf-8")
    assert "&lt;in&gt;" in text and "broken.png" in text and "sub/c.tif.overlay.png" in text
    assert text.count("<figure><a ") == 4
    assert "<script" not in text and 'src="http' not in text
