r"""A search beside Ray Tune's ASHA: `python benchmarks/search.py DATA [options]`.

DATA is a folder of labelled patches (train.csv and train/, study 3), of which `--images` are
taken. Both sides get the same patches, split, network, training seed, space (the published one of
study 3: learning rate 1e-4 to 1e-1 log-uniform, batch size 2, 4, 8, 16) and budget of epochs, one
CPU thread a trial and `--jobs` trials at a time; each runs `--repeats` times with each of `--seeds`
(of the trials that are drawn and of the weights at the start). Ray runs in an environment of its
own, which is named by `--ray`:

    uv venv /tmp/ray --python 3.11
    uv pip install --no-config --python /tmp/ray/bin/python --require-hashes \
        -r benchmarks/requirements-ray.txt

Printed: best validation accuracy (at the epoch with the lowest validation loss), epochs, wall time,
CPU time (user and system, of all processes; one that lives less than a second may be missed),
and whether the runs of a side gave one table.
"""

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "workflow" / "scripts")]

from running import clean_environment, copy_project

from coverslip.config import search_space, validate

MARK = "COVERSLIP_BENCHMARK"
SPACE = {
    "training.learning_rate": {"low": 1.0e-4, "high": 1.0e-1, "log": True},
    "training.batch_size": {"choices": [2, 4, 8, 16]},
}


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--ray", type=Path, help="Python of the environment with Ray")
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--size", type=int, default=48, help="side of the network's input")
    parser.add_argument("--filters", type=int, default=8)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--epochs-first", type=int, default=2)
    parser.add_argument("--epochs-last", type=int, default=8)
    parser.add_argument("--eta", type=int, default=4)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    return parser.parse_args()


def config(options: argparse.Namespace, seed: int) -> dict:
    """A study of the patches with a search."""
    search = {
        "space": SPACE,
        "n_trials": options.trials,
        "min_epochs": options.min_epochs,
        "max_epochs": options.max_epochs,
        "reduction_factor": options.eta,
        "metric": "accuracy",
        "seed": seed,
    }
    study = {
        "title": "Nucleus types",
        "dataset": "patches",
        "task": "classification",
        "split": {"method": "random", "test": 0.1, "validation": 0.3, "stratify": "class"},
        "preprocessing": {"input_scaling": "zscore", "resize": [options.size, options.size]},
        "network": {"filters": options.filters, "depth": 3, "normalization": "batch"},
        "training": {"epochs": max(options.max_epochs, 20), "restore_best": True},
        "search": search,
    }
    source = {"kind": "path", "path": "data"}
    dataset = {"title": "Patches", "source": source, "format": "labelled_csv"}
    return {"datasets": {"patches": dataset}, "studies": {"types": study}}


def take(data: Path, count: int, folder: Path) -> None:
    """Copy the first labelled patches and their labels, evenly over the table."""
    rows = list(csv.DictReader((data / "train.csv").open(encoding="utf-8")))
    rows = rows[:: max(len(rows) // count, 1)][:count]
    (folder / "train").mkdir(parents=True)
    for row in rows:
        shutil.copy(data / "train" / row["Filename"], folder / "train")
    pd.DataFrame(rows).to_csv(folder / "train.csv", index=False)


class CpuTime:
    """CPU seconds of all processes with a mark in their environment, looked at twice a second."""

    def __init__(self, mark: str):
        self._mark = f"{MARK}={mark}".encode()
        self._seconds: dict[str, float] = {}
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """The sum until now."""
        self._done.set()
        self._thread.join()
        return sum(self._seconds.values())

    def _watch(self) -> None:
        while not self._done.wait(0.5):
            self._look()

    def _look(self) -> None:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if self._mark not in (process / "environ").read_bytes().split(b"\0"):
                    continue
                fields = (process / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            # A process is known by its number and its start, since numbers come again.
            ticks = int(fields[11]) + int(fields[12])
            self._seconds[f"{process.name} {fields[19]}"] = ticks / os.sysconf("SC_CLK_TCK")


def measured(command: list[str], where: Path, **variables: str) -> dict[str, float]:
    """Run a command; give wall and CPU seconds."""
    mark = uuid.uuid4().hex
    watch, started = CpuTime(mark), time.monotonic()
    done = subprocess.run(
        command,
        cwd=where,
        env=clean_environment() | variables | {MARK: mark},
        capture_output=True,
        text=True,
    )
    wall = time.monotonic() - started
    cpu = watch.stop()
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return {"wall": wall, "cpu": cpu}


def snakemake(jobs: int, *targets: str) -> list[str]:
    """A command that runs so many trials at a time, one thread each."""
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--cores",
        str(jobs),
        "--resources",
        f"gpu={jobs}",
    ]
    return [*command, "--set-threads", "trial=1", "--", *targets]


def ours(project: Path, options: argparse.Namespace) -> tuple[dict[str, float], list]:
    """Search from the patches on, with nothing left of a former run."""
    for rest in ("results/state/search", "results/studies/types/search"):
        shutil.rmtree(project / rest, ignore_errors=True)
    target = "results/studies/types/search/search.json"
    seconds = measured(snakemake(options.jobs, target), project)
    table = pd.read_csv(project / "results/studies/types/search/trials.csv")
    return seconds, table.drop(columns="minutes").to_dict("records")


def asha(
    project: Path, options: argparse.Namespace, task: dict, scratch: Path
) -> tuple[dict[str, float], list]:
    """The same by Ray Tune."""
    task = task | {"storage": str(scratch / "ray")}
    (scratch / "task.json").write_text(json.dumps(task), encoding="utf-8")
    script = str(ROOT / "benchmarks" / "search_asha.py")
    # Ray keeps its own files where it is told.
    variables = {"RAY_TMPDIR": str(scratch), "RAY_USAGE_STATS_ENABLED": "0"}
    # On a busy machine its daemons take longer to start than it would wait for them.
    variables |= {
        "RAY_raylet_start_wait_time_s": "300",
        "RAY_gcs_server_request_timeout_seconds": "300",
    }
    variables |= {"RAY_AIR_NEW_OUTPUT": "0"}
    command = [str(options.ray), script, str(scratch / "task.json"), str(scratch / "rows.json")]
    seconds = measured(command, project, **variables)
    shutil.rmtree(scratch / "ray", ignore_errors=True)
    return seconds, json.loads((scratch / "rows.json").read_text(encoding="utf-8"))


def tell(name: str, seconds: dict[str, float], rows: list, best: float, epochs: int) -> None:
    """Print what a run came to."""
    print(
        f"{name:12s} best accuracy {best:.4f}  trials {len(rows):3d}  epochs {epochs:4d}  "
        f"wall {seconds['wall']:6.0f} s  CPU {seconds['cpu']:6.0f} s",
        flush=True,
    )


def repeated(name: str, repeats: int, run: Callable[[], tuple[dict[str, float], list]]) -> None:
    """Run a side so many times and print what came of it."""
    tables = []
    for _ in range(repeats):
        seconds, rows = run()
        best = max(row["score"] for row in rows if row["score"] == row["score"])
        tell(name, seconds, rows, best, sum(row["epochs"] for row in rows))
        tables.append(json.dumps(rows))
    if repeats > 1:
        print(f"{'':12s} one table in all runs: {len(set(tables)) == 1}", flush=True)


def compare(project: Path, options: argparse.Namespace, seed: int, scratch: Path) -> None:
    """Run both sides with one seed."""
    written = config(options, seed)
    (project / "config/config.yaml").write_text(yaml.safe_dump(written, sort_keys=False))
    home = "results/studies/types"
    patches = [f"{home}/patches/0/index.csv", f"{home}/split.csv"]
    measured(snakemake(options.jobs, *patches), project)
    study = validate.resolve(written, ROOT / "workflow/schemas/config.schema.json")["studies"]
    search = study["types"]["search"]
    steps, counts = search_space.rung_epochs(search), search_space.rung_sizes(search)
    rises = [step - former for step, former in zip(steps, [0, *steps], strict=False)]
    budget = sum(rise * count for rise, count in zip(rises, counts, strict=True))
    print(
        f"seed {seed}, rungs: {counts} trials to epochs {steps}; budget: {budget} epochs",
        flush=True,
    )
    repeated("coverslip", options.repeats, lambda: ours(project, options))
    if options.ray is None:
        return
    keys = ("preprocessing", "network", "training")
    task = {
        "package": str(project / "workflow/scripts"),
        "patches": [str(project / home / "patches/0")],
        "split": str(project / home / "split.csv"),
        "study": {key: study["types"][key] for key in keys},
        "search": search,
        "seed": seed,
        "min_epochs": options.min_epochs,
        "max_epochs": options.max_epochs,
        "reduction_factor": options.eta,
        "jobs": options.jobs,
        "budget": budget,
    }
    repeated("Ray, ASHA", options.repeats, lambda: asha(project, options, task, scratch))


def main() -> None:
    """Compare the two sides, seed by seed."""
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="search-") as folder:
        scratch = Path(folder)
        project = copy_project(scratch / "project")
        take(options.data, options.images, project / "data")
        for seed in options.seeds:
            compare(project, options, seed, scratch)


if __name__ == "__main__":
    main()
