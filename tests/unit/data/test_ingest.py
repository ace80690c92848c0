import errno
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import microscope_files
import numpy as np
import pytest
import tifffile
from archives import DEEP, GREY, LEFT, NONE, RGBA, RIGHT, Run, dsb2018_files, pack, png
from skimage.measure import label as components

from coverslip.data import tables
from coverslip.data.image_store import ImageStore
from coverslip.data.ingest import ingest, work


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def test_mixed_images(run):
    table = run(run.pack(dsb2018_files()))
    assert list(table.index) == ["p1_a", "p1_b", "p2_c", "p2_d"]
    assert set(table["group"]) == {""}, "check defines groups"
    assert list(table["channels"]) == [1, 3, 1, 3]
    assert list(table["dtype"]) == ["uint8", "uint8", "uint16", "uint8"]
    assert list(table["n_objects"]) == [2, 1, 0, 2]
    assert list(table["empty_masks"]) == [0, 1, 1, 0]
    assert list(table["overlap_pixels"]) == [0, 0, 0, 12]
    assert list(table["foreground"]) == [24 / 120, 12 / 120, 0, 24 / 120]
    assert (table["height"] == 12).all()
    assert (table["width"] == 10).all()
    assert (table["class"] == "").all()
    assert table["member"]["p1_b"] == "p1_b/images/b.png"
    assert table["sha256"].nunique() == 4
    with ImageStore(run.files[0]) as store:
        np.testing.assert_array_equal(store.image("p1_a")[:, :, 0], GREY)
        np.testing.assert_array_equal(store.image("p1_b"), RGBA[:, :, :3])
        np.testing.assert_array_equal(store.image("p2_c")[:, :, 0], DEEP)
        expected = (LEFT > 0) + 2 * (RIGHT > 0)
        np.testing.assert_array_equal(store.label("p1_a"), expected)
        np.testing.assert_array_equal(store.label("p2_d"), expected)
        assert not store.label("p2_c").any()
    assert run.left() == ["dataset.json", "images.h5", "manifest.csv"]


def test_summary(run):
    source = run.pack(dsb2018_files())
    run(source)
    facts = json.loads(run.files[2].read_text())
    assert facts["format"] == 1
    assert not {"title", "licence", "citation"} & set(facts), "words are in the config alone"
    assert (facts["images"], facts["n_objects"], facts["empty_masks"]) == (4, 5, 2)
    assert facts["n_objects_by"] == {"mask": 4, "label": 0, "component": 0}
    assert facts["source"]["sha256"] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert facts["source"]["name"] == "archive.zip"
    assert str(run.folder) not in run.files[2].read_text()


def test_output_is_the_same_with_more_processes(run):
    source = run.pack(dsb2018_files())
    run(source)
    alone = [path.read_bytes() for path in run.files]
    run(source, processes=3)
    assert [path.read_bytes() for path in run.files] == alone


def test_folder_and_nested_zip_give_the_same_images(run, tmp_path):
    source = run.pack(dsb2018_files())
    run(source)
    alone = run.files[0].read_bytes()
    facts = json.loads(run.files[2].read_text())
    with zipfile.ZipFile(source) as archive:
        archive.extractall(tmp_path / "folder")
    run(tmp_path / "folder", processes=2)
    assert run.files[0].read_bytes() == alone
    folder_facts = json.loads(run.files[2].read_text())
    assert folder_facts["source"]["kind"] == "folder"
    assert folder_facts["source"]["sha256"] == facts["source"]["contents_sha256"]
    outer = pack(tmp_path / "outer.zip", {"stage1_train.zip": source.read_bytes(), "x.csv": b""})
    run(outer, processes=2)
    assert run.files[0].read_bytes() == alone
    assert run.left() == ["dataset.json", "images.h5", "manifest.csv"]


def test_one_changed_image_changes_its_row_only(run):
    first = run(run.pack(dsb2018_files()))
    changed = GREY.copy()
    changed[0, 0] ^= 1
    second = run(run.pack(dsb2018_files() | {"p1_a/images/a.png": png(changed)}))
    assert (first["sha256"] != second["sha256"]).tolist() == [True, False, False, False]


@pytest.mark.parametrize("options", [{}, {"mask_threshold": 127}])
def test_paired(run, options):
    both = np.maximum(LEFT, RIGHT)
    files = {"inputs/1.png": png(GREY), "masks/1.png": png(both)}
    files |= {"inputs/2.png": png(GREY), "masks/2.png": png(LEFT // 255 + RIGHT // 255 * 2)}
    table = run(run.pack(files), format="paired", **options)
    facts = json.loads(run.files[2].read_text())
    if options:
        assert list(table["n_objects"]) == [1, 0]
        assert facts["n_objects_by"] == {"mask": 0, "label": 0, "component": 2}
    else:
        assert list(table["n_objects"]) == [1, 2]
        assert facts["n_objects_by"] == {"mask": 0, "label": 1, "component": 1}


@pytest.mark.parametrize("processes", [1, 2])
def test_image_that_cannot_be_decoded(run, processes):
    files = dsb2018_files() | {"p1_b/images/b.png": png(RGBA)[:-30]}
    message = r"archive\.zip: p1_b/images/b\.png: cannot be decoded"
    run.refused(files, message, processes=processes)
    files = dsb2018_files() | {"p1_b/masks/2.png": b"no image"}
    run.refused(files, r"p1_b/masks/2\.png: cannot be decoded", processes=processes)


def test_mask_of_another_size(run):
    files = dsb2018_files() | {"p1_b/masks/2.png": png(NONE.T)}
    message = r"p1_b/masks/2\.png: mask of 10x12 pixels, but its image has 12x10"
    run.refused(files, message)
    files = {"inputs/1.png": png(GREY), "masks/1.png": png(LEFT[:-1])}
    run.refused(files, r"masks/1\.png: mask of 11x10 pixels", format="paired")


def test_faults_of_archive_and_layout_leave_nothing(run, tmp_path):
    cut = tmp_path / "cut.zip"
    cut.write_bytes(run.pack(dsb2018_files()).read_bytes()[:-100])
    run.refused(cut, r"cut\.zip: truncated")
    run.refused(tmp_path / "missing.zip", r"missing\.zip: no such archive")
    run.refused(dsb2018_files() | {"t/images/t.png": b""}, r"image without mask: t/images/t\.png")
    run.refused({"readme.txt": b""}, "no images found")
    run.refused(dsb2018_files() | {"../x.png": b""}, r"leaves the archive: '\.\./x\.png'")


def test_expected_digest(run, tmp_path):
    source = run.pack(dsb2018_files())
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    run.refused(source, f"SHA-256 is {digest}, but the config says 0000", sha256="0" * 64)
    run(source, sha256=digest)
    (tmp_path / "folder" / "a" / "images").mkdir(parents=True)
    (tmp_path / "folder" / "a" / "masks").mkdir()
    (tmp_path / "folder" / "a" / "images" / "a.png").write_bytes(png(GREY))
    (tmp_path / "folder" / "a" / "masks" / "a.png").write_bytes(png(LEFT))
    for path in run.files:
        path.unlink()
    run.refused(tmp_path / "folder", "but the config says 0000", sha256="0" * 64)


BAD = {
    "cut off": ({}, r"archive\.zip: truncated or damaged .*: download or copy it again"),
    "no image": (
        {"p1_b/images/b.png": b"no image"},
        r"p1_b/images/b\.png: cannot be decoded .*: \w+",
    ),
    "other size": ({"p1_b/masks/2.png": png(NONE.T)}, r"p1_b/masks/2\.png: .*: give both the same"),
    "no mask": ({"t/images/t.png": png(GREY)}, r"t/images/t\.png: add its masks"),
    "no such image": ({"t/masks/t.png": png(LEFT)}, r"t/masks/t\.png: add the image or remove"),
    "two in one": ({"p1_a/images/z.png": png(GREY)}, r"a/images/a\.png and .*z\.png: keep one"),
    "one name": ({"x/p1_a/images/a.png": png(GREY), "x/p1_a/masks/1.png": png(LEFT)}, "rename one"),
    "one member twice": ({"./p1_a/images/a.png": png(GREY)}, r"a\.png: occurs twice .*: pack it"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_archive_leaves_nothing_and_can_be_replaced(run, case):
    added, message = BAD[case]
    source = run.pack(dsb2018_files() | added)
    if case == "cut off":
        source.write_bytes(source.read_bytes()[:-100])
    run.refused(source, message)
    good = run.pack(dsb2018_files())
    assert len(run(good)) == 4
    fixed = [path.read_bytes() for path in run.files]
    for path in run.files:
        path.unlink()
    run(good)
    assert [path.read_bytes() for path in run.files] == fixed


def fill_disk(monkeypatch, space):
    """Let the files below stores hold `space` bytes and no more."""

    class Small(io.FileIO):
        def write(self, data):
            room = min(space - self.tell(), len(data))
            if room <= 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(bytes(data)[:room])

    monkeypatch.setattr(
        "coverslip.data.hdf5.open", lambda path, mode, buffering: Small(path, mode), raising=False
    )


@pytest.mark.parametrize("where", ["image", "close", "manifest"])
def test_no_space_left(run, monkeypatch, where):
    def full(*args, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if where == "manifest":
        monkeypatch.setattr("coverslip.data.ingest.write_manifest", full)
    else:
        run(run.pack(dsb2018_files()))
        needed = run.files[0].stat().st_size
        for path in run.files:
            path.unlink()
        fill_disk(monkeypatch, needed - (1 if where == "close" else needed // 4))
    message = run.refused(dsb2018_files(), r"images\.h5: no space left on the disk")
    assert re.search(r"about \d+\.\d MB are needed, [\d.]+ MB are free", message)
    monkeypatch.undo()
    assert len(run(run.pack(dsb2018_files()))) == 4


def test_killed_worker_is_told(run, monkeypatch):
    def killed(archive, record, threshold):
        if record.id == "p1_b":
            os._exit(9)
        return work(archive, record, threshold)

    monkeypatch.setattr("coverslip.data.ingest.work", killed)
    run.refused(dsb2018_files(), "a worker process was killed, .*more memory", processes=2)


INGEST = r"""
import re, resource, sys
from pathlib import Path
from coverslip.config.sections import Dataset, Source
from coverslip.data.ingest import ingest
source, *files = map(Path, sys.argv[1:])
options = {"title": "T", "source": Source(kind="path"), "group_by": "acquisition"}
ingest(source, Dataset(format="dsb2018", **options), *files, 2)
status = Path("/proc/self/status").read_text()  # the other way counts the parent's memory
workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print((int(re.search(r"VmHWM:\s+(\d+)", status)[1]) + 2 * workers) // 1024)
"""
"""Prints the largest memory of a process and its two workers, in megabytes."""


def test_the_bowl(run, real_data):
    scripts = str(Path(ingest.__code__.co_filename).parents[2])
    source = real_data / "dsb2018" / "stage1_train.zip"
    done = subprocess.run(
        [sys.executable, "-c", INGEST, str(source), *map(str, run.files)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": scripts},
        check=True,
    )
    assert int(done.stdout) < 1000
    table = tables.read_manifest(run.files[1])
    assert len(table) == 664
    assert table["n_objects"].sum() == 28986
    assert table["foreground"].mean() == pytest.approx(0.139, abs=5e-4)
    assert table.groupby(["height", "width"]).ngroups == 9
    assert set(table["channels"]) == {3}
    with ImageStore(run.files[0]) as store:
        found = sum(components(store.label(id) > 0, connectivity=1).max() for id in store.ids())
    assert found == 24111


def test_stacks_with_channels_and_label_files_of_other_tools(run, tmp_path, caplog):
    folder = tmp_path / "corrected"
    folder.mkdir()
    stack = microscope_files.STACK[:1]
    options = {"ome": True, "metadata": {"axes": "TZCYX", "Channel": {"Name": ["DAPI", "GFP"]}}}
    tifffile.imwrite(folder / "a.ome.tif", stack, **options)
    np.save(folder / "a.ome_seg.npy", {"masks": LABELS}, allow_pickle=True)
    microscope_files.KINDS["CZI, mosaic:.czi"][0](folder / "b.czi")
    np.save(folder / "b.czi_labels.npy", np.pad(LABELS, ((0, 20), (0, 20))))
    tifffile.imwrite(folder / "c.tif", stack[0, 0, 0] / np.float32(7))
    tifffile.imwrite(folder / "c.label.tif", LABELS.astype(np.float32))
    tifffile.imwrite(folder / "d.tif", stack[0, 0, 0])
    choice = {"channel": "GFP", "z": "max", "images": ".", "masks": "."}
    with caplog.at_level("INFO", "coverslip"):
        table = run(folder, format="paired", **choice)
    assert list(table.index) == ["a.ome", "b", "c"] and set(table["n_objects"]) == {2}
    with ImageStore(run.files[0]) as store:
        np.testing.assert_array_equal(store.image("a.ome")[:, :, 0], stack[0, :, 1].max(axis=0))
        np.testing.assert_array_equal(store.image("b"), microscope_files.MOSAIC)
        for name in table.index:
            found = store.label(name)[:20, :30]
            np.testing.assert_array_equal(found, np.minimum(LABELS, 2))
    assert "1 images without a label file are left out" in caplog.text
    assert "1 images: values were scaled to 0 to 65535" in caplog.text


LABELS = np.zeros((20, 30), np.int32)
LABELS[2:9, 3:9] = 1
LABELS[9:12, 3:9] = 5
