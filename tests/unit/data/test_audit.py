"""The split of another program is searched for groups, duplicates and overlaps in two subsets."""

import json

import cv2
import numpy as np
import pytest

from coverslip import cli
from coverslip.data.audit import audit, leaks
from coverslip.errors import CoverslipError


@pytest.fixture
def folder(tmp_path):
    """Six different images, a copy of the first, and two parts of one that overlap."""
    rng = np.random.default_rng(4)

    def field(height, width):
        noise = rng.normal(size=(height, width)).astype(np.float32)
        smooth = cv2.GaussianBlur(noise, (0, 0), 3)
        return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)

    images = {f"i{number}": field(96, 96) for number in range(6)}
    wide = field(96, 160)
    images |= {"copy": images["i0"], "left": wide[:, :96], "right": wide[:, 48:144]}
    for name, image in images.items():
        cv2.imwrite(str(tmp_path / f"{name}.png"), image)
    return tmp_path


def write(folder, subsets, groups=None):
    rows = [
        f"{name}.png,{subset}" + (f",{groups[name]}" if groups else "")
        for name, subset in subsets.items()
    ]
    head = "file,subset" + (",group" if groups else "")
    (folder / "split.csv").write_text("\n".join([head, *rows]) + "\n")
    return folder / "split.csv"


def test_copies_and_overlaps_in_two_subsets_are_found(folder):
    subsets = {"i0": "train", "i1": "train", "copy": "test", "left": "train", "right": "test"}
    report = audit(write(folder, subsets, {name: name for name in subsets}))
    assert leaks(report) and report["groups_from"] == "table"
    assert report["subsets"] == {"train": 3, "test": 2} and report["leaks"]["groups"] == 0
    found = {(pair["a"], pair["b"], pair["kind"]) for pair in report["crossing"]}
    assert found == {("i0.png", "copy.png", "exact"), ("left.png", "right.png", "overlap")}


def test_groups_in_two_subsets_are_found(folder):
    subsets = {"i0": "train", "i1": "train", "i2": "test", "i3": "test"}
    report = audit(write(folder, subsets, {"i0": "a", "i1": "b", "i2": "a", "i3": "c"}))
    assert report["leaks"]["groups"] == 1 and report["leaks"]["named groups"] == ["a"]
    assert report["leaks"]["relatives"] == 0.5 and report["leaks"]["pairs"] == 0


def test_images_of_16_bits_share_one_scale(folder):
    """A bright speck in one of two images of a camera does not make it another acquisition."""
    dim = cv2.imread(str(folder / "i0.png"), cv2.IMREAD_UNCHANGED).astype(np.uint16) * 16
    speck = cv2.imread(str(folder / "i1.png"), cv2.IMREAD_UNCHANGED).astype(np.uint16) * 16
    speck[:2, :2] = 65535
    cv2.imwrite(str(folder / "dim.png"), dim)
    cv2.imwrite(str(folder / "speck.png"), speck)
    report = audit(write(folder, {"dim": "train", "speck": "test"}))
    assert report["groups"] == 1


def test_without_groups_they_are_derived(folder):
    report = audit(write(folder, {"i0": "train", "i1": "test"}))
    assert report["groups_from"] == "images" and report["groups"] == 1
    assert report["leaks"]["groups"] == 1


def test_the_command_prints_and_writes(folder, capsys):
    clean = write(folder, {"i0": "train", "i1": "test"}, {"i0": "a", "i1": "b"})
    assert cli.main(["audit", str(clean), "-o", str(folder / "audit.json")]) == 0
    assert json.loads((folder / "audit.json").read_text())["leaks"]["pairs"] == 0
    assert "2 (" in capsys.readouterr().out
    leaking = write(folder, {"i0": "train", "copy": "test"}, {"i0": "a", "copy": "b"})
    assert cli.main(["audit", str(leaking)]) == 1
    assert "i0.png = copy.png" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("file\na.png\n", "has no column `subset`"),
        ("file,subset\n", "is empty"),
        ("file,subset\ni0.png,\n", "an empty cell"),
        ("file,subset\ni0.png,a\ni0.png,b\n", "listed twice"),
        ("file,subset\nnone.png,a\n", "none.png: cannot be read"),
    ],
)
def test_mistakes_in_the_table(folder, text, words):
    (folder / "split.csv").write_text(text)
    with pytest.raises(CoverslipError, match=words):
        audit(folder / "split.csv")
