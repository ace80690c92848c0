"""Snakemake's output on the terminal in short: one line for each step, a table at the end.

Snakemake's log file (`.snakemake/log`) keeps everything. Other output is as usual: of dry runs, and
with `--verbose`, `--printshellcmds` or `--quiet all`.
"""

from __future__ import annotations

import csv
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

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

    Args:
        table: `results/metrics.csv`.
    """
    with open(table, encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("headline") == "True"]
    if not rows:
        return
    cells = [("study", "metric", "value", "95 % CI or groups", "best baseline")]
    for row in rows:
        interval = row["group_values"].split()
        if row["ci_low"]:
            interval = [row["ci_low"], "to", row["ci_high"]]
        baseline = f"{_short(row['baseline_value'])} {row['baseline'].replace('_', ' ')}".strip()
        cells.append(
            (
                row["study"],
                row["metric"].replace("_", " "),
                _short(row["value"]),
                " ".join(_short(text) for text in interval),
                baseline,
            )
        )
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    for line in cells:
        padded = (f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        text = "  ".join(padded).rstrip()
        yield text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"


def _short(number: str) -> str:
    try:
        return f"{float(number):.3g}"
    except ValueError:
        return number
