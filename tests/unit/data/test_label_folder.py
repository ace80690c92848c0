"""Label files are matched by name to the images of a dataset."""

from pathlib import Path

import pytest

from coverslip.data.label_folder import list_label_files, match_label_files
from coverslip.errors import CoverslipError

MEMBERS = {
    "a": "top/a/images/a.png",
    "plate1_b": "inputs/plate1/b.tif",
    "plate2_b": "inputs/plate2/b.tif",
    "well_c": "inputs/well/c.tif",
}


def match(*files, members=MEMBERS):
    return match_label_files(Path("masks"), files, members)


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("a.tif", "a"),
        ("a_cp_masks.png", "a"),
        ("a_seg.npy", "a"),
        ("deep/er/a.label.tif", "a"),
        ("a.ome.zarr", "a"),
        ("plate1/b.png", "plate1_b"),
        ("x/plate2/b_mask.png", "plate2_b"),
        ("plate2_b.npy", "plate2_b"),
        ("c.roi.zip", "well_c"),
    ],
)
def test_names_that_programs_give(name, id):
    assert match(name) == ({id: name}, [])


def test_a_name_of_two_images_is_of_neither():
    assert match("b.png", "x.png") == ({}, ["b.png", "x.png"])


def test_of_an_image_and_its_label_file_the_latter_counts():
    assert match("a.png", "a_cp_masks.png").files == {"a": "a_cp_masks.png"}
    with pytest.raises(CoverslipError, match="'a' has 2 label files .a_mask.png, a_seg.npy"):
        match("a_mask.png", "a_seg.npy")
    with pytest.raises(CoverslipError, match="'a' has 2 label files"):
        match("x/a.png", "y/a.png")


def test_an_ome_zarr_is_one_file_and_notes_are_none(tmp_path):
    for name in ("a.tif", "sub/b.ome.zarr/0/0", "sub/b.ome.zarr/.zattrs", "tool.json", "log.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert list_label_files(tmp_path) == ["a.tif", "sub/b.ome.zarr"]
