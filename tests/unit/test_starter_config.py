"""The config that `coverslip init` writes: what it sees in a folder, and that it is valid."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from coverslip.config import validate
from coverslip.errors import CoverslipError
from coverslip.files import WORKFLOW
from coverslip.starter_config import look_at, write_config

SCHEMA = WORKFLOW / "schemas/config.schema.json"


def write(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def grey(value: int = 9) -> np.ndarray:
    return np.full((96, 130), value, np.uint8)


def discs(*values: int) -> np.ndarray:
    image = np.zeros((96, 130), np.uint16 if max(values) > 255 else np.uint8)
    for column, value in enumerate(values):
        cv2.circle(image, (20 + 30 * column, 40), 9, value, -1)
    return image


def pairs(folder: Path, mask: np.ndarray, suffix: str = ".png") -> None:
    for name in "abc":
        write(folder / f"raw/{name}.png", grey())
        write(folder / f"masks/{name}{suffix}", mask)


def make(folder: Path, kind: str) -> None:
    """A folder of one kind."""
    match kind:
        case "masks":
            pairs(folder, discs(255, 255))
        case "soft":
            pairs(folder, cv2.GaussianBlur(discs(255, 255), (0, 0), 3), ".jpg")
        case "labels":
            pairs(folder, discs(1, 2, 300))
        case "nuclei":
            for name in "ab":
                write(folder / f"{name}/images/{name}.png", np.dstack([grey(1), grey(2), grey(3)]))
                write(folder / f"{name}/masks/1.png", discs(255))
        case "classes":
            for name in ("cancer", "muscle"):
                write(folder / f"{name}/1.png", grey())
        case "images":
            write(folder / "a.tif", grey())
            (folder / "note.txt").write_text("no image")


EXPECTED = {
    "masks": ("masks", "3 images, black and white masks in `masks`"),
    "soft": ("masks", "3 images, black and white masks in `masks`"),
    "labels": ("labels", "3 images, label images in `masks`"),
    "nuclei": ("nuclei", "2 images, a mask for each object"),
    "classes": ("classes", "2 images, 2 classes: cancer, muscle"),
    "images": ("images", "1 image, without masks or classes"),
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_what_a_folder_holds(tmp_path, kind):
    make(tmp_path / "mine", kind)
    found = look_at(tmp_path / "mine")
    assert (found.kind, found.summary[: len(EXPECTED[kind][1])]) == EXPECTED[kind]
    assert found.soft == (kind == "soft")
    assert found.channels == ("rgb" if kind == "nuclei" else "grey")
    assert found.side == 96


@pytest.mark.parametrize("kind", EXPECTED)
def test_the_config_is_valid_and_is_of_the_folder(tmp_path, kind):
    folder = tmp_path / "my été"
    make(folder, kind)
    text = write_config(look_at(folder))
    config = yaml.safe_load(text)
    whole = validate.resolve(config, SCHEMA)
    assert len(text.splitlines()) < 30
    if kind == "images":
        assert whole["images"] == str(folder)
        return
    (study,) = whole["studies"].values()
    (dataset,) = whole["datasets"].values()
    assert dataset["source"]["path"] == str(folder)
    assert dataset["mask_threshold"] == (127 if kind == "soft" else 0)
    heads = {"masks": "semantic", "soft": "semantic", "classes": "classification"}
    assert study["network"]["head"] == heads.get(kind, "instance")


def test_folders_of_other_names_are_classes(tmp_path):
    write(tmp_path / "healthy/a.png", grey())
    write(tmp_path / "treated/b.png", grey())
    assert look_at(tmp_path).kind == "classes"


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        (["images/a", "images/b", "masks/a"], "images: `b` has no file of its name in `masks`"),
        (["images/a", "masks/b_mask"], "images: `a` has no file of its name in `masks`"),
        (["images/a", "masks/a", "masks/c"], "masks: `c` has no file of its name in `images`"),
        (["a", "a_gt"], "`a_gt` seems to be the mask of `a`"),
    ],
)
def test_masks_that_fit_no_image_are_an_error_and_no_classes(tmp_path, files, reason):
    for name in files:
        write(tmp_path / f"{name}.png", grey())
    with pytest.raises(CoverslipError, match=reason):
        look_at(tmp_path)


def test_label_files_next_to_their_images(tmp_path):
    """As images of a measured folder are copied with their corrected label images."""
    for name in "abc":
        write(tmp_path / f"mine/{name}.png", grey())
    write(tmp_path / "mine/a.png.label.tif", discs(1, 2, 3))
    np.save(tmp_path / "mine/b_seg.npy", {"masks": discs(1, 2)}, allow_pickle=True)
    found = look_at(tmp_path / "mine")
    assert (found.kind, found.count, found.images, found.masks) == ("labels", 2, ".", ".")
    config = yaml.safe_load(write_config(found))
    assert config["datasets"]["mine"]["masks"] == "." and validate.resolve(config, SCHEMA)
    for name in "abc":
        write(tmp_path / f"other/raw/{name}.png", grey())
        write(tmp_path / f"other/masks/{name}_cp_masks.png", discs(1, 2))
    found = look_at(tmp_path / "other")
    assert (found.kind, found.count, found.images, found.masks) == ("labels", 3, "raw", "masks")
