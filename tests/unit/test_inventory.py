"""A folder's digest changes with names and contents, not with time stamps."""

import os

import pytest

from coverslip import inventory
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
    first = inventory.digest(folder, notes)
    os.utime(folder / "a.png", (1, 1))
    assert inventory.digest(folder, notes) == first
    (folder / "a.png").write_bytes(b"x")
    second = inventory.digest(folder, notes)
    assert second != first
    (folder / "sub/b.png").rename(folder / "sub/c.png")
    third = inventory.digest(folder, notes)
    assert third not in (first, second)
    (folder / "a.png").write_bytes(b"a")
    (folder / "sub/c.png").rename(folder / "sub/b.png")
    assert inventory.digest(folder, notes) == first


def test_only_changed_files_are_read_again(folder, tmp_path, monkeypatch):
    notes = tmp_path / "notes.json"
    first = inventory.digest(folder, notes)
    read = []
    monkeypatch.setattr(inventory, "_sha256", lambda path: read.append(path) or "0")
    assert inventory.digest(folder, notes) == first
    assert read == []
    os.utime(folder / "a.png", (1, 1))
    inventory.digest(folder, notes)
    assert read == [str(folder / "a.png")]


def test_a_dry_run_does_not_read_a_new_folder(folder, tmp_path):
    notes = tmp_path / "notes.json"
    assert inventory.digest(folder, notes, read=False) == inventory.UNREAD
    assert not notes.exists()


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(CoverslipError, match="no such folder"):
        inventory.digest(tmp_path / "none", tmp_path / "notes.json")
