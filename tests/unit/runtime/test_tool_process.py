"""Another program as a process: what it took, and what it said where it fails."""

import sys

import pytest

from coverslip.errors import CoverslipError
from coverslip.runtime.tool_process import run_process


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def test_it_measures_time_and_memory(tmp_path):
    small = run_process(python("pass"), tmp_path / "a.log", threads=1)
    program = "import time; x = bytearray(200_000_000); time.sleep(0.2)"
    large = run_process(python(program), tmp_path / "b.log", threads=1)
    assert large.seconds >= 0.2
    assert large.cpu_seconds > 0
    assert small.peak_memory_mb < 40
    assert 200 < large.peak_memory_mb < 260


def test_a_command_for_the_shell_counts_with_what_it_starts(tmp_path):
    program = "x = bytearray(200_000_000)"
    took = run_process(f'"{sys.executable}" -c "{program}" | cat', tmp_path / "log", threads=1)
    assert took.peak_memory_mb > 190


def test_it_knows_its_threads_and_no_package_of_ours(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    program = "import os; print(os.environ['OMP_NUM_THREADS'], 'PYTHONPATH' in os.environ)"
    run_process(python(program), tmp_path / "deep/log", threads=3)
    assert (tmp_path / "deep/log").read_text().split() == ["3", "False"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (python("import sys; print('so far'); sys.exit('no such model')"), "no such model.*log"),
        (python("import sys; sys.exit(3)"), "exit status 3"),
        (python("import os; os.kill(os.getpid(), 9)"), "signal 9 .probably.* memory"),
        (["/nowhere/python"], "/nowhere/python: cannot be started"),
    ],
)
def test_its_last_line_is_the_reason(tmp_path, command, words):
    with pytest.raises(CoverslipError, match=words):
        run_process(command, tmp_path / "log", threads=1)
