import pytest
from archives import listed, pack, packed, under

from coverslip.config.sections import Dataset, Source
from coverslip.data.archive import open_archive
from coverslip.data.formats import Sample, read_samples
from coverslip.errors import CoverslipError

BOWL = {
    "b/images/b.png": b"",
    "b/masks/2.png": b"",
    "b/masks/1.png": b"",
    "a/images/a.png": b"",
    "a/masks/1.png": b"",
}
BOWL_RECORDS = [
    ("a", "a/images/a.png", ("a/masks/1.png",)),
    ("b", "b/images/b.png", ("b/masks/1.png", "b/masks/2.png")),
]


def plain(found, cut=""):
    return [
        (
            record.id,
            record.image.removeprefix(cut),
            tuple(mask.removeprefix(cut) for mask in record.masks),
        )
        for record in found
    ]


@pytest.mark.parametrize("prefix", ["", "any/where/", "stage1_train/"])
def test_dsb2018(tmp_path, prefix):
    found = listed(tmp_path, under(prefix, BOWL) | {"labels.csv": b"", "readme.png": b""})
    assert plain(found, prefix) == BOWL_RECORDS
    assert not found[0].whole


@pytest.mark.parametrize("inside", ["", "stage1_train/"])
def test_dsb2018_in_the_competitions_zip(tmp_path, inside):
    test = {"t/images/t.png": b""}
    outer = {
        "stage1_train.zip": packed(under(inside, BOWL)),
        "stage1_test.zip": packed(test),
        "stage1_train_labels.csv": b"",
    }
    assert plain(listed(tmp_path, outer), f"stage1_train.zip/{inside}") == BOWL_RECORDS


def test_dsb2018_in_the_competitions_unpacked_archive(tmp_path):
    files = under("x/stage1_train/", BOWL) | {"x/stage1_test/t/images/t.png": b""}
    assert plain(listed(tmp_path, files), "x/stage1_train/") == BOWL_RECORDS


def test_dsb2018_in_a_zip_of_another_name(tmp_path):
    assert plain(listed(tmp_path, {"my.zip": packed(BOWL)}), "my.zip/") == BOWL_RECORDS


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"t/images/t.png": b""}, r"image without mask: t/images/t\.png: add"),
        (
            {"t/images/t.png": b"", "u/images/u.png": b""},
            r"image without mask: t/images/t\.png \(and 1 more\)",
        ),
        ({"t/masks/1.png": b""}, r"mask without image: t/masks/1\.png"),
        ({"a/images/z.png": b""}, r"two images in one folder: a/images/a\.png and"),
        (
            {"other/a/images/a.png": b"", "other/a/masks/1.png": b""},
            r"two images have the id 'a': a/images/a\.png and other/a/images/a\.png",
        ),
    ],
)
def test_dsb2018_faults(tmp_path, files, message):
    with pytest.raises(CoverslipError, match=message) as error:
        listed(tmp_path, BOWL | files)
    assert "archive.zip" in str(error.value)


@pytest.mark.parametrize("layout", ["dsb2018", "paired"])
@pytest.mark.parametrize("files", [{}, {"a/readme.txt": b""}, {"loose.png": b""}])
def test_no_images(tmp_path, layout, files):
    with pytest.raises(CoverslipError, match=r"archive\.zip: no images found: expected"):
        listed(tmp_path, files, layout)


def test_unknown_layout(tmp_path):
    dataset = Dataset(title="t", source=Source(kind="path"), format="paired")
    with (
        open_archive(pack(tmp_path / "archive.zip", BOWL)) as archive,
        pytest.raises(CoverslipError, match="unknown format 'bowl': choose one of .*dsb2018.*pai"),
    ):
        read_samples("bowl", archive, dataset)


def test_paired_by_name(tmp_path):
    files = {"x/inputs/a.jpg": b"", "x/inputs/b.png": b""}
    files |= {"x/masks/b.png": b"", "x/masks/a.tif": b"", "x/masks/note.txt": b""}
    assert listed(tmp_path, files, "paired") == [
        Sample("a", "x/inputs/a.jpg", ("x/masks/a.tif",), whole=True),
        Sample("b", "x/inputs/b.png", ("x/masks/b.png",), whole=True),
    ]


@pytest.mark.reliability(
    "D32",
    "accents in two forms of Unicode: an image of a zip file of a Mac, a mask of another system",
    "matched",
)
def test_names_are_compared_in_one_form_of_unicode(tmp_path):
    mac, other = "Zellen_a\u0308", "Zellen_\u00e4"
    files = {f"in/{mac}/{mac}.png": b"", f"masks/{other}/{other}.tif": b""}
    (found,) = listed(tmp_path, files, "paired", images="in")
    assert found.id == f"{other}_{other}" and found.image == f"in/{mac}/{mac}.png"
    files = {f"{mac}1.png": b"", f"{other}2.png": b""}
    files["train.csv"] = f"Filename,Label\n{other}1.png,a\n{mac}2.png,b\n".encode()
    found = listed(tmp_path, files, "labelled_csv")
    assert {each.image: each.label for each in found} == {f"{mac}1.png": "a", f"{other}2.png": "b"}


def test_paired_with_several_roots_and_folders_below(tmp_path):
    files = {
        f"bowl/{root}/{kind}/{name}.png": b""
        for root in ("train", "test")
        for kind in ("inputs", "masks")
        for name in ("1", "well/2")
    }
    found = plain(listed(tmp_path, files, "paired"), "bowl/")
    assert found == [
        ("test_1", "test/inputs/1.png", ("test/masks/1.png",)),
        ("test_well_2", "test/inputs/well/2.png", ("test/masks/well/2.png",)),
        ("train_1", "train/inputs/1.png", ("train/masks/1.png",)),
        ("train_well_2", "train/inputs/well/2.png", ("train/masks/well/2.png",)),
    ]


def test_paired_with_names_of_several_parts(tmp_path):
    files = {"x/train/img/1.png": b"", "x/truth/1.png": b"", "x/test/img/1.png": b""}
    found = listed(tmp_path, files, "paired", images="train/img", masks="truth")
    assert [record.id for record in found] == ["1"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"inputs/b.png": b""}, r"image without mask: inputs/b\.png"),
        ({"masks/b.png": b""}, r"mask without image: masks/b\.png"),
        ({"inputs/a.jpg": b""}, r"two files of one name: inputs/a\.jpg and inputs/a\.png"),
        (
            {"inputs/w/b.png": b"", "masks/w/b.png": b"", "inputs/w_b.png": b""}
            | {"masks/w_b.png": b""},
            "two images have the id 'w_b'",
        ),
    ],
)
def test_paired_faults(tmp_path, files, message):
    with pytest.raises(CoverslipError, match=message):
        listed(tmp_path, {"inputs/a.png": b"", "masks/a.png": b""} | files, "paired")


def test_paired_with_label_files_of_other_tools(tmp_path):
    files = {
        f"inputs/{name}": b"" for name in ("a.png", "b.tif", "c.png", "d.ome.tif", "e_mask.png")
    }
    masks = ["a_cp_masks.png", "b_seg.npy", "c.png.label.tif", "d.ome.geojson", "e_mask.zip"]
    files |= {f"masks/{name}": b"" for name in [*masks, "facts.json", "notes.txt"]}
    found = listed(tmp_path, files, "paired")
    assert [record.masks for record in found] == [(f"masks/{name}",) for name in masks]
    with pytest.raises(CoverslipError, match=r"two files of one name: masks/a.*masks/a"):
        listed(tmp_path, files | {"masks/a.png": b""}, "paired")
    with pytest.raises(CoverslipError, match=r"mask without image: masks/z_seg\.npy"):
        listed(tmp_path, files | {"masks/z_seg.npy": b""}, "paired")


def test_paired_in_one_folder_takes_images_with_a_label_file(tmp_path):
    files = ["a.png", "a.label.tif", "b.png", "c.tif", "c_seg.npy", "sub/d.png", "sub/d.zip"]
    found = listed(tmp_path, dict.fromkeys(files, b""), "paired", images=".", masks=".")
    assert plain(found) == [
        ("a", "a.png", ("a.label.tif",)),
        ("c", "c.tif", ("c_seg.npy",)),
        ("sub_d", "sub/d.png", ("sub/d.zip",)),
    ]
    with pytest.raises(CoverslipError, match="no images found"):
        listed(tmp_path, {"x/1.png": b""}, "paired", images="x", masks="x")
