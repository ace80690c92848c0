"""Snakemake's messages on the terminal: short reasons, one line at Ctrl-C."""

from __future__ import annotations

import atexit
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from coverslip.runtime.step_lines import StepLines, result_lines

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
    notes it when they begin, and react to it from then on (`heed_interrupts`).
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


def heed_interrupts() -> None:
    """End a job at Ctrl-C from now on, and at once if it came before."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if interrupted():
        raise KeyboardInterrupt


def interrupted() -> bool:
    """Return whether the run that started this job was stopped by Ctrl-C."""
    return os.path.exists(os.environ.get(INTERRUPTED, ""))


def modified(path: Path) -> int | None:
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
        stopped=interrupted,
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
        self.before = {path: modified(Path(path)) for path in pages.values()}

    def announce(self) -> None:
        """Print what this run made, after Snakemake's last lines."""
        made = {n: p for n, p in self.pages.items() if modified(Path(p)) != self.before[p]}
        lines = [""] if made else []
        if "report" in made and self.table.is_file():
            lines += [*result_lines(self.table), ""]
        lines += [f"{name:<8} {Path(page).resolve()}" for name, page in made.items()]
        if "report" in made:
            lines.append("models   results/studies/STUDY/fold0_seed1/model")
            lines.append("next     coverslip measure FOLDER --model MODEL")
        for line in reversed(lines):
            atexit.register(print, line, file=sys.stderr)
