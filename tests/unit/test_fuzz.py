"""Whatever bytes, names or values come in: an answer, or one message; never another error.

Found cases are kept as `@example`. The draws are the same each time.
"""

import io
import json
import tempfile
import zipfile
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from archives import pack, packed, row
from fuzzing import CELLS, EDITS, FUZZ, NAMES, VALUES, answers, damaged
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from property_settings import FEW

from coverslip.config import validate as configs
from coverslip.config.sections import Dataset, Limits, Source, Split
from coverslip.data import decode, splits, tables
from coverslip.data.archive import open_archive
from coverslip.data.formats import read_samples
from coverslip.pipeline import folder_inventory

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "workflow/schemas/config.schema.json"


@cache
def images():
    """A whole image of each kind."""
    rng = np.random.default_rng(1)
    grey = rng.integers(0, 256, (9, 7), dtype=np.uint8)
    colour = rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)
    deep = rng.integers(0, 2**16, (9, 7), dtype=np.uint16)
    kinds = [
        (grey, "PNG", {}),
        (colour, "PNG", {}),
        (deep, "PNG", {}),
        (colour, "JPEG", {}),
        (grey, "BMP", {}),
        (grey, "TIFF", {}),
        (deep, "TIFF", {"compression": "tiff_lzw"}),
        (colour, "TIFF", {"compression": "tiff_adobe_deflate"}),
    ]
    found = []
    for array, kind, options in kinds:
        data = io.BytesIO()
        Image.fromarray(array).save(data, kind, **options)
        found.append(data.getvalue())
    data = io.BytesIO()
    Image.fromarray(grey).convert("P").save(data, "PNG")
    return [*found, data.getvalue()]


@pytest.mark.filterwarnings("ignore::UserWarning")
@FUZZ
@given(st.integers(0, 8), EDITS)
def test_damaged_images(number, edits):
    data = damaged(images()[number], edits)
    found = answers(decode.image, data, "x.png", 10_000, named="x.png: ")
    if found is not None:
        assert found[0].dtype in (np.uint8, np.uint16) and found[0].shape[2] in (1, 3)
        assert found[0].shape[0] * found[0].shape[1] <= 10_000
    found = answers(decode.mask, data, "x.png", 10_000, named="x.png: ")
    assert found is None or (found.ndim == 2 and found.dtype.kind in "ui")


@FEW
@given(
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"BM"]),
    st.binary(),
)
def test_bytes_that_are_no_image(start, rest):
    answers(decode.image, start + rest, "x.png", 10_000, named="x.png: ")


def read_all(path):
    """Every byte of an archive, nested ones as well."""
    with open_archive(path, path.parent, Limits(file_mb=1, unpacked_gb=0.01)) as archive:
        for member in archive.members():
            answers(archive.read, member, named=path.name)
            if member.endswith(".zip"):
                answers(archive.expand, member, named=path.name)
        for member in archive.members():
            answers(archive.read, member, named=path.name)


@cache
def archives():
    """Whole archives: deflated, stored, nested."""
    files = {"a/images/a.png": b"abc" * 50, "a/masks/1.png": b"x", "é.txt": b""}
    stored = io.BytesIO()
    pack(stored, files, zipfile.ZIP_STORED)
    return [packed(files), stored.getvalue(), packed({"in.zip": packed(files), "b.png": b"b"})]


@FUZZ
@given(st.integers(0, 2), EDITS)
@example(2, [(0, 0, "drop")])
def test_damaged_archives(number, edits):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.zip"
        path.write_bytes(damaged(archives()[number], edits))
        answers(read_all, path, named="x.zip")
        assert [found.name for found in Path(folder).iterdir()] == ["x.zip"]


@FUZZ
@given(st.lists(NAMES, max_size=8), st.sampled_from(["dsb2018", "paired"]), st.booleans())
@example(["./.", "a/images/1.png"], "dsb2018", False)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_layouts_of_any_names(names, layout, nested):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.zip"
        files = packed(dict.fromkeys(names, b""))
        path.write_bytes(packed({"stage1_train.zip": files}) if nested else files)
        dataset = Dataset(title="t", source=Source(kind="path"), format=layout)

        def listed():
            with open_archive(path, Path(folder)) as archive:
                return read_samples(layout, archive, dataset), archive.members()

        found = answers(listed, named="x.zip")
        for record in found[0] if found else ():
            assert record.id and record.masks and {record.image, *record.masks} <= set(found[1])
            assert "/" not in record.id and record.id not in (".", "..")


@cache
def table():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.csv"
        tables.write_manifest(pd.DataFrame([row("a"), row("b")]), path)
        return path.read_bytes()


@FUZZ
@given(EDITS)
def test_damaged_manifests(edits):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.csv"
        path.write_bytes(damaged(table(), edits))
        found = answers(tables.read_manifest, path, named="m.csv", line=False)
        assert found is None or found.index.is_unique


@FUZZ
@given(
    st.lists(st.lists(CELLS, max_size=4), max_size=5), st.sampled_from(["id,fold,subset", "id", ""])
)
@example([["a", "0", "train"], ["b", "0", "test"], ["c", "0", "validation"]], "id,fold,subset")
def test_tables_of_a_split(rows, head):
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        tables.write_manifest(pd.DataFrame([row(id, member=id) for id in "abc"]), here / "m.csv")
        (here / "g.csv").write_text("id,group,modality,stratum\na,1,x,x\nb,2,x,x\nc,3,x,x\n")
        (here / "d.csv").write_text("a,b,kind\n")
        lines = [head, *(",".join(cells) for cells in rows)]
        (here / "own.csv").write_text("\n".join(lines), encoding="utf-8")
        config = Split(method="file", file=str(here / "own.csv"))
        files = [here / name for name in ("g.csv", "m.csv", "d.csv")]
        outputs = [here / "s.csv", here / "s.json"]
        arguments = [*files, config, True, *outputs]
        answers(splits.split, *arguments, named="own.csv", line=False)


@FEW
@given(VALUES)
def test_configs_of_any_shape(value):
    answers(configs.resolve, value, SCHEMA, line=False)


@FEW
@given(st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value, skipkeys=True).encode()))
def test_notes_of_an_inventory(data):
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "data").mkdir()
        (here / "data/a.png").write_bytes(b"a")
        expected = folder_inventory.digest(here / "data", here / "new.json")
        (here / "notes.json").write_bytes(data)
        assert folder_inventory.digest(here / "data", here / "notes.json") == expected
