"""A lock that a killed run left is removed; one of a run that goes on is not."""

import subprocess
import sys

import pytest

from coverslip.errors import CoverslipError
from coverslip.runtime import lock

RUN = """
import sys
from pathlib import Path
from coverslip.runtime import lock
lock.remove_leftover(Path("."))
lock.note_machine({local}, Path("."))
Path("locks").mkdir()
print("runs", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "HELD", [])
    return tmp_path


def start(folder, local: bool = True) -> subprocess.Popen:
    """A process that runs and has Snakemake's lock."""
    run = subprocess.Popen(
        [sys.executable, "-c", RUN.format(local=local)],
        cwd=folder,
        env={"PYTHONPATH": ":".join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert run.stdout.readline() == "runs\n"
    return run


def test_only_the_lock_of_a_killed_run_is_removed(folder):
    run = start(folder)
    lock.remove_leftover(folder)
    assert (folder / "locks").exists()
    lock.HELD.pop().close()
    run.kill()
    run.communicate()
    lock.remove_leftover(folder)
    assert not (folder / "locks").exists()


@pytest.mark.parametrize("local", [True, False])
def test_the_lock_of_a_run_whose_jobs_may_go_on_elsewhere_stays(folder, monkeypatch, local):
    run = start(folder, local)
    run.kill()
    run.communicate()
    if local:
        monkeypatch.setattr("platform.node", lambda: "another")
    lock.remove_leftover(folder)
    assert (folder / "locks").exists()


def test_a_file_system_without_locks_leaves_it_to_snakemake(folder, monkeypatch):
    lock.remove_leftover(folder)
    lock.note_machine(True, folder)
    (folder / "locks").mkdir()

    def fail(file, kind):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", fail)
    lock.remove_leftover(folder)
    assert (folder / "locks").exists()


def test_results_are_written_by_one_run_at_a_time(folder):
    with lock.hold("results/page.html", folder):
        (own,) = (folder / "locks").iterdir()
        # Snakemake reads locks by these names, one path a line.
        assert own.name.split(".")[0].isdecimal() and own.name.endswith(".output.lock")
        assert own.read_text() == "results/page.html\n"
        with (
            pytest.raises(CoverslipError, match=r"page\.html: another run"),
            lock.hold("results/page.html", folder),
        ):
            pass
        own.with_name("0.input.lock").write_text("results/other.html\n")
        with lock.hold("results/third.html", folder):
            pass
    assert [path.name for path in (folder / "locks").iterdir()] == ["0.input.lock"]
