"""Another program as a process: what it took, and what it said where it fails."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from coverslip.errors import CoverslipError
from coverslip.files import WORKFLOW
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


INTERRUPTED = """
import sys
from pathlib import Path
from coverslip.runtime.tool_process import run_process

program = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
run_process([sys.executable, "-c", program], Path(sys.argv[1]), threads=1)
"""


def test_it_ends_with_the_job(tmp_path):
    log = tmp_path / "log"
    job = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(log)],
        env={**os.environ, "PYTHONPATH": str(WORKFLOW / "scripts")},
        stderr=subprocess.DEVNULL,
    )
    wait_until(lambda: log.is_file() and log.read_text().endswith("\n"))
    job.send_signal(signal.SIGINT)
    assert job.wait(timeout=30) != 0
    wait_until(lambda: not Path(f"/proc/{log.read_text().strip()}").exists())


def wait_until(condition, seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)
