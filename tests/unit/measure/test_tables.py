"""Tables of shards become one; names tell times; the page and the plot stand for any table."""

import re

import duckdb
import pandas as pd
import pytest

from coverslip.config.sections import Measure
from coverslip.errors import CoverslipError
from coverslip.measure import plot
from coverslip.measure.input_folder import check, digests, model_files, model_of, name_of, shard_of
from coverslip.measure.page import SHOWN, spread
from coverslip.measure.tables import (
    COLUMNS,
    OBJECT_COLUMNS,
    SHARD_COLUMNS,
    image_table,
    merge_objects,
    name_time,
    write_parquet,
)

DEFAULT = Measure().time_pattern


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
    return [{"image": n, "page": 1, "confluency_percent": 5.0, "objects": 1, **more} for n in names]


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
        table["at_border"] = True
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
    assert read[0][OBJECT_COLUMNS.index("at_border")] is True
    first = (tmp_path / "all.parquet").read_bytes()
    write_parquet(tmp_path / "all.csv", tmp_path / "all.parquet")
    assert (tmp_path / "all.parquet").read_bytes() == first


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


def test_names_and_models(tmp_path):
    config = {"images": "x/My images (2)/", "measure": {"name": None}}
    config |= {"model": "one", "studies": {"one": {"seeds": [4]}}}
    assert name_of(config) == "My-images-2"
    folder = model_of(config)
    assert folder.as_posix() == "results/studies/one/fold0_seed4/model"
    assert len(model_files(folder)) == 2
    with pytest.raises(CoverslipError, match="no model.json"):
        model_files(tmp_path)
    with pytest.raises(CoverslipError, match="name the folder of a trained model"):
        model_of(config | {"model": None})
