"""Snakemake's messages on the terminal: short reasons, one line at Ctrl-C."""

from __future__ import annotations

import atexit
import logging
import os
import re
import signal
import sys
import threading
from pathlib import Path
from types import FrameType, TracebackType

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
