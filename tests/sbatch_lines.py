"""The `sbatch` line of every job that a dry run would send, without a cluster.

`lines` starts this file as a program: a dry run whose executor, instead of doing nothing, makes
each job's line with the functions of the SLURM plugin itself.
"""

import inspect
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from running import clean_environment

PROFILE = ["--workflow-profile", "workflow/profiles/slurm"]
MARK = "sbatch-line: "
SNAKEMAKE = {"_cores", "_nodes", "tmpdir", "mem", "mem_mib", "disk", "disk_mb", "disk_mib"}
"""Resources that Snakemake itself adds or understands."""


class Line(NamedTuple):
    """What would be sent for a job."""

    rule: str
    local: bool
    """Whether the job runs where Snakemake runs, so that nothing is sent."""
    resources: dict[str, Any]
    words: list[str]
    """The command, `sbatch` first."""
    again: list[str]
    """The command of the job's third attempt."""
    wave: int
    """Jobs of one wave could all run at the same time."""

    def value(self, *names: str) -> str | None:
        """Value of an option by its long or short name."""
        return option(self.words, *names)


def option(words: list[str], *names: str) -> str | None:
    """Value of an option of a command by its long or short name."""
    for name in names:
        for word, following in zip(words, [*words[1:], ""], strict=False):
            if word == name:
                return following
            if word.startswith(f"{name}="):
                return word.split("=", 1)[1]
    return None


def lines(where: Path, *arguments: str, partitions: str = "") -> list[Line]:
    """Lines of all jobs of a dry run in a folder.

    Args:
        where: a copy of the project.
        arguments: for Snakemake; `PROFILE` is to be among them.
        partitions: file of the cluster's partitions.
    """
    told = {"SBATCH_PARTITIONS": partitions}
    done = subprocess.run(
        # As many cores as can be: those of a cluster do not bound the threads of a job.
        [sys.executable, str(Path(__file__).resolve()), "--dry-run", "--cores", "999", *arguments],
        cwd=where,
        capture_output=True,
        text=True,
        env=clean_environment() | told,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    marked = [line for line in done.stdout.splitlines() if line.startswith(MARK)]
    return [Line(**json.loads(line.removeprefix(MARK))) for line in marked]


def ignored(resources: dict[str, Any]) -> set[str]:
    """Names of resources that nobody reads: neither Snakemake nor the plugin."""
    return set(resources) - SNAKEMAKE - heeded()


def heeded() -> set[str]:
    """Names of resources that the plugin reads when it sends a job, from its own source."""
    from snakemake_executor_plugin_slurm import Executor, submit_string
    from snakemake_executor_plugin_slurm.utils import set_gres_string
    from snakemake_executor_plugin_slurm_jobstep import get_cpu_setting

    makers = (submit_string, set_gres_string, get_cpu_setting)
    makers += (Executor.get_account_arg, Executor.get_partition_arg)
    source = "".join(map(inspect.getsource, makers))
    called = re.findall(r"resources\.get\(\s*[\"'](\w+)", source)
    return {*called, *re.findall(r"resources\.(\w+)", source)} - {"get"}


def _made(job: Any, partitions: Path | None) -> dict[str, Any]:
    # In a dry run `job.is_local` holds for all.
    local = job.rule.norun or job.rule.name in job.rule.workflow._localrules
    made = {"rule": job.rule.name, "local": local, "words": [], "again": []}
    for key, attempt in (("again", 3), ("words", 1)):
        job.attempt = attempt
        job.reset_params_and_resources()
        made[key] = [] if local else shlex.split(_command(job, partitions))
    return made | {"resources": {key: value for key, value in job.resources.items()}}


def _command(job: Any, partitions: Path | None) -> str:
    import snakemake_executor_plugin_slurm as plugin
    from snakemake_executor_plugin_slurm.partitions import read_partition_file
    from snakemake_executor_plugin_slurm.submit_string import get_submit_command
    from snakemake_executor_plugin_slurm.utils import set_gres_string

    plugin.validate_account = lambda account, logger: account  # there is no cluster to ask
    executor = SimpleNamespace(
        logger=SimpleNamespace(**dict.fromkeys(("info", "debug", "warning"), print)),
        _fallback_account_arg="",
        _fallback_partition="",
        _partitions=read_partition_file(partitions) if partitions else None,
    )
    params = {
        "run_uuid": "run",
        "slurm_logfile": "job.log",
        "comment_str": f"rule_{job.name}",
        "account": next(plugin.Executor.get_account_arg(executor, job)),
        "partition": plugin.Executor.get_partition_arg(executor, job),
        "workdir": ".",
    }
    return get_submit_command(job, params) + set_gres_string(job)


def main(arguments: list[str]) -> None:
    """Run Snakemake with a dry run that prints lines."""
    from snakemake.cli import main as snakemake
    from snakemake.executors import dryrun

    partitions = os.environ["SBATCH_PARTITIONS"]
    usual, wave = dryrun.Executor.run_jobs, itertools.count()

    def run_jobs(self: Any, jobs: Any) -> None:
        jobs, number = list(jobs), next(wave)
        for job in jobs:
            made = _made(job, Path(partitions) if partitions else None)
            print(MARK + json.dumps(made | {"wave": number}, default=str), flush=True)
        usual(self, jobs)

    dryrun.Executor.run_jobs = run_jobs
    snakemake(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
