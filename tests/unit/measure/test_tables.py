"""Tables of shards become one; names tell times; the page and the plot stand for any table."""

import json
import os
import re
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from coverslip.config.sections import Measure
from coverslip.errors import CoverslipError
from coverslip.measure import input_folder, tables
from coverslip.measure.input_folder import (
    check,
    digests,
    model_files,
    model_inputs,
    name_of,
    own_results,
    shard_of,
)
from coverslip.measure.page import SHOWN, spread
from coverslip.measure.regionprops import OBJECTS, object_table
from coverslip.measure.tables import (
    COLUMNS,
    SHARD_COLUMNS,
    image_table,
    join_objects,
    merge_objects,
    name_time,
    object_columns,
    write_parquet,
)
from coverslip.pipeline import folder_inventory
from coverslip.reporting.figures import measured_images as plot

DEFAULT = Measure().time_pattern

OBJECT_COLUMNS = object_columns([OBJECTS])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("A172_Phase_C7_1_01d04h30m_2.tif", (28.5, "h", "A172_Phase_C7_1…2")),
        ("well3_t012.png", (12, "frame", "well3")),
        ("T0007.tif", (7, "frame", "all")),
        ("test5.png", (None, "", "")),
        ("slide_tumor.png", (None, "", "")),
        ("d/a_t1.png", (1, "frame", "d/a")),
    ],
)
def test_the_default_pattern_finds_times(name, expected):
    assert name_time(name, re.compile(DEFAULT), "frame") == expected


def test_own_patterns_with_series_and_unit():
    pattern = re.compile(r"(?P<series>pos\d+)_day(?P<time>\d+)")
    assert name_time("x_pos3_day12.png", pattern, "d") == (12, "d", "pos3")


def shard(path, rows):
    pd.DataFrame(rows, columns=SHARD_COLUMNS).to_csv(path, index=False)
    return path


def rows(*names, **more):
    return [
        {"image": n, "page": 1, "confluency_percent": 5.0, "n_objects": 1, **more} for n in names
    ]


def test_shards_become_one_table(tmp_path):
    first = shard(tmp_path / "0.csv", rows("b_t2.png", "d.png"))
    second = shard(
        tmp_path / "1.csv",
        [
            *rows("a.tif", plane="t1 z2", time=0.5, time_unit="h"),
            {"image": "c.png", "page": 1, "error": "broken"},
        ],
    )
    empty = shard(tmp_path / "2.csv", [])
    table = image_table([first, second, empty], DEFAULT, "frame")
    assert list(table.columns) == COLUMNS
    assert list(table["image"]) == ["a.tif", "b_t2.png", "c.png", "d.png"]
    assert list(table["series"]) == ["a.tif z2", "b", "", ""]
    assert list(table["time_unit"]) == ["h", "frame", "", ""]
    assert list(table["error"]) == ["", "", "broken", ""]
    one = image_table([empty], DEFAULT, "frame")
    assert list(one.columns) == COLUMNS and one.empty


def test_objects_are_merged_in_order_and_read_back_from_parquet(tmp_path):
    def objects(path, names):
        table = pd.DataFrame(0, index=range(len(names)), columns=OBJECT_COLUMNS).astype(object)
        table["image"], table["label"], table["area_um2"] = names, range(1, len(names) + 1), None
        table["touches_border"] = True
        table.to_csv(path, index=False)
        return path

    parts = [objects(tmp_path / "0.csv", ["a", "a", "d, e"]), objects(tmp_path / "1.csv", ["b"])]
    parts.append(objects(tmp_path / "2.csv", []))
    merge_objects(parts, tmp_path / "all.csv")
    write_parquet(tmp_path / "all.csv", tmp_path / "all.parquet")
    found = duckdb.read_parquet(str(tmp_path / "all.parquet"))
    assert found.columns == OBJECT_COLUMNS
    read = found.fetchall()
    assert [row[0] for row in read] == ["a", "a", "b", "d, e"]
    assert [row[2] for row in read] == [1, 2, 1, 3]
    assert read[0][OBJECT_COLUMNS.index("area_um2")] is None
    assert read[0][OBJECT_COLUMNS.index("touches_border")] is True
    first = (tmp_path / "all.parquet").read_bytes()
    write_parquet(tmp_path / "all.csv", tmp_path / "all.parquet")
    assert (tmp_path / "all.parquet").read_bytes() == first


def test_images_of_other_channels_share_a_table(tmp_path):
    label = np.zeros((9, 9), np.int32)
    label[2:5, 2:5] = 1
    image = np.full((9, 9, 1), 40, np.uint8)
    tables = {}
    other = label.astype(np.uint8)
    for name, channels in (("a", {"DAPI": image[:, :, 0]}), ("b", None), ("c", {"a b, c": other})):
        table = object_table(label, image, None, channels=channels)
        table.insert(0, "page", 1)
        tables[name] = tmp_path / f"{name}.csv"
        table.to_csv(tables[name], index=False)
    join_objects({name: tables[name] for name in "ab"}, tmp_path / "0.csv")
    join_objects({"c": tables["c"]}, tmp_path / "1.csv")
    join_objects({}, tmp_path / "2.csv")
    merge_objects([tmp_path / f"{n}.csv" for n in range(3)], tmp_path / "all.csv")
    write_parquet(tmp_path / "all.csv", tmp_path / "all.parquet")
    found = duckdb.read_parquet(str(tmp_path / "all.parquet")).df()
    assert list(found["image"]) == ["a", "b", "c"] and list(found["label"]) == [1, 1, 1]
    assert list(found["mean_intensity_DAPI"].fillna(-1)) == [40, -1, -1]
    assert list(found["mean_intensity_a b, c"].fillna(-1)) == [-1, -1, 1]
    assert found["touches_border"].dtype == bool
    assert list(pd.read_csv(tmp_path / "all.csv")) == list(found)


@pytest.mark.parametrize(
    "last", ['z Dish 3, well "B2".png', 'z 5" dish.png', "z'a\nb;\t.png", "z,"]
)
@pytest.mark.parametrize("before", [0, 30_000])
@pytest.mark.reliability(
    "D2",
    "names with quotes, commas or line breaks after 20,000 plain ones",
    "`objects.parquet` and `objects.csv` agree",
)
def test_no_name_is_mistaken_in_parquet(tmp_path, monkeypatch, last, before):
    """What a look at the first 20,480 rows cannot know; the last rows are a group of their own."""
    monkeypatch.setattr(tables, "PARQUET_ROWS", 30_000)
    names = ["a.png"] * before + [last] * 3
    table = pd.DataFrame(0, index=range(len(names)), columns=OBJECT_COLUMNS).astype(object)
    table["image"], table["label"], table["touches_border"] = names, range(len(names)), False
    table["area_um2"] = [None] * before + [1.5] * 3
    table.to_csv(tmp_path / "objects.csv", index=False)
    write_parquet(tmp_path / "objects.csv", tmp_path / "objects.parquet")
    found = duckdb.read_parquet(str(tmp_path / "objects.parquet"))
    read = found.project("image, label, area_um2").fetchall()
    assert read[-3:] == [(last, before + at, 1.5) for at in range(3)] and len(read) == before + 3
    assert [str(kind) for kind in found.types[1:5]] == ["BIGINT"] * 3 + ["DOUBLE"]


@pytest.mark.parametrize("names", [[], ["a.png"], ["a_t1.png", "a_t2.png", "b_t1.png"]])
def test_a_plot_of_any_table(tmp_path, names):
    table = image_table([shard(tmp_path / "0.csv", rows(*names))], DEFAULT, "frame")
    plot.draw(table, tmp_path / "plot.svg")
    assert (tmp_path / "plot.svg").read_text().startswith("<?xml")


def test_many_images_and_many_series(tmp_path):
    names = [f"s{series:02d}_t{time}.png" for series in range(9) for time in range(9)]
    table = image_table([shard(tmp_path / "0.csv", rows(*names))], DEFAULT, "frame")
    plot.draw(table, tmp_path / "plot.svg")
    shown = spread(table)
    assert len(shown) == SHOWN and list(shown["image"]) == sorted(shown["image"])
    table["time_unit"] = ""
    plot.draw(table, tmp_path / "plot.svg")


def test_another_image_changes_one_shard():
    names = {f"p{k}.png": str(k) for k in range(50)}
    before = digests(names, 7)
    after = digests(names | {"new.png": "x", "notes.txt": "y"}, 7)
    changed = [k for k in range(7) if before[k] != after[k]]
    assert changed == [shard_of("new.png", 7)]
    assert digests(None, 2) == ["unread", "unread"]


def test_folders_that_cannot_be_measured(tmp_path):
    def told(folder):
        with pytest.raises(CoverslipError) as caught:
            check(folder)
        return str(caught.value)

    assert "no such folder" in told(tmp_path / "nowhere")
    assert "the folder is empty" in told(tmp_path)
    (tmp_path / "a.txt").write_text("x")
    assert "none of the 1 files is an image" in told(tmp_path)
    assert "is a file" in told(tmp_path / "a.txt")
    (tmp_path / "A.PNG").write_text("x")
    check(tmp_path)


def config_of(images, model="one", name=None):
    studies = {"one": {"seeds": [4], "task": "segmentation"}}
    return {"images": str(images), "model": str(model), "measure": {"name": name}} | {
        "studies": studies
    }


@pytest.mark.reliability(
    "D15",
    "two folders of one name, and names such as `a b`, `a;b`, `é`, `{}`",
    "each has results of its own",
)
def test_a_name_is_readable_and_tells_folders_and_models_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folders = ["exp1/images", "exp2/images", "Zeitreihe Ä", "Zeitreihe Ö", "é", "a b", "a;b", "{}"]
    names = [name_of(config_of(folder)) for folder in folders]
    assert [name[:-7] for name in names] == [
        *("images", "images", "Zeitreihe-Ä", "Zeitreihe-Ö", "é", "a-b", "a-b", "images")
    ]
    names.append(name_of(config_of("exp1/images", "other")))
    assert len(set(names)) == len(names)
    alike = ["exp1/images/", "./exp1/images", tmp_path / "exp1/images", "exp2/../exp1/images"]
    assert {name_of(config_of(folder)) for folder in alike} == {names[0]}
    model = tmp_path / "results/studies/one/fold0_seed4/model"
    assert name_of(config_of("exp1/images", model)) == names[0]
    assert name_of(config_of("exp1/images", name="mine")) == "mine"
    for long in ("\U00020000" * 60, "a" * 255, "\udcff"):
        assert len(os.fsencode(name_of(config_of(long)))) < 200


def test_a_study_means_its_first_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = "results/studies/one/fold0_seed4/model"
    assert model_inputs(config_of("x")) == [f"{made}/model.keras", f"{made}/model.json"]
    (tmp_path / made).mkdir(parents=True)
    for name in ("model.keras", "model.onnx", "README.md", "run.json", ".DS_Store"):
        (tmp_path / made / name).write_text("x")
    (tmp_path / made / "model.json").write_text('{"kind": "network"}')
    own = [f"{tmp_path}/{made}/{name}" for name in ("model.keras", "model.onnx", "model.json")]
    for way in (made, f"./{made}/", tmp_path / made, f"{made}/model.json"):
        assert model_inputs(config_of("x", way)) == own
    (tmp_path / made / "model.keras").unlink()
    assert model_inputs(config_of("x", made)) == own[1:]
    (tmp_path / made / "model.onnx").unlink()
    with pytest.raises(CoverslipError, match=r"model\.keras: missing: .* copy the whole folder"):
        model_inputs(config_of("x", made))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("on", r"on: no such folder; did you mean the study `one`\?"),
        ("elsewhere", "elsewhere: no such folder; give the folder `model` of a finished"),
        ("empty", r"empty: not a model folder \(it has no model.json\)"),
        ("results/studies/one/fold0_seed9/model", "train it first: `snakemake --cores all`"),
        ("results/studies/one/ensemble/model", "first: `snakemake --cores all ensemble`"),
        ("odd", "model.json: not JSON"),
        ("list", "model.json: not written by coverslip"),
        ("deep", "model.json: not JSON"),
    ],
)
@pytest.mark.reliability(
    "D13",
    "a folder that is no model, `model.json` that is no JSON or 100,000 levels deep",
    "one line that names file and fix",
)
def test_what_is_no_model_for_measure_is_said_at_once(tmp_path, monkeypatch, model, words):
    monkeypatch.chdir(tmp_path)
    told = {"odd": "{", "list": "[]"}
    told["deep"] = "[" * 100_000 + "]" * 100_000
    (tmp_path / "empty").mkdir()
    for name, text in told.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.json").write_text(text)
        (tmp_path / name / "model.keras").write_text("")
    with pytest.raises(CoverslipError, match=words) as error:
        model_inputs(config_of("x", model))
    assert "\n" not in str(error.value)


@pytest.mark.reliability(
    "D13",
    "an ensemble that names itself as a member",
    "one line that names file and fix",
)
def test_an_ensemble_of_itself_is_no_loop(tmp_path):
    members = [{"folder": "."}, {"folder": "."}]
    (tmp_path / "model.json").write_text(json.dumps({"kind": "ensemble", "members": members}))
    with pytest.raises(CoverslipError, match=r"model\.keras: missing"):
        model_files(tmp_path)


@pytest.mark.reliability(
    "D14",
    "a folder of images that contains `results/`",
    "own overlays and labels are not measured",
)
def test_own_results_are_no_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "results/measure/x/overlays/a.png.overlay.png", "results/raw/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")

    def found(folder):
        return sorted(folder_inventory.names(Path(folder), own_results(Path(folder))))

    assert found(".") == found(tmp_path) == ["a.png"]
    assert found("results") == ["raw/b.png"] and found("results/raw") == ["b.png"]
    (tmp_path / "a.png").unlink()
    with pytest.raises(CoverslipError, match="the folder is empty"):
        check(Path("."))


def test_without_a_model_the_shipped_one_measures(monkeypatch):
    config = {"model": None, "studies": {}}
    shipped = input_folder.model_of(config)
    assert (
        shipped.name.startswith(f"{input_folder.SHIPPED}-") and (shipped / "model.keras").is_file()
    )
    assert input_folder.model_of(config | {"model": input_folder.SHIPPED}) == shipped
    monkeypatch.setattr(input_folder, "shipped_model", lambda name=None: None)
    with pytest.raises(CoverslipError, match="name the folder of a trained model"):
        input_folder.model_of(config)


def test_the_card_counts_images_and_files_apart():
    """A file may hold several images."""
    from coverslip.measure.page import _cards

    columns = {"image": list("aaabc"), "n_objects": 1, "confluency_percent": 5.0}
    table = pd.DataFrame(columns)
    cards = {card["label"]: card for card in _cards(table, table.head(4), {}, True)}
    assert cards["images measured"]["value"] == "4"
    assert cards["images measured"]["more"] == "of 5 in 3 files"
