"""Whatever names and csv files come in: records with classes, or one message; no other error."""

import csv
import io
import tempfile
from pathlib import Path

import pytest
from archives import CSV, LABELLED, TEST, TRAIN, cells, packed
from fuzzing import CELLS, EDITS, FUZZ, NAMES, answers, damaged
from hypothesis import example, given
from hypothesis import strategies as st

from coverslip.config.sections import Dataset, Source
from coverslip.data.archive import open_archive
from coverslip.data.formats import read_samples

CLASSES = ("livecell", "class_folders", "labelled_csv")
PLACES = st.sampled_from([TRAIN, TEST, "images.zip", "train", "a", "b", "B", "..", "", "x.zip"])
FILES = st.sampled_from(
    [
        cells("A172", "C7"),
        cells("BV2", "ZZ99", crop=10**30),
        cells("A172", "C7", time="99999999999999999999d08h00m"),
        "A172_Phase_C7_1_00d00h00m_1",
        "_Phase_A1_1_0d0h0m_1.tif",
        "1.png",
        "1.PNG",
        "train.csv",
    ]
)
PATHS = st.builds(lambda below, name: "/".join([*below, name]), st.lists(PLACES, max_size=3), FILES)


def answered(members, layout):
    """Records of an archive of these members, or one line that names the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.zip"
        path.write_bytes(packed(members))
        dataset = Dataset(title="t", source=Source(kind="path"), format=layout)

        def listed():
            with open_archive(path, Path(folder)) as archive:
                return read_samples(layout, archive, dataset), archive.members()

        found = answers(listed, named="x.zip")
        for record in found[0] if found else ():
            assert record.id and not record.masks and record.image in found[1]
            assert "/" not in record.id and record.id not in (".", "..")
            assert record.label is None or (record.label and record.label.isprintable())
            assert layout != "livecell" or (record.label and record.group)
        assert [left.name for left in Path(folder).iterdir()] == ["x.zip"]
        return found


@FUZZ
@given(st.lists(PATHS | NAMES, max_size=8), st.sampled_from(CLASSES), st.booleans())
@example([f"{TRAIN}/A/{cells('A', 'C7')}", f"{TEST}/B/{cells('B', 'C7')}"], "livecell", True)
@example(["a/1.png", "b/1.png", "b/2.png"], "class_folders", False)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_layouts_of_any_names(names, layout, nested):
    members = dict.fromkeys(names, b"") | ({"train.csv": CSV} if layout == "labelled_csv" else {})
    answered({"images.zip": packed(members)} if nested else members, layout)


@FUZZ
@given(EDITS)
def test_damaged_csv(edits):
    answered(LABELLED | {"train.csv": damaged(CSV, edits)}, "labelled_csv")


@FUZZ
@given(st.lists(st.lists(CELLS | st.sampled_from(["1.png", "2.png"]), max_size=3), max_size=5))
@example([["1.png", "0"], ["2.png", "1"], ["3.png", "0"]])
@example([["1.png", "0"], ["./1.png", "1"], ["2.png", "0"], ["3.png", "0"]])
@example([["1.png", "0"], ["train/1.png", "1"], ["2.png", "0"], ["3.png", "0"]])
@example([["1.png", "0", "lost"], ["2.png", "1"], ["3.png", "0"]])
def test_csv_of_any_cells(rows):
    text = io.StringIO()
    csv.writer(text).writerows([["Filename", "Label"], *rows])
    found = answered(LABELLED | {"train.csv": text.getvalue().encode()}, "labelled_csv")
    if found is not None:
        stated = {row[1].strip() for row in rows if len(row) > 1}
        assert {record.label for record in found[0]} - {None} <= stated
        assert sum(record.label is not None for record in found[0]) == len([r for r in rows if r])
