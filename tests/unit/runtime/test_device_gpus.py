"""Jobs side by side take different GPUs; what a scheduler named is kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from coverslip.runtime import device

JOB = """
import sys
from pathlib import Path
from coverslip.runtime import device
print(device.claim_gpu(Path(sys.argv[1]), Path(sys.argv[2])), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Folders of the devices of a machine with two GPUs, and of lock files."""
    monkeypatch.delenv(device.VARIABLE, raising=False)
    monkeypatch.setattr(device, "HELD", [])
    devices, locks = tmp_path / "dev", tmp_path / "locks"
    devices.mkdir(), locks.mkdir()
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null"):
        (devices / name).touch()
    return devices, locks


@pytest.fixture
def start(machine):
    """Start another job; its process tells its GPU in its first line."""
    started = []

    def job(**environment: str) -> tuple[subprocess.Popen, str]:
        scripts = Path(device.__file__).resolve().parents[2]
        process = subprocess.Popen(
            [sys.executable, "-c", JOB, *map(str, machine)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environment | {"PYTHONPATH": str(scripts)},
        )
        started.append(process)
        return process, process.stdout.readline().strip()

    yield job
    for process in started:
        process.kill()
        process.communicate()


def test_jobs_side_by_side_take_different_gpus(start, machine, monkeypatch):
    first, taken = start()
    assert taken == "0" and start()[1] == "1"
    assert start()[1] == "None", "all are taken: nothing is hidden"
    first.kill()
    first.wait()
    assert device.claim_gpu(*machine) == "0", "a job that was killed holds nothing"
    assert os.environ[device.VARIABLE] == "0"
    assert device.claim_gpu(*machine) is None, "a process takes one"


@pytest.mark.parametrize(
    ("stated", "taken"), [("5,7", "5"), ("3", None), ("", None), ("GPU-8a, GPU-9b", "GPU-8a")]
)
def test_what_is_visible_is_chosen_from(machine, monkeypatch, stated, taken):
    monkeypatch.setenv(device.VARIABLE, stated)
    assert device.claim_gpu(*machine) == taken
    assert os.environ[device.VARIABLE] == (taken or stated)


@pytest.mark.parametrize("there", [[], ["nvidia0"]])
def test_with_one_gpu_or_none_nothing_is_done(machine, there):
    devices, locks = machine
    for name in {"nvidia0", "nvidia1"} - set(there):
        (devices / name).unlink()
    assert device.claim_gpu(devices, locks) is None
    assert device.VARIABLE not in os.environ and list(locks.iterdir()) == []


def test_gpus_that_a_scheduler_hides_are_not_visible(machine, monkeypatch):
    assert device.visible_gpus(machine[0]) == ["0", "1"]
    monkeypatch.setenv(device.VARIABLE, "")
    assert device.visible_gpus(machine[0]) == []
