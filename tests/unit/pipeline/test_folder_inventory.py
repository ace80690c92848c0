"""A folder's digest changes with names and contents, not with time stamps."""

import json
import os
import time

import pytest

from coverslip.errors import CoverslipError
from coverslip.files import read_sha256
from coverslip.pipeline import folder_inventory
from coverslip.pipeline.folder_inventory import input_contents


@pytest.fixture
def folder(tmp_path):
    data = tmp_path / "data"
    (data / "sub").mkdir(parents=True)
    (data / "a.png").write_bytes(b"a")
    (data / "sub/b.png").write_bytes(b"b")
    return data


def test_touch_is_no_change_but_content_and_names_are(folder, tmp_path):
    notes = tmp_path / "notes.json"
    first = folder_inventory.digest(folder, notes)
    os.utime(folder / "a.png", (1, 1))
    assert folder_inventory.digest(folder, notes) == first
    (folder / "a.png").write_bytes(b"x")
    second = folder_inventory.digest(folder, notes)
    assert second != first
    (folder / "sub/b.png").rename(folder / "sub/c.png")
    third = folder_inventory.digest(folder, notes)
    assert third not in (first, second)
    (folder / "a.png").write_bytes(b"a")
    (folder / "sub/c.png").rename(folder / "sub/b.png")
    assert folder_inventory.digest(folder, notes) == first


def test_only_changed_files_are_read_again(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(folder_inventory, "SETTLED", -60)
    notes = tmp_path / "notes.json"
    first = folder_inventory.digest(folder, notes)
    read = []
    monkeypatch.setattr(folder_inventory, "read_sha256", lambda path: read.append(path) or "0")
    assert folder_inventory.digest(folder, notes) == first
    assert read == []
    os.utime(folder / "a.png", (1, 1))
    folder_inventory.digest(folder, notes)
    assert read == [str(folder / "a.png")]


@pytest.mark.reliability(
    "D5",
    "an image or archive replaced by one of the same size and time stamp (`cp -p`, `rsync -t`)",
    "detected: inode and change time are compared as well",
)
def test_a_file_of_the_same_size_and_time_is_another_one(folder, tmp_path, monkeypatch):
    """`cp -p`, `rsync -t` and `unzip` keep times, and all frames of a camera have one size."""
    monkeypatch.setattr(folder_inventory, "SETTLED", -60)
    notes, path = tmp_path / "notes.json", folder / "a.png"
    first = folder_inventory.digest(folder, notes)
    before = path.stat()
    for replace in (
        lambda: path.write_bytes(b"x"),
        lambda: (folder.parent / "y").write_bytes(b"y") and (folder.parent / "y").replace(path),
    ):
        replace()
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert folder_inventory.digest(folder, notes) != first


def test_a_file_that_was_just_written_is_read_again(folder, tmp_path, monkeypatch):
    """Two versions within one tick of the clock have one state."""
    now = time.time_ns()
    monkeypatch.setattr(folder_inventory, "state_of", lambda stat: (1, 1, 1, 1, now))
    notes = tmp_path / "notes.json"
    first = folder_inventory.digest(folder, notes)
    (folder / "a.png").write_bytes(b"x")
    assert folder_inventory.digest(folder, notes) != first


def test_a_change_since_the_last_look(folder, tmp_path):
    known = folder_inventory.entries(folder, tmp_path / "notes.json")
    one, two = {"a.png": known["a.png"]}, {"sub/b.png": known["sub/b.png"]}
    assert not folder_inventory.changed(folder, "a.png", one)
    assert not folder_inventory.changed(folder, "sub", two)
    os.utime(folder / "a.png", (1, 1))
    assert not folder_inventory.changed(folder, "a.png", one), "touched"
    (folder / "a.png").write_bytes(b"x")
    assert folder_inventory.changed(folder, "a.png", one)
    (folder / "a.png").unlink()
    assert folder_inventory.changed(folder, "a.png", one)
    (folder / "sub/c.png").write_bytes(b"c")
    assert folder_inventory.changed(folder, "sub", two), "a further chunk"


def test_a_dry_run_does_not_read_a_new_folder(folder, tmp_path):
    notes = tmp_path / "notes.json"
    assert folder_inventory.digest(folder, notes, read=False) == folder_inventory.UNREAD
    assert not notes.exists()


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(CoverslipError, match="no such folder"):
        folder_inventory.digest(tmp_path / "none", tmp_path / "notes.json")


@pytest.mark.reliability(
    "D17",
    "a link to a folder among the images",
    "not followed, and named",
)
def test_links_that_lead_round_in_circles_are_not_followed(folder, tmp_path):
    notes = tmp_path / "notes.json"
    first = folder_inventory.digest(folder, notes)
    (folder / "sub/round").symlink_to(folder)
    (folder / "self").symlink_to(folder / "self")
    found = folder_inventory.contents(folder, notes)
    assert sorted(found) == ["a.png", "self", "sub/b.png", "sub/round"]
    assert found["sub/round"] == "no file" and found["self"].startswith("unreadable: ")
    assert folder_inventory.summary(found) != first
    (folder / "sub/round").unlink()
    (folder / "self").unlink()
    assert folder_inventory.digest(folder, notes) == first


def test_a_pipe_is_not_read(folder, tmp_path):
    os.mkfifo(folder / "pipe")
    assert folder_inventory.contents(folder, tmp_path / "notes.json")["pipe"] == "no file"


def test_a_linked_file_counts_by_its_content(folder, tmp_path):
    (tmp_path / "real.png").write_bytes(b"a")
    (folder / "link.png").symlink_to(tmp_path / "real.png")
    found = folder_inventory.contents(folder, tmp_path / "notes.json")
    assert found["link.png"] == found["a.png"]


def test_names_that_are_no_text(folder, tmp_path):
    first = folder_inventory.digest(folder, tmp_path / "notes.json")
    with open(os.fsencode(folder) + b"/\xff.png", "wb") as file:
        file.write(b"x")
    assert folder_inventory.digest(folder, tmp_path / "notes.json") != first


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a.png": 1}', "\xff"])
def test_damaged_notes_are_made_anew(folder, tmp_path, text):
    notes = tmp_path / "notes.json"
    first = folder_inventory.digest(folder, notes)
    notes.write_text(text, encoding="latin-1")
    assert folder_inventory.digest(folder, notes) == first


def test_a_folder_that_changed_while_it_was_read_is_refused(folder, tmp_path):
    notes = tmp_path / "notes.json"
    watched = {
        "path": str(folder),
        "notes": str(notes),
        "inventory": folder_inventory.digest(folder, notes),
    }
    folder_inventory.check_unchanged(watched)
    (folder / "late.png").write_bytes(b"late")
    with pytest.raises(CoverslipError, match="changed while they were read"):
        folder_inventory.check_unchanged(watched)


# --- An input of other contents changes a parameter, whatever its date is


def test_only_other_contents_change_the_parameter(tmp_path):
    file, record = tmp_path / "a.zip", tmp_path / "run.json"
    file.write_text("one")
    assert input_contents([str(file)], record, "contents") is None, "no results yet"
    first = {"archive": {str(file): read_sha256(file)}}
    record.write_text(json.dumps({"inputs": first, "params": {"contents": None}}))
    os.utime(file, (1, 1))
    assert input_contents([str(file)], record, "contents") is None
    file.write_text("two")
    os.utime(file, (1, 1))
    changed = input_contents([str(file)], record, "contents")
    assert changed == {str(file): read_sha256(file)}
    again = {"archive": changed}
    record.write_text(json.dumps({"inputs": again, "params": {"contents": changed}}))
    assert input_contents([str(file)], record, "contents") == changed, "nothing to do"
    file.unlink()
    assert input_contents([str(file)], record, "contents") == changed, "it is needed no more"
    record.write_text("{")
    assert input_contents([str(file)], record, "contents") is None
