"""Writing files as a whole, and their digests."""

import hashlib
import os
import subprocess
import sys

import pytest

from coverslip import files
from coverslip.files import atomic_write, write_json


def test_file_appears_at_the_end(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with atomic_write(path) as part:
        part.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_former_file_stays_on_an_error(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_write(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_keeps_its_order_and_its_letters(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"b": 1, "a": ["é", float("nan")]})
    assert path.read_bytes() == '{\n "b": 1,\n "a": [\n  "é",\n  NaN\n ]\n}\n'.encode()
    write_json(path, {"b": 1}, indent=2, allow_nan=False)
    assert path.read_bytes() == b'{\n  "b": 1\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, float("inf"), allow_nan=False)
    assert path.read_bytes() == b'{\n  "b": 1\n}\n', "the former file stays"


def test_two_jobs_have_files_of_their_own(tmp_path):
    path = tmp_path / "a.txt"
    with atomic_write(path) as part:
        part.write_text("one")
        with atomic_write(path) as other:
            other.write_text("two")
            assert other != part and part.read_text() == "one"
        assert path.read_text() == "two"
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


KILLED = """
import os, sys
from pathlib import Path
from coverslip.files import atomic_write

with atomic_write(Path(sys.argv[1])) as part:
    part.write_text("half")
    part.with_name(part.name + ".keras").write_text("half")
    os.kill(os.getpid(), 9)
"""


def test_what_killed_jobs_left_is_removed(tmp_path):
    scripts = {"PYTHONPATH": str(files.WORKFLOW / "scripts")}
    command = [sys.executable, "-c", KILLED, str(tmp_path / "a.keras")]
    subprocess.run(command, env=os.environ | scripts, check=False)
    left = [path.name for path in tmp_path.iterdir()]
    assert len(left) == 2 and all(name.startswith("a.keras.") for name in left)
    kept = ["b.keras.0123abcd.part", "a.keras.other", "a.keras.part", "a.keras.0123abc.part"]
    for name in kept:
        (tmp_path / name).write_text("half")
    with atomic_write(tmp_path / "a.keras") as part:
        part.write_text("whole")
    assert {path.name for path in tmp_path.iterdir()} == {*kept, "a.keras"}


def test_files_have_the_usual_permissions(tmp_path):
    former = os.umask(0o027)
    try:
        with atomic_write(tmp_path / "a.txt") as part:
            part.write_text("x")
    finally:
        os.umask(former)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


# --- Digests of files, kept beside their state


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


def test_a_change_of_the_same_size_and_time_is_detected(file):
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
