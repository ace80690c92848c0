"""Digests of files, kept beside their state."""

import hashlib
import os

import pytest

from coverslip import files


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A file that counts as large and as changed long ago; its notes are kept here."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "LARGE", 1)
    monkeypatch.setattr(files, "SETTLED", -10.0)
    path = tmp_path / "images.h5"
    path.write_bytes(b"one")
    return path


def plain(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def notes():
    return list(files.NOTES.iterdir()) if files.NOTES.exists() else []


def test_a_large_file_is_read_once(file, monkeypatch):
    assert files.sha256(file) == plain(file)
    assert len(notes()) == 1
    monkeypatch.setattr(files.hashlib, "file_digest", None)
    assert files.sha256(file) == plain(file)


def test_a_file_is_read_whatever_is_known_of_it(file):
    file.write_bytes(b"abc")
    files.sha256(file)
    assert files.read_sha256(file).startswith("ba7816bf8f01cfea")
    for note in notes():
        note.write_text(note.read_text().replace("ba7816bf8f01cfea", 16 * "0"))
    assert files.sha256(file).startswith(16 * "0")
    assert files.read_sha256(file).startswith("ba7816bf8f01cfea")


def test_a_change_is_seen_though_size_and_time_stamp_are_the_same(file):
    files.sha256(file)
    before = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert files.sha256(file) == plain(file)


def test_a_replaced_file_with_an_older_time_stamp_is_seen(file, tmp_path):
    files.sha256(file)
    other = tmp_path / "other"
    other.write_bytes(b"two")
    os.utime(other, (1, 1))
    other.replace(file)
    assert files.sha256(file) == plain(file)


@pytest.mark.parametrize("damage", [b"", b"[]x", b'{"state": 1}'])
def test_a_damaged_note_is_not_believed(file, damage):
    files.sha256(file)
    notes()[0].write_bytes(damage)
    assert files.sha256(file) == plain(file)


def test_small_and_fresh_files_leave_no_note(file, monkeypatch):
    monkeypatch.setattr(files, "SETTLED", 60.0)
    files.sha256(file)
    monkeypatch.setattr(files, "SETTLED", -10.0)
    monkeypatch.setattr(files, "LARGE", 4)
    files.sha256(file)
    assert notes() == []


def test_notes_that_cannot_be_kept_are_done_without(file, tmp_path):
    (tmp_path / ".snakemake").write_text("in the way")
    assert files.sha256(file) == plain(file)


def test_state_of_what_is_no_file(tmp_path):
    assert files.state(tmp_path) is None and files.state(tmp_path / "none") is None
