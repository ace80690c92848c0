"""Faults: in every stage, and of a whole run under Snakemake."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import reliability
import yaml
from running import ROOT, clean_environment, copy_project, jobs, snakemake

pytestmark = pytest.mark.e2e
METRICS = "results/studies/one/metrics.json"


def test_every_stage_survives_every_fault_as_the_page_says(finished, others):
    given = ["--finished", finished, "--others", others]
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks/reliability.py", *given],
        capture_output=True,
        text=True,
        env=clean_environment(),
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    page = reliability.PAGE.read_text(encoding="utf-8")
    assert reliability.written(page, done.stdout) == page, "run `make reliability`"


def wait_for(path: Path, run: subprocess.Popen, size: int = 0) -> None:
    """Wait until a running workflow has come to a file, and written so many bytes into it."""
    while not path.exists() or path.stat().st_size < size:
        assert run.poll() is None, "the run has ended too early"
        time.sleep(0.05)


def begin(clone: Path, said: Path) -> subprocess.Popen:
    """Start the workflow as a shell does: the leader of a group of processes."""
    with said.open("w") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--cores", "2", METRICS],
            cwd=clone,
            env=clean_environment(),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


@pytest.mark.reliability(
    "run",
    "a second run in the same folder",
    "it ends at once: `Directory cannot be locked`; the first run continues undisturbed",
)
@pytest.mark.reliability(
    "run",
    "power failure during training (all processes killed)",
    "the next run resumes and gives the results of an undisturbed run",
)
@pytest.mark.reliability(
    "run",
    "Ctrl-C during training",
    "one line; the next run resumes and gives the same results",
)
@pytest.mark.reliability(
    "run",
    "archive dated a day in the future",
    "no effect, and the next run does nothing",
)
@pytest.mark.reliability(
    "run",
    "archive replaced by another one with an older date",
    "detected: archives and folders of `kind: path` are compared by content",
)
@pytest.mark.reliability(
    "D18",
    "all processes killed during training, Ctrl-C, a second run at the same time, an archive "
    "dated in the future",
    "the same command continues, with the results of an undisturbed run",
)
def test_a_disturbed_run_has_the_results_of_an_undisturbed_one(finished, tmp_path):
    """A clock that is a day behind, a second run at once, a power cut and Ctrl-C in training."""
    clone = copy_project(tmp_path / "clone", finished)
    shutil.copyfile(finished / "results/raw/made.zip", clone / "made.zip")
    later = time.time() + 86400
    os.utime(clone / "made.zip", (later, later))
    file = clone / "config/config.yaml"
    config = yaml.safe_load(file.read_text())
    config["datasets"]["made"]["source"] = {"kind": "path", "path": "made.zip"}
    config["datasets"].pop("own"), config["studies"].pop("two")
    file.write_text(yaml.safe_dump(config, sort_keys=False))

    said = tmp_path / "said"
    run = begin(clone, said)
    try:
        log = clone / "results/logs/train/one_fold0_seed1.log"
        wait_for(log, run)
        # Held where it is, however long the second run takes to come to the lock.
        os.killpg(run.pid, signal.SIGSTOP)
        assert "Directory cannot be locked" in snakemake(clone, METRICS, check=False)
        os.killpg(run.pid, signal.SIGCONT)
        wait_for(log, run, size=1)
        assert run.poll() is None
    finally:
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
    assert (clone / ".snakemake/locks").exists() and not (clone / METRICS).exists()

    log.unlink()
    run = begin(clone, said)
    try:
        wait_for(log, run, size=1)
        os.killpg(run.pid, signal.SIGINT)
        assert run.wait(60) == 1
    finally:
        run.kill()
    told = said.read_text()
    assert told.endswith("coverslip: stopping; run the same command again to continue\n")
    assert "Traceback" not in told
    snakemake(clone, METRICS)

    made = [p for p in sorted(clone.glob("results/**/*")) if p.is_file()]
    made = [p for p in made if not {"logs", "benchmarks"} & set(p.parts)]
    made = [p for p in made if not p.name.endswith("run.json")]
    assert {"metrics.json", "images.csv", "0.h5", "split.csv"} <= {p.name for p in made}
    found = {p.name: reliability.difference(p, finished / p.relative_to(clone)) for p in made}
    assert {name for name, kind in found.items() if kind} <= {"model.keras", "history.csv"}
    assert "other" not in found.values(), found
    assert jobs(clone, METRICS) == {}

    # Snakemake looks only for newer time stamps; this archive has an older one.
    shutil.copyfile(finished / "results/studies/two/metrics.json", clone / "other.zip")
    os.utime(clone / "other.zip", (1, 1))
    (clone / "other.zip").replace(clone / "made.zip")
    assert jobs(clone, METRICS)["ingest"] == 1
