"""Seconds that SLURM and Snakemake add to a job: `python benchmarks/slurm_overhead.py`.

Starts the cluster of the tests and sends one small job (synthetic images) three times, with the
plugin asking twice a second, and once as the profile has it.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/slurm")]

import cluster as slurm
from running import copy_project
from sbatch_lines import PROFILE

TARGET = "results/raw/synthetic-nuclei.zip"
RECORD = "results/raw/synthetic-nuclei.run.json"
ASKING = {
    "asked twice a second": [str(ROOT / "tests/slurm/snakemake_for_tests.py")],
    "as in the profile": ["-m", "snakemake"],
}


def main() -> None:
    """Print a line a run: seconds of the parts of a job's life."""
    reason = slurm.missing()
    if reason:
        sys.exit(reason)
    with tempfile.TemporaryDirectory(prefix="coverslip-slurm-") as name:
        project = copy_project(Path(name) / "project", ROOT)
        config = project / "config/config.yaml"
        settings = yaml.safe_load(config.read_text())
        settings["datasets"]["synthetic-nuclei"]["source"] |= {"images": 8, "size": 64}
        config.write_text(yaml.safe_dump(settings))
        place = Path(name) / "slurm"
        place.mkdir()
        with slurm.Cluster(place) as cluster:
            print(f"cluster: {cluster.seconds:.1f} s to start")
            for asking, count in (("asked twice a second", 3), ("as in the profile", 1)):
                for _ in range(count):
                    print(f"{asking}: {told(cluster, project, ASKING[asking])}")


def told(cluster: slurm.Cluster, project: Path, snakemake: list[str]) -> str:
    """Run one job; return its seconds in words."""
    (project / TARGET).unlink(missing_ok=True)
    started = time.time()
    subprocess.run(
        [sys.executable, *snakemake, *PROFILE, TARGET],
        cwd=project,
        check=True,
        capture_output=True,
        env=cluster.environment,
    )
    ended = time.time()
    last = cluster.ask("scontrol", "show", "jobs", "--oneliner").strip().splitlines()[-1]
    submit, start, end = (
        datetime.fromisoformat(re.search(rf" {key}Time=(\S+)", last)[1]).timestamp()
        for key in ("Submit", "Start", "End")
    )
    work = json.loads((project / RECORD).read_text())["seconds"]
    return (
        f"until sent {submit - started:.0f} s, in the queue {start - submit:.0f} s, "
        f"work {work:.1f} s, around it in the job {end - start - work:.1f} s, "
        f"until Snakemake ended {ended - end:.0f} s, in all {ended - started:.0f} s"
    )


if __name__ == "__main__":
    main()
