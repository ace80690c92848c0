"""A folder's digest changes with names and contents, not with time stamps."""

import os

import pytest

from coverslip.data import folder_inventory
from coverslip.errors import CoverslipError


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
    notes = tmp_path / "notes.json"
    first = folder_inventory.digest(folder, notes)
    read = []
    monkeypatch.setattr(folder_inventory, "read_sha256", lambda path: read.append(path) or "0")
    assert folder_inventory.digest(folder, notes) == first
    assert read == []
    os.utime(folder / "a.png", (1, 1))
    folder_inventory.digest(folder, notes)
    assert read == [str(folder / "a.png")]


def test_a_dry_run_does_not_read_a_new_folder(folder, tmp_path):
    notes = tmp_path / "notes.json"
    assert folder_inventory.digest(folder, notes, read=False) == folder_inventory.UNREAD
    assert not notes.exists()


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(CoverslipError, match="no such folder"):
        folder_inventory.digest(tmp_path / "none", tmp_path / "notes.json")


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


def test_one_file_is_watched_by_its_content(tmp_path):
    archive, notes = tmp_path / "a.zip", tmp_path / "notes.json"
    archive.write_bytes(b"1")
    assert folder_inventory.of_file(archive, notes, read=False) == folder_inventory.UNREAD
    first = folder_inventory.of_file(archive, notes)
    assert folder_inventory.of_file(archive, notes, read=False) == first
    os.utime(archive, (5, 5))
    assert folder_inventory.of_file(archive, notes) == first, "touched"
    other = tmp_path / "b.zip"
    other.write_bytes(b"2")
    os.utime(other, (1, 1))
    other.replace(archive)
    assert folder_inventory.of_file(archive, notes) != first, "replaced by an older one"


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
