"""The embedded default, cut small, on a real SLURM cluster, with everything that goes wrong there.

One run shows all: on its way a job dies for want of memory, one is cancelled from outside, and the
training is told to end (SIGTERM) and then runs into its time limit.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import cluster as slurm
import h5py
import numpy as np
import pandas as pd
import pytest
import sbatch_lines
import yaml
from running import copy_project, jobs, snakemake

from coverslip.training import checkpoint

pytestmark = pytest.mark.e2e
RUN = "results/studies/nuclei/fold0_seed1"
METRICS = "results/studies/nuclei/metrics.json"
TRAIN_LOG = Path("results/logs/train/nuclei_fold0_seed1.log")
TOO_LITTLE_MB = 200
"""Snakemake in the job takes more than half of it, so that no step of ours fits in as well."""
LONGEST = 1200.0
"""Seconds after which a run is given up; on two idle cores it takes less than a fifth of them."""
ONE_THREAD = ["--set-threads", "ingest=1", "train=1", "predict=1"]


class Campaign(NamedTuple):
    """A run that came to its end."""

    project: Path
    plan: list[sbatch_lines.Line]
    jobs: list[slurm.Job]
    text: str

    def of(self, rule: str) -> list[slurm.Job]:
        """Jobs of a rule in the order they were sent."""
        return [job for job in self.jobs if job.rule == rule]


def small(where: Path) -> Path:
    """A copy of the project whose embedded default, with its first study alone, takes seconds."""
    project = copy_project(where)
    file = project / "config/config.yaml"
    config = yaml.safe_load(file.read_text())
    study, dataset = config["studies"]["nuclei"], config["datasets"]["synthetic-nuclei"]
    del config["images"]
    config["studies"], config["datasets"] = {"nuclei": study}, {"synthetic-nuclei": dataset}
    dataset["source"] |= {"images": 40, "size": 64}
    study["preprocessing"]["patch"] = 32
    study["network"] |= {"filters": 4, "depth": 2}
    study["training"]["epochs"] = 40
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    return project


@pytest.fixture(scope="module")
def campaign(cluster, tmp_path_factory) -> Iterator[Campaign]:
    """The run on the cluster."""
    project = small(tmp_path_factory.mktemp("cluster") / "project")
    rules = project / "workflow/rules/data.smk"
    before, rest = rules.read_text().split("rule group_images:")
    little = f"    resources:\n        mem_mb=scale_with_attempt({TOO_LITTLE_MB}),\n    params:\n"
    assert "    params:\n" in rest
    rest = rest.replace("    params:\n", little, 1)
    rules.write_text(f"{before}rule group_images:{rest}")
    plan = sbatch_lines.lines(project, *sbatch_lines.PROFILE, *ONE_THREAD)
    started = time.monotonic()
    with open(project / "told.txt", "w+") as told:
        process = subprocess.Popen(
            [
                sys.executable,
                str(Path(__file__).with_name("snakemake_for_tests.py")),
                *sbatch_lines.PROFILE,
                *ONE_THREAD,
            ],
            cwd=project,
            stdout=told,
            stderr=told,
            env=cluster.environment,
        )
        try:
            meddle(cluster, project, process)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)  # Snakemake then cancels its jobs
                process.wait(60)
        told.seek(0)
        text = told.read()
    seconds = time.monotonic() - started
    assert process.returncode == 0, f"{text[-6000:]}\n{cluster.jobs()}\n{cluster.told()}"
    sent = cluster.jobs()
    print(f"cluster: {cluster.seconds:.1f} s to start; {len(sent)} jobs in {seconds:.0f} s")
    yield Campaign(project, plan, sent, text)


def meddle(cluster: slurm.Cluster, project: Path, process: subprocess.Popen) -> None:
    """Do to the jobs what happens on clusters, until the run ends."""
    deadline = time.monotonic() + LONGEST
    cancelled = terminated = limited = False
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.3)
        known = cluster.jobs()
        prepare = [job for job in known if job.rule == "extract_patches"]
        train = [job for job in known if job.rule == "train"]
        if prepare and not cancelled:
            cluster.ask("scancel", str(prepare[0].id))
            cancelled = True
        epochs = [int(epoch) for epoch in re.findall(r"^epoch (\d+)/", log(project), re.MULTILINE)]
        if not epochs or not train or train[-1].state != "RUNNING":
            continue
        if len(train) == 1 and not terminated:
            cluster.ask("scancel", "--signal=TERM", str(train[0].id))
            terminated = True
        elif len(train) == 2 and epochs[0] > 1 and not limited:
            # SLURM looks at time limits every 30 seconds: hold the training, so that it is not
            # done before, however fast the machine.
            os.kill(training_process(project), signal.SIGSTOP)
            cluster.ask("scontrol", "update", f"JobId={train[1].id}", "EndTime=now")
            limited = True


def log(project: Path) -> str:
    """The log of the attempt of the training that runs."""
    file = project / TRAIN_LOG
    return file.read_text() if file.exists() else ""


def training_process(project: Path) -> int:
    """Number of the process that trains."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
            if command[1].endswith(b"train.py") and (process / "cwd").resolve() == project:
                return int(process.name)
        except (OSError, IndexError):
            continue
    raise AssertionError("no process trains")


@pytest.fixture(scope="module")
def local(campaign, tmp_path_factory) -> Path:
    """The same study without a cluster, undisturbed, up to its metrics."""
    project = small(tmp_path_factory.mktemp("local") / "project")
    snakemake(project, METRICS, *ONE_THREAD)
    return project


def test_every_rule_that_is_not_local_goes_through_sbatch(campaign):
    planned = {line.rule for line in campaign.plan if not line.local}
    assert {"ingest", "train", "predict", "evaluate"} < planned
    assert {job.rule for job in campaign.jobs} == planned
    ended = {rule: campaign.of(rule)[-1].state for rule in planned}
    assert set(ended.values()) == {"COMPLETED"}, ended


def test_the_controller_was_asked_for_what_the_rules_ask_for(campaign):
    for line in campaign.plan:
        if not line.local:
            first = campaign.of(line.rule)[0]
            asked = (first.memory_mb, first.cpus)
            assert asked == (line.resources["mem_mb"], line.resources["_cores"]), line.rule
            if first.rule != "train":  # its limit was cut by the test
                assert first.minutes == line.resources["runtime"], line.rule


def test_gpu_jobs_ask_for_one_gpu_and_others_for_none(campaign):
    found = {job.rule: job.gpus for job in campaign.jobs}
    gpu = {rule for rule, asked in found.items() if asked == "gres:gpu:1"}
    assert gpu == {"train", "predict"}
    assert {asked for rule, asked in found.items() if rule not in gpu} == {""}


def test_a_job_that_died_for_memory_comes_back_with_more(campaign):
    tries = campaign.of("group_images")
    assert len(tries) > 1 and tries[0].state == "FAILED"
    assert [job.memory_mb for job in tries] == [TOO_LITTLE_MB * n for n in (1, 2, 3)][: len(tries)]
    told = campaign.project.glob(".snakemake/slurm_logs/rule_group_images/*/*.log")
    assert any("exceeded memory limit" in file.read_text() for file in told)


def test_a_job_that_was_cancelled_from_outside_is_sent_again(campaign):
    assert [job.state for job in campaign.of("extract_patches")] == ["CANCELLED", "COMPLETED"]


def test_a_training_killed_twice_resumes_at_its_last_epoch(campaign):
    assert [job.state for job in campaign.of("train")] == ["FAILED", "TIMEOUT", "COMPLETED"]
    record = json.loads((campaign.project / RUN / "model/run.json").read_text())
    assert record["training"]["epochs"] == 40
    assert record["training"]["resumed_after_epoch"] >= 2
    state_of_trainings = campaign.project / "results/state"
    assert not list(state_of_trainings.glob(f"*/{checkpoint.FILE}")), "the state is not removed"


def test_results_equal_those_without_a_cluster(campaign, local):
    for file in (METRICS, "results/studies/nuclei/images.csv", f"{RUN}/predictions/0.h5"):
        assert (campaign.project / file).read_bytes() == (local / file).read_bytes(), file
    histories = [
        pd.read_csv(where / RUN / "model/history.csv") for where in (campaign.project, local)
    ]
    for history in histories:
        del history["seconds"]
    pd.testing.assert_frame_equal(*histories, check_exact=True)
    with h5py.File(campaign.project / f"{RUN}/predictions/0.h5") as file:
        probabilities = np.concatenate([data[...].ravel() for data in file["probability"].values()])
    assert np.ptp(probabilities) > 0.2, "equal, but of a network that has learned nothing"


def test_what_a_cluster_made_is_not_made_again_without_it(campaign):
    assert jobs(campaign.project) == {}
    assert (campaign.project / "results/report.html").is_file()
