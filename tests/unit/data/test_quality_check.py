"""The data report, the groups and the faults that stop a run."""

from __future__ import annotations

import json
import zipfile
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from coverslip.config.sections import Dataset, Source
from coverslip.data import tables
from coverslip.data.image_store import ImageStoreWriter
from coverslip.data.quality_check import check
from coverslip.errors import CoverslipError

Image = tuple[np.ndarray, np.ndarray]


def dataset(**changes: object) -> Dataset:
    return Dataset(title="cells", source=Source(kind="path"), format="dsb2018", **changes)


def random_image(seed: int, size: int = 64, background: int = 10) -> Image:
    """An image HxWx1 uint8 with five discs and its label map."""
    rng = np.random.default_rng(seed)
    label = np.zeros((size, size), np.int32)
    for nucleus in range(1, 6):
        y, x = (int(v) for v in rng.integers(6, size - 6, 2))
        cv2.circle(label, (x, y), 4, nucleus, -1)
    grey = cv2.GaussianBlur(np.where(label > 0, 150.0, background), (0, 0), 1)
    grey += rng.normal(0, 2, grey.shape)
    return np.clip(grey, 0, 255).astype(np.uint8)[..., None], label


def write(folder: Path, images: dict[str, Image], **columns: dict[str, object]) -> None:
    """A store and a manifest as `ingest` writes them; `columns` change values by id."""
    rows = []
    with ImageStoreWriter(folder / "images.h5") as store:
        for name, (image, label) in sorted(images.items()):
            store.image(name, image)
            store.label(name, label)
            row = {
                "id": name,
                "group": name,
                "class": "",
                "height": image.shape[0],
                "width": image.shape[1],
                "channels": image.shape[2],
                "dtype": str(image.dtype),
                "sha256": sha256(image.tobytes()).hexdigest(),
                "member": f"{name}/images/{name}.png",
                "n_objects": len(np.unique(label[label > 0])),
                "foreground": float((label > 0).mean()),
                "overlap_pixels": 0,
                "empty_masks": 0,
            }
            rows.append(row | {key: given[name] for key, given in columns.items() if name in given})
    tables.write_manifest(pd.DataFrame(rows, columns=tables.COLUMNS), folder / "manifest.csv")


def run(folder: Path, config: Dataset | None = None) -> tuple[dict, pd.DataFrame, pd.DataFrame]:
    paths = [folder / "check" / name for name in ("report.json", "groups.csv", "duplicates.csv")]
    check(folder / "images.h5", folder / "manifest.csv", config or dataset(), *paths)
    return read(folder)


def read(folder: Path) -> tuple[dict, pd.DataFrame, pd.DataFrame]:
    report = json.loads((folder / "check" / "report.json").read_text())
    tables = [
        pd.read_csv(folder / "check" / f"{n}.csv", dtype=str) for n in ("groups", "duplicates")
    ]
    return report, *tables


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
    assert report["faults"] == []
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
        "Images with an object over 50% of the image: 1 (whole).",
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


@pytest.mark.parametrize("case", ["none", "empty", "one group"])
def test_faults_stop_after_the_report(tmp_path: Path, case: str) -> None:
    blank = np.zeros((64, 64), np.int32)
    images = {
        "none": {},
        "empty": {"a": (random_image(1)[0], blank), "b": (random_image(2)[0], blank)},
        "one group": {"a": random_image(1), "b": random_image(2)},
    }[case]
    plate = {"a": "p1", "b": "p1"} if case == "one group" else {}
    write(tmp_path, images, group=plate)
    said = {
        "none": "no images: check the source and the format",
        "empty": "all 2 masks are empty \\(a, b\\): check the masks",
        "one group": "in one group \\(p1\\), so none can be held out: give more",
    }[case]
    with pytest.raises(CoverslipError, match=f"manifest.csv.*{said}"):
        run(tmp_path, dataset(group_by="metadata"))
    report = json.loads((tmp_path / "check" / "report.json").read_text())
    assert len(report["faults"]) == 1
    assert (tmp_path / "check" / "groups.csv").exists()


def test_empty_masks_are_no_fault_where_images_have_classes(tmp_path: Path) -> None:
    blank = np.zeros((64, 64), np.int32)
    images = {name: (random_image(seed)[0], blank) for seed, name in enumerate("abcd")}
    write(tmp_path, images, **{"class": dict(zip("abcd", "xxyy", strict=True))})
    report, _, _ = run(tmp_path)
    assert report["faults"] == report["warnings"] == []


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
    assert report["faults"] == []
    group = groups.set_index("id")["group"]
    assert (group[pairs["a"]].to_numpy() == group[pairs["b"]].to_numpy()).all()
    assert 5 <= group.nunique() <= 25
