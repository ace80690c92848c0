"""Layouts of images with classes instead of masks."""

import pytest
from archives import CSV, LABELLED, TEST, TRAIN, cells, listed, pack, packed, under

from coverslip.data.formats import Sample
from coverslip.data.formats.livecell import parse
from coverslip.errors import CoverslipError

FOLDERS = {"a/1.png": b"", "a/2.tif": b"", "b/1.jpg": b"", "readme.txt": b""}


LIVECELL = {
    f"{TRAIN}/A172/{cells('A172', 'C7')}": b"",
    f"{TRAIN}/A172/{cells('A172', 'D7', 4)}": b"",
    f"{TEST}/RatC6/{cells('RatC6', 'A1')}": b"",
    f"{TEST}/A172/{cells('A172', 'C7', 3)}": b"",
}


def told(found):
    return [(record.id, record.image, record.label, record.group) for record in found]


@pytest.mark.parametrize("prefix", ["", "deep/down/"])
def test_labelled_csv(tmp_path, prefix):
    found = listed(tmp_path, under(prefix, LABELLED) | {"other/x.png": b""}, "labelled_csv")
    assert [record for record in found if record.id != "other_x"] == [
        Sample("test_7", f"{prefix}test/7.png", ()),
        Sample("train_1", f"{prefix}train/1.png", (), label="0"),
        Sample("train_2", f"{prefix}train/2.png", (), label="1"),
        Sample("train_3", f"{prefix}train/3.png", (), label="0"),
    ]
    assert len(found) == (4 if prefix else 5), "what lies outside of the root is not read"


def test_labelled_csv_in_a_nested_zip_with_other_names(tmp_path):
    files = {"a.png": b"", "b c.png": b"", "unlabelled/d.png": b""}
    files["kinds.csv"] = "\ufeffkind,split,name\n yes ,x,a.png\nno,x,b c.png\n".encode()
    found = listed(
        tmp_path,
        {"data.zip": packed(files)},
        "labelled_csv",
        labels="kinds.csv",
        label_columns=("name", "kind"),
    )
    assert [(r.id, r.label) for r in found] == [
        ("a", "yes"),
        ("b c", "no"),
        ("unlabelled_d", None),
    ]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"train.csv": CSV + b"4.png,1\n5.png,0\n"},
            r"image in train\.csv that does not exist: 4\.png \(and 1 more\): put it into train",
        ),
        ({"train.csv": CSV + b"../x.png,1\n"}, r"does not exist: \.\./x\.png"),
        ({"train/9.png": b""}, r"image without label in train\.csv: train/9\.png: add a row"),
        ({"train.csv": CSV + b"4.png,\n"}, r"train\.csv: line 5: no label: 4\.png: add it"),
        ({"train.csv": CSV + b",1\n"}, r"train\.csv: line 5: no file name"),
        ({"train.csv": CSV + b"1.png,1\n"}, r"line 5: a file name that occurs twice: 1\.png"),
        ({"train.csv": CSV + b'4.png,"a\nb"\n'}, "line 5: a label with line breaks"),
        ({"train.csv": b"file,Label\n1.png,0\n"}, r"column Filename is missing .*file, Label"),
        ({"train.csv": b""}, r"train\.csv: not a csv"),
        ({"train.csv": b"\xff\xfe\x00"}, r"train\.csv: not a csv in UTF-8"),
        ({"train.csv": CSV.replace(b",1", b",0")}, "all images are of one class, '0'"),
        ({"other/train.csv": CSV}, r"two files train\.csv: other/train\.csv and train\.csv"),
        (
            {"train/more/1.png": b"", "train_more_1.png": b""},
            "two images have the id 'train_more_1'",
        ),
    ],
)
def test_labelled_csv_faults(tmp_path, files, message):
    with pytest.raises(CoverslipError, match=message) as error:
        listed(tmp_path, LABELLED | files, "labelled_csv")
    assert "archive.zip" in str(error.value)


def test_no_csv(tmp_path):
    with pytest.raises(CoverslipError, match=r"no file train\.csv: keep one, or fix `labels`"):
        listed(tmp_path, {"train/1.png": b""}, "labelled_csv")


@pytest.mark.parametrize("prefix", ["", "my/cells/"])
def test_class_folders(tmp_path, prefix):
    expected = [("a_1", "a/1.png", "a", None), ("a_2", "a/2.tif", "a", None)]
    expected += [("b_1", "b/1.jpg", "b", None)]
    found = told(listed(tmp_path, under(prefix, FOLDERS), "class_folders"))
    assert found == [(id, prefix + member, *rest) for id, member, *rest in expected]
    nested = told(listed(tmp_path, {"x.zip": packed(FOLDERS)}, "class_folders"))
    assert [row[0] for row in nested] == ["a_1", "a_2", "b_1"]


def test_class_folders_below_parts(tmp_path):
    files = {f"{part}/{kind}/1.png": b"" for part in ("train", "test") for kind in "ab"}
    found = listed(tmp_path, files, "class_folders")
    assert [(record.id, record.label) for record in found] == [
        ("test_a_1", "a"),
        ("test_b_1", "b"),
        ("train_a_1", "a"),
        ("train_b_1", "b"),
    ]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (FOLDERS | {"loose.png": b""}, r"in no folder of a class: loose\.png: put it into"),
        ({"x/1.png": b"", "x/2.png": b""}, "all images are of one class, 'x'"),
        ({"1.png": b""}, "all images are of one class, ''"),
        (FOLDERS | {"a/1.bmp": b""}, "two images have the id 'a_1'"),
    ],
)
def test_class_folders_faults(tmp_path, files, message):
    with pytest.raises(CoverslipError, match=message):
        listed(tmp_path, files, "class_folders")


@pytest.mark.parametrize("layout", ["class_folders", "labelled_csv", "livecell"])
@pytest.mark.parametrize("files", [{}, {"a/readme.txt": b""}])
def test_no_images(tmp_path, layout, files):
    with pytest.raises(CoverslipError, match=r"archive\.zip: no images found: expected"):
        listed(tmp_path, files, layout)


def test_livecell_name():
    name = parse("x/y/A172_Phase_C7_1_02d04h30m_3.tif")
    assert name == ("A172", "C7", 1, (2 * 24 + 4) * 60 + 30, 3)
    assert name.group == "A172_C7"
    for other in ("A172_Phase_C7_1_02d04h30m.tif", "A172_C7_1_02d04h30m_3.tif", "", "a_b.png"):
        assert parse(other) is None


@pytest.mark.parametrize("prefix", ["", "LIVECell_dataset_2021/images/"])
def test_livecell(tmp_path, prefix):
    kaggle = {"train/0030fd0e6378.png": b"", "train.csv": b"", "train_semi_supervised/x.png": b""}
    found = told(listed(tmp_path, under(prefix, LIVECELL) | (kaggle if prefix else {}), "livecell"))
    assert [(id, label, group) for id, _, label, group in found] == [
        ("A172_Phase_C7_2_01d08h00m_1", "A172", "A172_C7"),
        ("A172_Phase_C7_2_01d08h00m_3", "A172", "A172_C7"),
        ("A172_Phase_D7_2_01d08h00m_4", "A172", "A172_D7"),
        ("RatC6_Phase_A1_2_01d08h00m_1", "RatC6", "RatC6_A1"),
    ]
    assert [TEST in member for _, member, _, _ in found] == [False, True, False, True]


def test_livecell_without_folders_of_lines_in_a_nested_zip(tmp_path):
    flat = {f"images/{name.split('/')[0]}/{name.split('/')[2]}": b"" for name in LIVECELL}
    found = listed(tmp_path, {"images.zip": packed(flat)}, "livecell")
    assert [record.label for record in found] == ["A172", "A172", "A172", "RatC6"]


def test_livecell_folder_goes_before_name_and_says_so(tmp_path, caplog):
    files = LIVECELL | {f"{TRAIN}/SkBr3/{cells('SKOV3', 'E4')}": b""}
    files |= {f"{TRAIN}/skbr3/{cells('SkBr3', 'E4')}": b""}
    with caplog.at_level("WARNING", "coverslip"):
        found = {record.id: record for record in listed(tmp_path, files, "livecell")}
    assert found["SKOV3_Phase_E4_2_01d08h00m_1"].label == "SkBr3"
    assert found["SKOV3_Phase_E4_2_01d08h00m_1"].group == "SkBr3_E4"
    assert [record.args[1] for record in caplog.records] == [1]


def test_livecell_faults(tmp_path):
    with pytest.raises(
        CoverslipError, match=r"name without cell line and well: .*/x\.tif: name it as A172_Ph"
    ):
        listed(tmp_path, LIVECELL | {f"{TEST}/A172/x.tif": b""}, "livecell")
    one = {name: b"" for name in LIVECELL if "A172" in name}
    with pytest.raises(CoverslipError, match="all images are of one class, 'A172'"):
        listed(tmp_path, one, "livecell")
    with pytest.raises(CoverslipError, match="two images have the id"):
        listed(tmp_path, LIVECELL | {f"{TEST}/A172/{cells('A172', 'C7')}": b""}, "livecell")


def test_labels_are_part_of_the_contents(tmp_path):
    from coverslip.config.sections import Dataset, Source
    from coverslip.data.archive import open_archive
    from coverslip.data.formats import read_samples as records

    dataset = Dataset(title="t", source=Source(kind="path"), format="labelled_csv")
    with open_archive(pack(tmp_path / "a.zip", LABELLED)) as archive:
        records("labelled_csv", archive, dataset)
        assert list(archive.digests) == ["train.csv"]
