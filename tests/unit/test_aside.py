import os
import subprocess
import sys

import pytest

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
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a.keras")], check=False)
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
