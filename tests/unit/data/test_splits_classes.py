"""Splits of images with classes: strata, folders of test images, images without a class."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from split_files import run, write

from coverslip.config.sections import Split
from coverslip.data import splits, tables
from coverslip.errors import CoverslipError


def classified(folder: Path, **config: object) -> tuple[pd.DataFrame, dict]:
    """The split of a classification."""
    names = [folder / name for name in ("groups.csv", "manifest.csv", "duplicates.csv")]
    out = [folder / name for name in ("split.csv", "split.json")]
    splits.split(*names, Split(**config), False, *out, task="classification")
    table = pd.read_csv(out[0], dtype={"id": str}, keep_default_na=False)
    return table, pd.read_json(out[1], typ="series").to_dict()


def test_images_without_a_class_are_a_subset_of_their_own(tmp_path: Path) -> None:
    classes = ["a", "b"] * 10 + [""] * 5
    groups = [f"g{number // 2}" for number in range(20)] + ["g0"] * 5
    pairs = (("0000", "0024", "near"),)
    ids = write(tmp_path, groups, classes=classes, pairs=pairs)
    table, summary = classified(tmp_path, folds=2, stratify="class")
    for _, part in table.groupby("fold"):
        assert sorted(part["id"]) == ids
        assert part["id"][part["subset"] == "unlabelled"].tolist() == ids[20:]
        assert set(part["subset"]) == {"train", "validation", "test", "unlabelled"}
    assert summary["unlabelled"] == 5
    assert summary["images"] == 20
    assert not summary["leaking"], "what is not scored leaks nothing"
    other, summary = run(tmp_path, folds=2)
    assert "unlabelled" not in set(other["subset"]), "a segmentation needs no classes"
    assert summary["unlabelled"] == 0


def test_no_class_at_all(tmp_path: Path) -> None:
    write(tmp_path, ["a", "b", "c", "d"])
    with pytest.raises(CoverslipError, match="manifest.csv: no image has a class"):
        classified(tmp_path)


def members(folder: Path, names: list[str]) -> None:
    table = tables.read_manifest(folder / "manifest.csv").reset_index()
    table["member"] = names
    tables.write_manifest(table, folder / "manifest.csv")


def test_folder_of_test_images(tmp_path: Path) -> None:
    ids = write(tmp_path, [f"g{number // 3}" for number in range(24)])
    members(tmp_path, [f"x/{'test' if n >= 18 else 'train'}/a/{n}.tif" for n in range(24)])
    table, summary = classified_like(tmp_path)
    assert table["id"][table["subset"] == "test"].tolist() == ids[18:]
    rest = table[table["subset"] != "test"]
    assert rest.groupby("group")["subset"].nunique().max() == 1, "validation is whole groups"
    assert (rest["subset"] == "validation").sum() == 3
    assert summary["method"] == "official"
    with pytest.raises(CoverslipError, match="no image is in a folder called 'tests'"):
        classified_like(tmp_path, test_folder="tests")
    with pytest.raises(CoverslipError, match="all images are in a folder called 'x'"):
        classified_like(tmp_path, test_folder="x")


def classified_like(folder: Path, test_folder: str = "test") -> tuple[pd.DataFrame, dict]:
    return run(folder, method="official", test_folder=test_folder)


def test_a_folder_that_tears_groups_is_refused(tmp_path: Path) -> None:
    write(tmp_path, [f"g{number // 4}" for number in range(24)])
    members(tmp_path, [f"{'test' if n >= 18 else 'train'}/{n}.tif" for n in range(24)])
    with pytest.raises(CoverslipError, match=r"split \(official\): 1 groups .*use method grouped"):
        classified_like(tmp_path)


def test_relatives_of_test_images_are_counted(tmp_path: Path) -> None:
    write(tmp_path, ["a"] * 10 + ["b"] * 10)
    _, summary = run(tmp_path, method="random", test=0.2)
    assert summary["leaks"][0]["relatives"] == 1.0
    write(tmp_path, [f"g{number}" for number in range(20)])
    _, summary = run(tmp_path, method="random", test=0.2)
    assert summary["leaks"][0]["relatives"] == 0.0
