"""Snakemake's messages on the terminal: a line for each step, short reasons, one line at Ctrl-C.

Snakemake's log file (`.snakemake/log`) keeps everything. Other output is as usual: of dry runs, and
with `--verbose`, `--printshellcmds` or `--quiet all`.
"""

from __future__ import annotations

import atexit
import csv
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, TextIO

LONGEST = 200
"""Characters of a reason to run a job; whole parameters would be thousands."""

INTERRUPTED = "COVERSLIP_INTERRUPTED"
"""Environment variable with the path of the file that is there after Ctrl-C."""

IGNORE = "trap '' INT; "
"""Beginning of the shell commands of jobs."""

STOPPING = b"\ncoverslip: stopping; run the same command again to continue\n"

RAISED_HERE = re.compile(
    r"InputFunctionException in .*?\n  CoverslipError: (.*?)\nWildcards:.*"
    r'|WorkflowError in file "[^"]*/workflow/rules/[^"]*", line \d+:\n(.*?)(?:\n  File ".*)?\Z',
    re.DOTALL,
)
"""Snakemake's messages on errors that the rules raised with a message for users."""

ALREADY_SHOWN = ("exit status 1.", "exit status 143.")
"""Ends of Snakemake's message on a script that failed and printed a message of its own."""


def shorten(record: logging.LogRecord) -> bool:
    """Shorten a message of Snakemake; whether it is printed at all."""
    reason = getattr(record, "reason", None)
    if isinstance(reason, str) and len(reason) > LONGEST:
        record.reason = f"{reason[:LONGEST]} ..."
    text = str(record.msg)
    if found := RAISED_HERE.match(text):
        record.msg, record.args = f"coverslip: {found[1] or found[2]}", ()
    return not (
        text.startswith("RuleException:\nCalledProcessError") and text.endswith(ALREADY_SHOWN)
    )


def stop_in_one_line(logger: logging.Logger) -> None:
    """From Ctrl-C on print one line and nothing more of Snakemake's, which its log file keeps.

    Jobs ignore Ctrl-C while Python imports their modules (`IGNORE`). They look for a file that
    notes it when they begin, and react to it from then on (`handle_interrupts`).
    """
    note = Path(".snakemake/coverslip", f"interrupted-{os.getpid()}").resolve()
    note.unlink(missing_ok=True)
    os.environ[INTERRUPTED] = str(note)
    atexit.register(note.unlink, missing_ok=True)

    def stop(number: int, frame: FrameType | None) -> None:
        if not note.exists():
            note.touch()
            os.write(2, STOPPING)  # `print` may be what was interrupted
        signal.default_int_handler(number, frame)

    def show(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, stop)
        sys.excepthook = show
    for handler in logger.handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.addFilter(lambda record: not note.exists())


def handle_interrupts() -> None:
    """End a job at Ctrl-C from now on, and at once if it came before."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if is_interrupted():
        raise KeyboardInterrupt


def is_interrupted() -> bool:
    """Return whether the run that started this job was stopped by Ctrl-C."""
    return os.path.exists(os.environ.get(INTERRUPTED, ""))


def modification_time(path: Path) -> int | None:
    """When a file was modified; none where it does not exist."""
    return path.stat().st_mtime_ns if path.is_file() else None


def shorten_steps(workflow: Any, logger: logging.Logger) -> None:
    """Print one line for each step of a run, unless other output is asked for."""
    settings = workflow.output_settings
    wanted = settings.verbose or settings.printshellcmds or settings.debug_dag
    if settings.dryrun or wanted or "ALL" in {item.name for item in settings.quiet or ()}:
        return
    # How jobs are run is known only after the rules were read.
    lines = StepLines(
        sys.stderr,
        executes=lambda: workflow.executor_plugin is not None,
        elsewhere=lambda: not workflow.local_exec,
        stopped=is_interrupted,
    )
    for handler in logger.handlers:
        if isinstance(handler, logging.StreamHandler) and not isinstance(
            handler, logging.FileHandler
        ):
            # Before Snakemake's own filter, so that `--quiet rules` changes nothing here.
            handler.filters.insert(0, lines)


class Results:
    """The pages and the table that a run makes, to print their paths at its end.

    Args:
        pages: paths by what they are.
        table: `results/metrics.csv`.
    """

    def __init__(self, pages: Mapping[str, str], table: str):
        self.pages, self.table = pages, Path(table)
        self.before = {path: modification_time(Path(path)) for path in pages.values()}

    def announce(self) -> None:
        """Print what this run made, after Snakemake's last lines."""
        made = {n: p for n, p in self.pages.items() if modification_time(Path(p)) != self.before[p]}
        lines = [""] if made else []
        if "report" in made and self.table.is_file():
            lines += [*result_lines(self.table), ""]
        lines += [f"{name:<8} {Path(page).resolve()}" for name, page in made.items()]
        if "report" in made:
            lines.append("models   results/studies/STUDY/fold0_seed1/model")
            lines.append("next     coverslip measure FOLDER --model MODEL")
        for line in reversed(lines):
            atexit.register(print, line, file=sys.stderr)


# --- Snakemake's output on the terminal in short: one line for each step, a table at the end

WIDTH = 80
"""Columns of a terminal."""

NAMES = ("study", "dataset", "archive", "file", "name")
"""Wildcards that name what a step is of; the others follow."""

FAILURES = ("WorkflowError:\nAt least one job", "Exiting because a job execution failed")
"""Beginnings of Snakemake's messages that a job failed, which the step's line already says."""


class StepLines(logging.Filter):
    """Prints a line for each finished or failed step instead of Snakemake's messages.

    Args:
        stream: the terminal.
        executes: returns whether jobs run at all; if not, Snakemake prints its messages.
        elsewhere: returns whether jobs print elsewhere, as on a cluster; then the error message in
            the log of a failed job is printed.
        stopped: returns whether Ctrl-C stopped the run; nothing is printed from then on.
        clock: returns seconds.
    """

    def __init__(
        self,
        stream: TextIO,
        executes: Callable[[], bool] = lambda: True,
        elsewhere: Callable[[], bool] = lambda: False,
        stopped: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ):
        super().__init__()
        self.stream, self.executes, self.elsewhere = stream, executes, elsewhere
        self.stopped, self.clock = stopped, clock
        self.started = clock()
        self.running: dict[int, str] = {}
        self.finished: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        """Print a step's line; return whether Snakemake prints the message."""
        event = str(getattr(record, "event", None) or "")
        if event == "workflow_started" or str(record.msg).startswith("Assuming unrestricted"):
            return False
        if not self.executes():
            return True
        if self.stopped():
            return False
        facts = record.__dict__
        if event == "job_info":
            self.running[facts["jobid"]] = step_name(facts["rule_name"], facts["wildcards"])
        elif event == "job_finished":
            self.finished.append(self.running.pop(facts["job_id"], "step"))
        elif event == "progress":
            self._print_finished(facts["done"], facts["total"])
        elif event == "job_error":
            self._print_failed(facts)
        if event == "error" or not event:
            text = str(record.msg)
            return record.levelno >= logging.WARNING and not text.startswith(FAILURES)
        return False

    def _print_finished(self, done: int, total: int) -> None:
        left = (self.clock() - self.started) / max(1, done) * (total - done)
        when = f"{short_time(left)} left" if total > done else ""
        for name in self.finished:
            self._print(f"[{done:>{len(str(total))}}/{total}] {name}", when)
        self.finished.clear()

    def _print_failed(self, facts: Mapping[str, Any]) -> None:
        name = self.running.pop(facts["jobid"], facts["rule_name"])
        logs = [str(path) for path in facts.get("log") or ()]
        if self.elsewhere() and (message := last_message(logs)):
            print(message, file=self.stream)
        self._print(f"failed: {name}", "")
        for path in logs:
            print(f"  log: {path}", file=self.stream, flush=True)

    def _print(self, left: str, right: str) -> None:
        room = WIDTH - len(right) - 1
        text = left if len(left) <= room else f"{left[: room - 1]}…"
        print(f"{text:<{room}} {right}".rstrip(), file=self.stream, flush=True)


def step_name(rule: str, wildcards: Mapping[str, Any]) -> str:
    """Return a job in words: `train nuclei fold 0 seed 1`."""
    values = dict(wildcards)
    names = [str(values.pop(key)) for key in NAMES if key in values]
    words = [f"{key} {value}" for key, value in values.items() if key != "together"]
    return " ".join([rule.replace("_", " "), *names, *words])


def short_time(seconds: float) -> str:
    """Return a time in a suitable unit: `40 s`, `6 min`, `1 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def last_message(logs: list[str]) -> str | None:
    """Return the error message in the logs of a job; none without one."""
    for path in logs:
        try:
            lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        for line in reversed(lines):
            if line.startswith("coverslip: "):
                return line
    return None


# --- At the end of a run


def result_lines(table: Path) -> Iterator[str]:
    """Yield the main number of each study with its interval and best baseline.

    The names of the baselines are left out where lines would be too long with them.

    Args:
        table: `results/metrics.csv`.
    """
    with open(table, encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("headline") == "True"]
    if not rows:
        return
    cells = [("study", "metric", "value", "95 % CI/groups", "baseline", "")]
    for row in rows:
        interval = row["group_values"].split()
        if row["ci_low"]:
            interval = [row["ci_low"], "to", row["ci_high"]]
        cells.append(
            (
                row["study"],
                row["metric"].replace("_", " "),
                _short(row["value"]),
                " ".join(_short(text) for text in interval),
                _short(row["baseline_value"]),
                row["baseline"].replace("_", " "),
            )
        )
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    if sum(widths) + 2 * (len(widths) - 1) > WIDTH:
        widths[-1] = 0
    for line in cells:
        padded = (f"{cell:<{width}}"[:width] for cell, width in zip(line, widths, strict=True))
        text = "  ".join(padded).rstrip()
        yield text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"


def _short(number: str) -> str:
    try:
        return f"{float(number):.3g}"
    except ValueError:
        return number
