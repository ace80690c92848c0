import os
import subprocess
import sys
import time

import pytest

from coverslip import files as module
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


def ended() -> int:
    """Number of a process that has ended."""
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


def test_two_jobs_have_parts_of_their_own(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    with atomic_write(path) as part:
        part.write_text("one")
        monkeypatch.setattr(module, "host", lambda: "elsewhere")
        with atomic_write(path) as other:
            other.write_text("two")
            assert other != part and part.read_text() == "one"
        assert path.read_text() == "two"
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_parts_of_dead_jobs_are_removed(tmp_path):
    here = module.host()
    dead, alive = ended(), os.getppid()
    gone = [f"a.keras.{here}-{dead}.part", f"a.keras.{here}-{dead}.part.keras"]
    gone.append(f"a.keras.elsewhere-{alive}.part")
    kept = [f"a.keras.{here}-{alive}.part", f"a.keras.elsewhere-{dead}.part"]
    kept += [f"b.keras.{here}-{dead}.part", "a.keras.other", "a.keras.part"]
    for name in gone + kept:
        (tmp_path / name).write_text("half")
    long_ago = time.time() - 2 * module.FORGOTTEN
    os.utime(tmp_path / gone[2], (long_ago, long_ago))
    with atomic_write(tmp_path / "a.keras") as part:
        part.write_text("whole")
    assert {path.name for path in tmp_path.iterdir()} == {*kept, "a.keras"}


def test_the_name_of_a_machine_is_short_and_plain(monkeypatch):
    for name, expected in (("gpu-01.cluster.org", "gpu01"), ("", "host"), ("x" * 80, "x" * 20)):
        monkeypatch.setattr(module.platform, "node", lambda name=name: name)
        assert module.host() == expected
