"""Faults in every stage of a run, and what becomes of its results (`make reliability`).

Each stage is disturbed in a copy of a finished run: its script runs as under Snakemake, in a
process of its own, and is hit at the moment when its first outputs are to appear. What Snakemake
does between two tries (remove the outputs of a failed job) is done here too. After all faults the
stage runs to its end, and its results are compared with those of the finished run.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import json
import os
import runpy
import shutil
import signal
import sys
import tempfile
import time
import types
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import reliability_inputs
import small_disk
from running import ROOT, finish, finish_others

PAGE = ROOT / "docs/reliability.md"
START, END = "<!-- table -->\n", "<!-- end of table -->\n"
STAGES = ("simulate", "ingest", "group_images", "check", "split", "extract_patches", "train")
STAGES += ("predict", "evaluate", "model_card", "plot_metrics", "notebook", "report")
STUDY = {"dataset": "made", "study": "one", "fold": "0", "seed": "1", "shard": "0"}
CLASS_STAGES = ("extract_patches", "train", "predict", "evaluate", "explain", "write_submission")
# Of the second project: rules, wildcards, and what is added to the name of a row.
OTHER_STAGES = (
    (CLASS_STAGES, STUDY | {"study": "classes"}, " (classes)"),
    (("train_kmeans",), STUDY | {"study": "kmeans"}, ""),
    (("measure_images", "measure_tables", "measure_page"), {"name": "mine", "shard": "0"}, ""),
)
# What differs between two runs of the same, see the page.
TIMED = ("notebook.html", "report.html", "measure.html")
LATER = 86400
# Of the disk that the projects are on, and that gets full.
MEGABYTES = 1000
# Imported once instead of in every process; nothing is computed with it here.
PRELOADED = (
    "tensorflow",
    "keras",
    "matplotlib.pyplot",
    "coverslip.data.group_images",
    "coverslip.data.quality_check",
    "coverslip.data.ingest",
    "coverslip.data.splits",
    "coverslip.evaluation.evaluate",
    "coverslip.explain.attribution",
    "coverslip.training.patches",
    "coverslip.measure.images",
    "coverslip.training.kmeans",
    "coverslip.reporting.report",
)


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong in a job."""

    name: str
    hit: Callable[[types.SimpleNamespace, str, int], None]
    """Called with the job, the path of an output that is to appear, and how many came before."""
    message: str
    """Part of the one line that the job ends with; empty where it cannot say anything."""
    space: float | None = None
    """Bytes left on the disk, as a share of those of the outputs; none: enough."""


def do_nothing(job: types.SimpleNamespace, path: str, number: int) -> None:
    """Write the output as far as there is space (see `run`)."""


def kill(job: types.SimpleNamespace, path: str, number: int) -> None:
    """End the process as the kernel does when memory is short, between two outputs."""
    if number == min(1, len(job.output) - 1):
        os.kill(os.getpid(), signal.SIGKILL)


def fail(code: int) -> Callable[[types.SimpleNamespace, str, int], None]:
    """Refuse to make an output, as the system does."""

    def hit(job: types.SimpleNamespace, path: str, number: int) -> None:
        raise OSError(code, os.strerror(code), path)

    return hit


def replace_input(job: types.SimpleNamespace, path: str, number: int) -> None:
    """Put another file in the place of the first input."""
    if job.input and number == 0:
        target = Path(job.input[0])
        other = target.with_name(f"{target.name}.other")
        other.write_bytes(target.read_bytes() + b" ")
        other.replace(target)


FULL = "no space left|free some space|ulimit"
FAULTS = (
    # First: what killed tries leave is removed by the next one, which gives it more space.
    Fault("disk full", do_nothing, FULL, 0.5),
    Fault("killed", kill, ""),
    Fault("not writable", fail(errno.EACCES), "Permission denied"),
    Fault("input replaced", replace_input, "changed while"),
)


def jobs(project: Path) -> list[types.SimpleNamespace]:
    """Every job of a finished project, as Snakemake would run it: from the records of the jobs."""
    from coverslip.runtime.mock_snakemake import mock_snakemake

    return [mock_snakemake(path) for path in sorted(project.glob("results/**/*run.json"))]


def run(
    job: types.SimpleNamespace,
    fault: Fault | None = None,
    space: int | None = None,
) -> tuple[int, str]:
    """Run the script of a job here, in a process of its own; give its status and what it said.

    With `space` the disk has so many bytes left.
    """
    with tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            code = 70
            try:
                os.dup2(said.fileno(), 1)
                os.dup2(said.fileno(), 2)
                with contextlib.nullcontext() if space is None else small_disk.space_left(space):
                    code = _script(job, fault)
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        said.seek(0)
        return os.waitstatus_to_exitcode(status), said.read().decode(errors="replace")


def _script(job: types.SimpleNamespace, fault: Fault | None) -> int:
    if fault is not None:
        _arm(fault, job)
    name = "plot" if job.rule.startswith("plot_") else job.rule
    try:
        script = f"workflow/scripts/{name}.py"
        runpy.run_path(script, init_globals={"snakemake": job}, run_name="__main__")
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    sys.stderr.flush()
    return 0


def _arm(fault: Fault, job: Any) -> None:
    """Let the fault hit when an output is renamed to its place: all are written aside first."""
    outputs = {os.path.abspath(path) for path in job.output}
    replace, appeared = os.replace, []

    def disturbed(source: Any, target: Any, **options: Any) -> None:
        if os.path.abspath(target) in outputs:
            fault.hit(job, str(target), len(appeared))
            appeared.append(target)
        replace(source, target, **options)

    os.replace = disturbed


def disturb(job: types.SimpleNamespace, fault: Fault, finished: Path) -> str:
    """Let a fault hit a job; give what happened, empty where it could not hit."""
    inputs = {path: Path(path).read_bytes() for path in job.input[:1]}
    if fault.name == "input replaced" and not inputs:
        return ""
    space = None
    if fault.space is not None:
        # What the killed try of another stage left is removed on the way, which would give space.
        for part in list(Path("results").rglob("*.part*")):
            shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)
        from coverslip.runtime.run_record import record_path

        for older in (record_path(job.output), *map(Path, job.log)):
            older.unlink(missing_ok=True)  # the job writes them again
        # Folders have links to files of other results, which take no space.
        results = [finished / path for path in job.output]
        if job.rule == "measure_tables":  # its folders have links to files of the shards
            results = [path for path in results if path.is_file()]
        space = int(fault.space * sum(map(_size, results)))
    clear(job)
    before = set(Path("results").rglob("*.part*"))  # a killed try leaves them for a later one
    status, said = run(job, fault, space)
    left = [path for path in job.output if os.path.exists(path)]
    for path, content in inputs.items():
        Path(path).write_bytes(content)
    if status == 0:
        return "FAILED: the job did not notice"
    if fault.name == "killed":
        return "ended" if status == -signal.SIGKILL else f"FAILED: status {status}: {said[-300:]}"
    lines = [line for line in said.splitlines() if line.startswith("coverslip: ")]
    if (
        status != 1
        or len(lines) != 1
        or "Traceback" in said
        or not any(word in lines[0] for word in fault.message.split("|"))
    ):
        return f"FAILED: status {status}: {said[-300:]}"
    # Snakemake removes what a failed job has left; none of it may be written in part.
    partial = [path for path in left if difference(Path(path), finished / path) == "other"]
    partial += [str(path) for path in set(Path("results").rglob("*.part*")) - before]
    if partial and fault.name != "input replaced":
        return f"FAILED: left {partial}"
    return "one-line error"


def _size(path: Path) -> int:
    """Bytes of a file, or of all files in a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def clear(job: types.SimpleNamespace) -> None:
    """Remove the outputs of a job, as Snakemake does before and after a failed try."""
    for path in map(Path, job.output):
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)


def fixed(job: types.SimpleNamespace, finished: Path) -> tuple[str, str]:
    """Run a job undisturbed but for a clock that was set back by a day since its inputs were made.

    Gives what became of the times of its results, and of the results beside those of the finished
    project.
    """
    clear(job)
    later = time.time() + LATER
    for path in map(dated, job.input):
        os.utime(path, (later, later))
    status, said = run(job)
    if status != 0:
        return "FAILED", f"FAILED: {said[-300:]}"
    # Snakemake dates outputs now, and refuses them where an input is later still.
    late = [path for path in map(dated, job.input) if os.stat(path).st_mtime > time.time()]
    clock = "has no input" if not job.input else "FAILED" if late else "no harm"
    found = {path: difference(path, finished / path) for path in map(Path, job.output)}
    wrong = [path.name for path, kind in found.items() if kind == "other"]
    wrong += [str(path) for path in Path("results").rglob("*.part*")]
    if wrong:
        return clock, f"FAILED: {wrong}"
    timed = [path.name for path, kind in found.items() if kind == "times"]
    clear(job)
    for path in found:  # so that the next stage has the very same inputs
        if (finished / path).is_dir():
            shutil.copytree(finished / path, path)
        else:
            shutil.copyfile(finished / path, path)
    return clock, f"equal, but for times in {', '.join(timed)}" if timed else "equal"


def dated(path: str) -> Path:
    """The file whose date Snakemake takes for that of an input: of a folder, its note in it."""
    return Path(path, ".snakemake_timestamp") if os.path.isdir(path) else Path(path)


def difference(path: Path, other: Path) -> str:
    """`times` where two results differ only in them, `other` where they do in more, else empty."""
    if path.is_dir():
        return "" if _files(path) == _files(other) else "other"
    if path.name == "run.json" or path.read_bytes() == other.read_bytes():
        return ""
    if path.name in TIMED:
        return "times"
    same = False
    if path.suffix == ".keras":
        same = _weights(path) == _weights(other)
    elif path.name == "history.csv":
        one, two = (pd.read_csv(file).drop(columns="seconds") for file in (path, other))
        same = one.equals(two)
    elif path.suffix == ".ipynb":
        same = _cells(path) == _cells(other)
    return "times" if same else "other"


def _files(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file() and path.name[0] != "."]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def _weights(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read("model.weights.h5")


def _cells(path: Path) -> list[tuple[Any, Any]]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [(cell["source"], cell.get("outputs")) for cell in cells]


def rows(finished: Path, others: Path, where: Path) -> Iterator[list[str]]:
    """Disturb every stage of two finished projects in copies; one row a stage."""
    first = [(STAGES, STUDY, "")]
    yield from _rows(finished, where / "first", first)
    yield from _rows(others, where / "second", OTHER_STAGES)


def _rows(finished: Path, project: Path, stages: Any) -> Iterator[list[str]]:
    shutil.copytree(finished, project, symlinks=True)
    # The project's own code: what is here may have been edited since it ran.
    sys.path.insert(0, str(project / "workflow/scripts"))
    listed = jobs(project)
    for module in PRELOADED:
        importlib.import_module(module)
    before = Path.cwd()
    os.chdir(project)
    try:
        for rules, wildcards, more in stages:
            for rule in rules:
                job = next(
                    job
                    for job in listed
                    if job.rule == rule and job.wildcards.items() <= wildcards.items()
                )
                cells = [disturb(job, fault, finished) or "has no input" for fault in FAULTS]
                name = "plot" if rule.startswith("plot") else rule.replace("_", " ")
                yield [name + more, *cells, *fixed(job, finished)]
    finally:
        os.chdir(before)


def table(found: list[list[str]]) -> str:
    """The rows as Markdown."""
    head = ["stage", *(fault.name for fault in FAULTS), "clock set back", "results in the end"]
    lines = [head, ["---"] * len(head), *found]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def written(page: str, text: str) -> str:
    """The page with another table."""
    start, end = page.index(START) + len(START), page.index(END)
    return page[:start] + text + page[end:]


def main() -> None:
    """Make small finished runs, disturb them, and print the table or write it into the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--finished", type=Path, help="a finished project; by default one is made")
    parser.add_argument("--write", action="store_true", help=f"write into {PAGE.relative_to(ROOT)}")
    parser.add_argument("--others", type=Path, help="a finished project of the other tasks")
    given = parser.parse_args()
    if small_disk.INSIDE not in os.environ:
        with tempfile.TemporaryDirectory() as folder:
            done = small_disk.run([sys.executable, *sys.argv], Path(folder), MEGABYTES)
        sys.exit(done.returncode)
    where, found = Path(os.environ[small_disk.INSIDE]), []
    finished = given.finished or finish(where / "finished")
    others = given.others or finish_others(where / "others")
    for row in rows(finished.resolve(), others.resolve(), where):
        found.append(row)
        print(*row, sep=" | ", file=sys.stderr)
    if given.write:
        page = written(PAGE.read_text(encoding="utf-8"), table(found))
        PAGE.write_text(reliability_inputs.written(page), encoding="utf-8")
    print(table(found), end="")
    sys.exit(any("FAILED" in cell for row in found for cell in row))


if __name__ == "__main__":
    main()
