"""The data report."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from stores import Image, dataset, random_image, write

from coverslip.config.sections import Dataset
from coverslip.data.group_images import group_images
from coverslip.data.quality_check import check


def run(folder: Path, config: Dataset | None = None) -> tuple[dict, pd.DataFrame, pd.DataFrame]:
    inputs = folder / "images.h5", folder / "manifest.csv"
    report, *found = (
        folder / "check" / name for name in ("report.json", "groups.csv", "duplicates.csv")
    )
    report.parent.mkdir(exist_ok=True)
    group_images(*inputs, config or dataset(), *found)
    check(*inputs, *found, config or dataset(), report)
    return json.loads(report.read_text()), *(pd.read_csv(file, dtype=str) for file in found)


def test_report_counts(tmp_path: Path) -> None:
    label = np.zeros((40, 60), np.int32)
    label[5:15, 5:15] = 1
    label[20:40, 20:40] = 7
    rng = np.random.default_rng(0)
    image = rng.integers(0, 50, (40, 60, 3), dtype=np.uint8)
    deep = rng.integers(0, 900, (32, 32, 1)).astype(np.uint16)
    shapes = {"a": (image, label), "b": (deep, np.zeros((32, 32), np.int32)), "c": random_image(1)}
    write(tmp_path, shapes)
    report, groups, pairs = run(tmp_path)
    assert report["images"] == 3
    assert report["sizes"] == {"32x32": 1, "40x60": 1, "64x64": 1}
    assert report["dtypes"] == {"uint8": 2, "uint16": 1}
    assert report["channels"] == {"1": 2, "3": 1}
    assert report["modalities"]["fluorescence"] >= 2
    of_c = len(np.unique(shapes["c"][1])) - 1
    assert report["objects"]["total"] == 2 + of_c
    assert report["objects"]["images without"] == 1
    shares = [500 / 2400, 0, (shapes["c"][1] > 0).mean()]
    assert report["foreground"]["mean"] == pytest.approx(np.mean(shares), abs=1e-5)
    assert report["foreground"]["min"] == 0
    assert report["diameter"]["max"] == pytest.approx(np.sqrt(4 * 400 / np.pi), abs=1e-4)
    assert report["groups"]["count"] == 3
    assert list(groups.columns) == ["id", "group", "modality", "stratum"]
    assert groups["id"].tolist() == ["a", "b", "c"]
    assert (groups["stratum"] == groups["modality"]).all()
    assert list(pairs.columns) == ["a", "b", "kind", "distance"]
    assert pairs.empty
    warnings = "\n".join(report["warnings"])
    assert "without any object: 1 (b)" in warnings
    assert "differ in dtype" in warnings
    assert "differ in channels" in warnings


def test_masks_are_reported_by_name(tmp_path: Path) -> None:
    whole = (random_image(3)[0], np.ones((64, 64), np.int32))
    flat = (np.full((64, 64, 1), 9, np.uint8), random_image(4)[1])
    write(
        tmp_path,
        {"a": random_image(1), "b": random_image(2), "flat": flat, "whole": whole},
        empty_masks={"a": 2},
        overlap_pixels={"b": 31},
    )
    report, _, _ = run(tmp_path)
    assert report["masks"] == {"empty": 2, "overlapping pixels": 31, "images with overlap": 1}
    assert report["warnings"] == [
        "Images with empty masks: 1 (a).",
        "Images with overlapping masks: 1 (b).",
        "Images of one single brightness: 1 (flat).",
        "Images with an object over 50 % of the image: 1 (whole).",
    ]


def test_duplicates_share_a_group_and_different_masks_are_told(tmp_path: Path) -> None:
    image, label = random_image(1)
    brighter = np.clip(image * 1.1 + 4, 0, 255).astype(np.uint8)
    images = {
        "a": (image, label),
        "b": random_image(2),
        "c": (image, label.T),
        "d": (brighter, label),
    }
    write(tmp_path, images)
    report, groups, pairs = run(tmp_path)
    assert pairs.values.tolist()[0] == ["a", "c", "exact", "0.0"]
    assert {tuple(row) for row in pairs[["a", "b", "kind"]].values} == {
        ("a", "c", "exact"),
        ("a", "d", "near"),
        ("c", "d", "near"),
    }
    assert report["duplicates"] == {"exact": 1, "near": 2, "abutting": 0}
    assert groups["group"].tolist() == ["a", "b", "a", "a"]
    assert any("Equal images with different masks" in line for line in report["warnings"])


def test_equal_masks_of_equal_images_are_no_contradiction(tmp_path: Path) -> None:
    write(tmp_path, {"a": random_image(1), "b": random_image(2), "c": random_image(1)})
    report, _, _ = run(tmp_path)
    assert not any("different masks" in line for line in report["warnings"])
    assert any(line.startswith("Exact duplicates: 1 pairs") for line in report["warnings"])


def test_pattern_groups_are_kept_and_united_by_duplicates(tmp_path: Path) -> None:
    images = {name: random_image(seed) for seed, name in enumerate("abcde")}
    images["f"] = images["a"]
    plates = dict(zip("abcdef", ["p1", "p1", "p2", "p3", "p3", "p3"], strict=True))
    write(tmp_path, images, group=plates)
    report, groups, _ = run(tmp_path, dataset(group_by="metadata"))
    assert groups["group"].tolist() == ["p1", "p1", "p2", "p1", "p1", "p1"]
    assert "Group p3 was united with p1: duplicates join them." in report["warnings"]


def test_acquisition_groups_and_classes(tmp_path: Path) -> None:
    images = {f"a{i}": random_image(i, background=10) for i in range(5)}
    images |= {f"b{i}": random_image(i + 9, background=70) for i in range(5)}
    write(tmp_path, images, **{"class": {name: name[0].upper() for name in images}})
    report, groups, _ = run(tmp_path, dataset(group_by="acquisition"))
    expected = ["fluorescence-64x64-01"] * 5 + ["fluorescence-64x64-02"] * 5
    assert groups["group"].tolist() == expected
    assert groups["stratum"].tolist() == ["A"] * 5 + ["B"] * 5
    assert report["classes"] == {"A": 5, "B": 5}
    assert report["groups"]["largest"] == {expected[0]: 5, expected[-1]: 5}


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    write(tmp_path, {name: random_image(seed) for seed, name in enumerate("abcde")})
    run(tmp_path)
    first = {path.name: path.read_bytes() for path in (tmp_path / "check").iterdir()}
    run(tmp_path)
    assert {path.name: path.read_bytes() for path in (tmp_path / "check").iterdir()} == first
    assert set(first) == {"report.json", "groups.csv", "duplicates.csv"}


def test_empty_masks_are_no_fault_where_images_have_classes(tmp_path: Path) -> None:
    blank = np.zeros((64, 64), np.int32)
    images = {name: (random_image(seed)[0], blank) for seed, name in enumerate("abcd")}
    write(tmp_path, images, **{"class": dict(zip("abcd", "xxyy", strict=True))})
    report, _, _ = run(tmp_path)
    assert report["warnings"] == []


def test_a_part_of_the_real_bowl(real_data: Path, tmp_path: Path) -> None:
    members: dict[str, list[str]] = {}
    images: dict[str, Image] = {}
    with zipfile.ZipFile(real_data / "dsb2018" / "stage1_train.zip") as archive:
        for member in sorted(archive.namelist()):
            if member.endswith(".png"):
                members.setdefault(member.split("/")[0], []).append(member)
        for name in sorted(members)[:60]:
            decoded = {
                member: cv2.imdecode(np.frombuffer(archive.read(member), np.uint8), -1)
                for member in members[name]
            }
            image = next(array for member, array in decoded.items() if "/images/" in member)
            label = np.zeros(image.shape[:2], np.int32)
            masks = [array for member, array in decoded.items() if "/masks/" in member]
            for number, mask in enumerate(masks, 1):
                label[(mask.reshape(*label.shape, -1)[..., 0] > 0) & (label == 0)] = number
            images[name] = cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA), label
    write(tmp_path, images)
    report, groups, pairs = run(tmp_path, dataset(group_by="acquisition"))
    assert report["objects"]["total"] == sum(len(members[name]) - 1 for name in images)
    assert report["channels"] == {"4": 60}
    assert set(report["modalities"]) <= {"fluorescence", "histology", "brightfield"}
    assert 0.08 < report["foreground"]["mean"] < 0.2
    group = groups.set_index("id")["group"]
    assert (group[pairs["a"]].to_numpy() == group[pairs["b"]].to_numpy()).all()
    assert 5 <= group.nunique() <= 25
