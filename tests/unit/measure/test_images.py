"""A folder is measured once: only what is new or changed is computed again."""

import errno
import json
import logging
import os
import shutil
import sys
from functools import reduce

import cv2
import duckdb
import keras
import numpy as np
import pandas as pd
import pytest
import roifile
import small_disk
import tifffile
from bright_model import INFO, allow_bright_models

from coverslip.config.sections import Measure
from coverslip.data import readers
from coverslip.errors import CoverslipError
from coverslip.imaging.image_statistics import summarize_training
from coverslip.measure import blocks, image_result, input_folder
from coverslip.measure import images as measure_module
from coverslip.measure.images import Outputs, measure
from coverslip.measure.page import build
from coverslip.models import model
from coverslip.pipeline import folder_inventory
from coverslip.runtime import device


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder of images, and a model that takes bright pixels for foreground."""
    allow_bright_models(monkeypatch)
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
    names = ("images.csv", "objects.csv", "labels", "overlays", "exports")
    outputs = Outputs(*(out / name for name in names))
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
    assert table.loc["a.png", ["focus", "signal_to_background"]].gt(0).all()
    assert (objects["confidence"] > 0.8).all() and (objects["solidity"] == 1).all()
    rois = roifile.roiread(outputs.exports / "sub/c.tif.roi.zip")
    assert [(roi.left, roi.top, roi.right - roi.left) for roi in rois] == [(8, 5, 13)]
    geojson = json.loads((outputs.exports / "sub/c.tif.geojson").read_text())
    assert geojson["features"][0]["properties"]["measurements"]["area_um2"] == 576


def test_images_are_compared_with_those_of_the_training(place):
    assert pd.read_csv(run(place)[1].images)["unlike_training"].isna().all()
    images = [np.full((60, 70), 20, np.uint8) for _ in range(12)]
    for size, image in enumerate(images, start=8):
        image[5 : 5 + size, 8 : 8 + size] = 220
    info = INFO | {"training_statistics": summarize_training(images)}
    (place / "model/model.json").write_text(json.dumps(info))
    noise = np.random.default_rng(0).integers(0, 255, (60, 70), dtype=np.uint8)
    assert cv2.imwrite(str(place / "in/noise.png"), noise)
    table = pd.read_csv(run(place)[1].images).set_index("image")
    assert table.loc["a.png", "unlike_training"] < 1 < table.loc["noise.png", "unlike_training"]


def test_exports_and_features_are_chosen(place):
    _, outputs = run(place, export=["geojson"], features="basic")
    assert {path.suffix for path in outputs.exports.rglob("*.*")} == {".geojson"}
    assert "solidity" not in pd.read_csv(outputs.objects)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cp_measure", None)
        with pytest.raises(CoverslipError, match="features: all"):
            run(place, features="all")
    _, outputs = run(place, export=[])
    assert not list(outputs.exports.rglob("*.*"))


def test_only_what_is_new_or_changed_is_computed(place):
    assert run(place)[0] == 5
    assert run(place)[0] == 0
    draw(place / "in/e.png", 20)
    assert run(place)[0] == 1
    draw(place / "in/a.png", 30)
    computed, outputs = run(place)
    assert computed == 1
    assert pd.read_csv(outputs.images)["n_objects"].sum() == 5
    (place / "in/b.png").rename(place / "in/renamed.png")
    computed, outputs = run(place)
    assert computed == 0 and "renamed.png" in list(pd.read_csv(outputs.images)["image"])
    assert not (outputs.overlays / "b.png.overlay.png").exists()


@pytest.mark.reliability(
    "D10",
    "other files in the model folder: a README, `model.onnx`, `.DS_Store`",
    "nothing is measured again",
)
def test_other_files_in_a_model_folder_do_not_count(place):
    assert run(place)[0] == 5
    for name in ("README.md", "model.h5", ".DS_Store", "notes.txt"):
        (place / "model" / name).write_text("x")
    assert run(place)[0] == 0


def in_between(monkeypatch, action):
    """Do something when the inventory is taken and no image is read yet."""
    taken = folder_inventory.entries

    def then(*arguments, **more):
        found = taken(*arguments, **more)
        action()
        return found

    monkeypatch.setattr(folder_inventory, "entries", then)


@pytest.mark.reliability(
    "D1",
    "an image that changes, or is removed, while it is measured",
    "the job ends with one line; nothing of this image is kept, all others are",
)
def test_images_that_change_while_they_are_measured_are_not_kept(place, monkeypatch):
    """Their numbers would be filed under the digest of what was there before, for ever."""
    before = {name: (place / "in" / name).read_bytes() for name in ("a.png", "b.png")}

    def swap():
        (place / "in/a.png").unlink()
        draw(place / "in/b.png", 40)

    with monkeypatch.context() as patch:
        in_between(patch, swap)
        with pytest.raises(CoverslipError, match=r"in/a.png \(and 1 more\): changed, or could not"):
            run(place)
    for name, data in before.items():
        (place / "in" / name).write_bytes(data)
    computed, outputs = run(place)
    assert computed == 2, "all others are kept"
    table = pd.read_csv(outputs.images).set_index("image")
    assert table["error"].notna().sum() == 1 and table.loc["b.png", "foreground_px"] == 11 * 11


@pytest.mark.reliability(
    "D1",
    "a read error of the disk",
    "the job ends with one line; nothing of this image is kept, all others are",
)
def test_a_disk_that_fails_says_nothing_about_a_image(place, monkeypatch):
    whole = readers._planes

    def failing(path, *more):
        if path.name == "a.png":
            raise OSError(errno.EIO, "Input/output error")
        yield from whole(path, *more)

    with monkeypatch.context() as patch:
        patch.setattr(readers, "_planes", failing)
        with pytest.raises(CoverslipError, match="in/a.png: changed, or could not be read"):
            run(place)
    computed, outputs = run(place)
    assert computed == 1 and len(pd.read_csv(outputs.images)["error"].dropna()) == 1


@pytest.mark.parametrize("where", ["FieldOfView", "plain_image", "predict"])
@pytest.mark.parametrize("error", [MemoryError("no room"), ValueError("odd image")])
@pytest.mark.reliability(
    "D4",
    "memory runs out, or a library raises an error, for one image",
    "a row with the reason; all other images are measured; after a memory error the next run "
    "tries again",
)
def test_a_image_that_cannot_be_measured_leaves_the_others(place, monkeypatch, where, error):
    expected = pd.read_csv(run(place)[1].images).set_index("image")

    def odd(image):
        return image.shape[:2] == (61, 70)

    draw(place / "in/odd.png", 10)
    cv2.imwrite(str(place / "in/odd.png"), np.full((61, 70), 20, np.uint8))
    if where == "predict":
        plain = model.preprocessing.ImagePreprocessor

        def broken(source, *more):
            if odd(source):
                raise error
            return plain(source, *more)

        monkeypatch.setattr(model.preprocessing, "ImagePreprocessor", broken)
    else:
        room = blocks if where == "FieldOfView" else image_result
        whole = getattr(room, where)

        def broken(image, *more):
            if odd(image):
                raise error
            return whole(image, *more)

        monkeypatch.setattr(room, where, broken)
    computed, outputs = run(place, code="y")
    table = pd.read_csv(outputs.images).set_index("image")
    assert computed == 6 and str(error) in table.loc["odd.png", "error"]
    pd.testing.assert_frame_equal(table.drop("odd.png"), expected, check_dtype=False)
    again = run(place, code="y")[0]
    assert again == (1 if isinstance(error, MemoryError) else 0), "memory may do another time"


@pytest.mark.reliability(
    "D9",
    "a network that answers NaN",
    "a row with the reason, and no confluency",
)
def test_an_answer_that_is_no_number_is_no_empty_image(place, monkeypatch):
    monkeypatch.setitem(model.KINDS, "bright", lambda _: lambda tiles: tiles * np.float32("nan"))
    _, outputs = run(place)
    table = pd.read_csv(outputs.images).set_index("image")
    assert table["error"].notna().all() and table["confluency_percent"].isna().all()
    assert table.loc["a.png", "error"] == "the model answers with what is no number"


def test_a_full_disk_is_no_fault_of_an_image(place, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(image_result.ImageResult, "write_label", full)
    with pytest.raises(OSError, match="No space left"):
        run(place)


@pytest.mark.reliability(
    "D4",
    "a pipe, a link to `/dev/zero`, a link to a folder",
    "not opened; a row with the reason",
)
def test_files_that_are_none_are_not_opened(place):
    os.mkfifo(place / "in/pipe.png")
    (place / "in/zero.tif").symlink_to("/dev/zero")
    (place / "in/gone.png").symlink_to(place / "nowhere")
    (place / "in/linked.zarr").symlink_to(place)
    table = pd.read_csv(run(place)[1].images).set_index("image")
    for name in ("pipe.png", "zero.tif", "linked.zarr"):
        assert "no regular file" in table.loc[name, "error"]
    assert table.loc["gone.png", "error"] == "cannot be read (No such file or directory)"


@pytest.mark.reliability(
    "D4",
    "names of 254 bytes, with quotes, commas, line breaks, or bytes that are not UTF-8",
    "measured; tables, page, plot and `objects.parquet` agree",
)
@pytest.mark.reliability(
    "D24",
    "names that begin with `=`, which a spreadsheet would evaluate",
    "in tables as they are (see [output.md](output.md))",
)
def test_any_name(place):
    from coverslip.measure import tables
    from coverslip.measure.tables import write_parquet
    from coverslip.reporting.figures import measured_images as plot

    names = [f"{'ä' * 125}{at}.png" for at in (1, 2)] + ['5" dish.png', "a,b.png", "a\nb.png"]
    names += [
        "a\rb.png",
        "a\r\nb.png",
        "'; drop.png",
        " a.png",
        "=1+1.png",
        "NA.png",
        "\udcff.png",
        "x\\.png",
    ]
    for name in names:
        shutil.copyfile(place / "in/a.png", place / "in" / name)
    _, outputs = run(place)
    table = tables.read_images(outputs.images)
    ways = {"\udcff": "\\xff", "\n": "\\x0a", "\r": "\\x0d"}
    shown = [reduce(lambda text, way: text.replace(*way), ways.items(), name) for name in names]
    assert set(shown) <= set(table["image"]) and len(table) == 5 + len(names)
    whole = tables.image_table([outputs.images], Measure().time_pattern, "frame")
    plot.draw(whole, place / "plot.svg")
    tables.write_images(whole, place / "images.csv")
    tables.merge_objects([outputs.objects], place / "objects.csv")
    write_parquet(place / "objects.csv", place / "objects.parquet")
    facts = {"name": "in", "folder": "in", "model": "model", "settings": Measure().model_dump()}
    page = place / "measure.html"
    build(place / "images.csv", outputs.overlays, place / "plot.svg", facts, INFO, page)
    assert page.stat().st_size > 0
    found = duckdb.sql(f"select image from '{place / 'objects.parquet'}'").fetchall()
    assert {name for (name,) in found} == set(table.loc[table["error"] == "", "image"])


def test_only_changes_of_results_compute_again(place):
    assert run(place)[0] == 5
    assert run(place, time_pattern="(?P<time>x)", shards=1)[0] == 0
    assert run(place, min_area_px=1000)[0] == 5
    assert run(place, code="y")[0] == 5
    assert run(place)[0] == 0
    (place / "model/model.json").write_text(json.dumps(INFO | {"threshold": 0.6}))
    assert run(place)[0] == 5


@pytest.mark.reliability(
    "D27",
    "another version of a package that reads images or predicts",
    "all images are measured again; another version of Snakemake changes nothing",
)
def test_another_version_of_a_reader_computes_all(place, monkeypatch):
    assert run(place)[0] == 5
    known = measure_module.versions
    for name, computed in (("imagecodecs", 5), ("tifffile", 5), ("snakemake", 0)):
        with monkeypatch.context() as patch:
            installed = {name: "0.0.1"}
            patch.setattr(
                measure_module,
                "versions",
                lambda names, installed=installed: (
                    known(names) | {name: installed[name] for name in names if name in installed}
                ),
            )
            assert run(place)[0] == computed


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
    assert run(place, mixed_precision=fast)[0] == 5
    assert seen == [policy]
    assert run(place, mixed_precision=fast)[0] == 0
    assert run(place, mixed_precision=not fast)[0] == 5


def test_shards_hold_each_image_once_whatever_their_number(place):
    one = pd.read_csv(run(place)[1].images)
    parts = [run(place, shard, 3) for shard in range(3)]
    assert [computed for computed, _ in parts] == [0, 0, 0]
    three = pd.concat([pd.read_csv(outputs.images) for _, outputs in parts])
    assert sorted(three["image"]) == sorted(one["image"])


def test_a_job_that_was_killed_goes_on_where_it_was(place, monkeypatch):
    from coverslip.measure import image_result

    whole, left = image_result.plain_image, [2]

    def killed(*arguments):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return whole(*arguments)

    monkeypatch.setattr(image_result, "plain_image", killed)
    with pytest.raises(KeyboardInterrupt):
        run(place)
    monkeypatch.setattr(image_result, "plain_image", whole)
    assert run(place)[0] == 2, "the two that were drawn and the broken one between them are kept"


def test_pages_have_rows_labels_and_overlays_of_their_own(place):
    stack = np.full((3, 40, 40), 20, np.uint16)
    stack[1:, 5:15, 5:15] = 60000
    tifffile.imwrite(place / "in/t.ome.tif", stack, ome=True, metadata={"axes": "TYX"})
    _, outputs = run(place)
    table = pd.read_csv(outputs.images)
    table = table[table["image"] == "t.ome.tif"]
    assert list(table["plane"]) == ["t1", "t2", "t3"] and list(table["n_objects"]) == [0, 1, 1]
    assert tifffile.imread(outputs.labels / "t.ome.tif.label.tif").shape == (3, 40, 40)
    assert (outputs.overlays / "t.ome.tif.page2.overlay.png").is_file()


def test_the_page_holds_all_it_shows(place):
    from coverslip.measure import tables
    from coverslip.reporting.figures import measured_images as plot

    _, outputs = run(place)
    table = tables.image_table([outputs.images], Measure().time_pattern, "frame")
    tables.write_images(table, place / "images.csv")
    plot.draw(table, place / "plot.svg")
    facts = {"name": "<in>", "folder": "in", "model": "model"}
    facts["settings"] = Measure().model_dump()
    for name in ("old.vsi", "new.VSI", "a.mrxs"):
        (place / "in" / name).write_text("x")
    (place / "in/plate2").symlink_to(place / "model")
    found = folder_inventory.contents(place / "in", place / "notes.json")
    facts["left_out"] = input_folder.left_out(found)
    page = place / "measure.html"
    build(place / "images.csv", outputs.overlays, place / "plot.svg", facts, INFO, page)
    text = page.read_text(encoding="utf-8")
    assert "&lt;in&gt;" in text and "broken.png" in text and "sub/c.tif.overlay.png" in text
    assert text.count('class="contours"') == 4
    assert "files that are not read: 1 .mrxs, 2 .vsi: convert them to OME-TIFF" in text
    assert "are not followed: plate2" in text and "1 .mrxs, 1 .txt, 2 .vsi" in text
    assert text.count("<script>") == 1 and 'src="http' not in text
    assert "no model card" in text and "ContourTracing" in text
    (place / "model/README.md").write_text(CARD)
    objects = place / "objects.csv"
    objects.write_bytes(outputs.objects.read_bytes())
    facts["model"] = str(place / "model")
    info = INFO | {"head": "instance"}
    build(place / "images.csv", outputs.overlays, place / "plot.svg", facts, info, page)
    text = page.read_text(encoding="utf-8")
    assert "Nuclei” on test images" in text
    assert (
        "<strong>F1 of all objects at IoU 0.50 0.78</strong> (3 plates: 0.70, 0.80, 0.81)" in text
    )
    first, last = text.index("Plot: Number of objects"), text.index("Plot: Confluency")
    assert first < text.index("Plot: Size of objects") < last


CARD = """---
license: "cc0-1.0"
---
# Nuclei

## Evaluation

On test images. The CI is over groups.

| metric | value | 95 % CI, or values of few groups | Otsu |
| --- | ---: | --- | ---: |
| F1 of all objects at IoU 0.50 | 0.78 | 3 plates: 0.70, 0.80, 0.81 | 0.56 |
| IoU | 0.86 | – | 0.5 |

## Limitations
"""


# --- Measuring, segmenting and classifying go on with less at once where memory runs out

LIMIT = 3


@pytest.fixture
def told():
    """Warnings of the package's log."""
    messages: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record):
            messages.append(record.getMessage())

    handler = Keep(logging.WARNING)
    logging.getLogger("coverslip").addHandler(handler)
    yield messages
    logging.getLogger("coverslip").removeHandler(handler)


def hungry(monkeypatch, kind: str, limit: int) -> None:
    """More tiles at once than `limit` exhaust the memory of this kind of model."""
    plain = model.KINDS[kind]

    def made(loaded):
        predict = plain(loaded)

        def limited(tiles):
            if len(tiles) > limit:
                raise MemoryError("forced")
            return predict(tiles)

        return limited

    monkeypatch.setitem(model.KINDS, kind, made)


def test_a_measured_folder(place, monkeypatch, told):  # noqa: F811
    _, outputs = run(place, code="enough")
    expected = pd.read_csv(outputs.images)
    assert told == []
    hungry(monkeypatch, "bright", LIMIT)
    computed, outputs = run(place, code="too little")
    assert computed == 5
    pd.testing.assert_frame_equal(pd.read_csv(outputs.images), expected)
    assert told[0].startswith("memory ran out with ") and told[-1].endswith("goes on with 2")


def test_one_tile_that_does_not_fit_names_the_mend(place, monkeypatch, told):  # noqa: F811
    hungry(monkeypatch, "bright", 0)
    with pytest.raises(CoverslipError, match="32x32 pixels at a time are too many"):
        run(place)


def test_classes_of_images(tmp_path, monkeypatch, told):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 1))
    network = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(inputs)))
    preprocessing = {"channels": "grey", "resize": [8, 8]}
    info = {
        "head": "classification",
        "classes": ["a", "b", "c"],
        "threshold": None,
        "temperature": 2.0,
    }
    model.save(tmp_path, network, info | {"preprocessing": preprocessing, "fitted": {}})
    assert json.loads((tmp_path / "model.json").read_text())["num_classes"] == 3
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (9, 9), np.uint8) for _ in range(7)]
    expected = list(model.load(tmp_path).predict(images, tta=True, batch=8))
    hungry(monkeypatch, "network", LIMIT)
    found = list(model.load(tmp_path).predict(images, tta=True, batch=8))
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert told == [
        "memory ran out with 8 tiles at once: goes on with 4",
        "memory ran out with 4 tiles at once: goes on with 2",
    ]


FILL = """
import errno, json
import numpy as np, tifffile
from coverslip.config.sections import Measure
from coverslip.measure.images import Outputs, measure
from coverslip.models import model

model.KINDS["bright"] = lambda _: lambda tiles: tiles / np.float32(255)
Path("model").mkdir()
Path("model/model.json").write_text(sys.argv[1])
Path("in").mkdir()
for number in range(3):
    image = np.random.default_rng(number).integers(0, 100, (300, 300), np.uint8)
    image[20:90, 30:80] += 150
    tifffile.imwrite(f"in/{number}.tif", image)

def run():
    out = [Path("out", name) for name in ("i.csv", "o.csv", "labels", "overlays", "exports")]
    args = Path("in"), Path("notes.json"), 0, 1, Path("model"), Measure(), "code"
    return measure(*args, Path("state"), Outputs(*out), threads=1, report=lambda line: None)

for space in map(int, sys.argv[2:]):
    try:
        with small_disk.space_left(space):
            run()
    except OSError as error:
        print(error.errno, [str(path) for path in Path("state").rglob("*.part*")])
print(run(), len(list(Path("state").rglob("record.json"))))
"""


@pytest.mark.reliability(
    "D8",
    "the disk is full while label image, overlay or tables of a measured image are written",
    "the job ends; nothing of the image is left, and the next run measures what is missing",
)
def test_a_full_disk_leaves_nothing_of_an_image(tmp_path):
    spaces = ("0", "20000", "60000", "150000")
    done = small_disk.run_code(FILL, tmp_path / "disk", json.dumps(INFO), *spaces)
    assert done.returncode == 0, done.stderr
    *failed, last = done.stdout.splitlines()
    assert failed == [f"{errno.ENOSPC if small_disk.prefix() else errno.EFBIG} []"] * len(spaces)
    assert last.endswith(" 3") and int(last.split()[0]) > 0


def test_a_folder_of_which_nothing_can_be_measured_has_a_page(place):
    from coverslip.measure import tables
    from coverslip.reporting.figures import measured_images as plot

    for path in (place / "in").rglob("*.*"):
        path.write_bytes(b"text")
    computed, outputs = run(place)
    table = tables.image_table([outputs.images], Measure().time_pattern, "frame")
    assert computed == 1 and (table["error"] != "").all()
    tables.write_images(table, place / "images.csv")
    plot.draw(table, place / "plot.svg")
    facts = {"name": "in", "folder": "in", "model": "model", "settings": Measure().model_dump()}
    page = place / "measure.html"
    build(place / "images.csv", outputs.overlays, place / "plot.svg", facts, INFO, page)
    assert "broken.png" in page.read_text(encoding="utf-8")
