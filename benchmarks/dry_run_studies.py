"""Seconds of a dry run of many trainings: `python benchmarks/dry_run_studies.py`.

Five studies of five folds and three seeds, under the profile for SLURM, in a bare clone.
"""

import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from running import copy_project, jobs

STUDIES, FOLDS, SEEDS = 5, 5, 3


def main() -> None:
    """Print one line: jobs, those with a GPU, seconds of three dry runs, peak memory."""
    with tempfile.TemporaryDirectory() as name:
        project = copy_project(Path(name) / "project", ROOT)
        config = yaml.safe_load((project / "config/config.yaml").read_text())
        study = config["studies"].pop("nuclei")
        study |= {"split": {"folds": FOLDS}, "seeds": list(range(1, SEEDS + 1))}
        config["studies"] = {f"nuclei-{number}": study for number in range(STUDIES)}
        (project / "config/config.yaml").write_text(yaml.safe_dump(config))
        seconds = []
        for _ in range(3):
            start, before = time.perf_counter(), os.times()
            counts = jobs(project, "--workflow-profile", "workflow/profiles/slurm")
            cpu = sum(os.times()[2:4]) - sum(before[2:4])
            seconds.append((time.perf_counter() - start, cpu))
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    told = ", ".join(f"{wall:.1f} s ({cpu:.1f} s of CPU)" for wall, cpu in seconds)
    gpu = counts["train"] + counts["predict"]
    print(f"{sum(counts.values())} jobs, {gpu} with a GPU: {told}; peak memory {memory:.0f} MB")


if __name__ == "__main__":
    main()
