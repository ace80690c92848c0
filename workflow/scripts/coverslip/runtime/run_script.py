"""What every script does around its one call: log, errors, record of the run, shared cache."""

import contextlib
import logging
import os
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from coverslip import files
from coverslip.errors import CoverslipError, one_line, os_error_line
from coverslip.files import write_json
from coverslip.runtime import result_cache, run_record
from coverslip.runtime.run_record import identity, versions
from coverslip.runtime.terminal import LONGEST, handle_interrupts

__all__ = ["LOG", "identity", "run_script", "versions"]

LOG = logging.getLogger("coverslip")

WORKFLOW = "COVERSLIP_WORKFLOW"
"""Environment variable with the folder of the workflow that planned the job."""

EXTRAS = {
    "ijson": "train",
    "kaggle": "kaggle",
    "keras": "train",
    "onnx": "train",
    "papermill": "train",
    "safetensors": "train",
    "sklearn": "train",
    "tensorboard": "train",
    "tensorflow": "train",
    "tf2onnx": "train",
}
"""Extra of coverslip that brings a package by the name that is imported."""

TERMINATED = 143
"""Exit status after SIGTERM, when what was done is saved."""

INTERRUPTED = 130
"""Exit status after Ctrl-C."""

CLOCK_TOLERANCE_SECONDS = 10.0
"""Seconds: clocks of a cluster's machines differ by less, which is no news."""


@contextlib.contextmanager
def run_script(snakemake: Any, reuse: bool = False) -> Iterator[dict[str, Any]]:
    """Run the body of a script with its log; write its record (`run.json`) when it ends.

    Messages of the logger `coverslip` go to the log file, and from the level `info` on to the
    terminal; so does the one line of an error, which ends the job with exit status 1. Tracebacks
    go to the log file alone. The record is next to the outputs (`run_record.record_path`), that of
    a failed job next to its log. The dictionary that is yielded is merged into it, and its
    `warnings` are what was warned of. A job fails whose inputs changed while it ran.

    With `reuse` the outputs come from the shared cache (`coverslip.runtime.result_cache`) if it
    has them, and `"reused"` is in the dictionary: the body then has nothing to do. Otherwise
    they are kept there.
    """
    path = run_record.record_path(snakemake.output)
    failed = Path(snakemake.log[0]).with_suffix(".run.json")
    with _log_to(snakemake) as warned:
        _check_package()
        handle_interrupts()
        _check_input_times(map(Path, snakemake.input))
        record = run_record.RunRecord(snakemake)
        outputs = [Path(p) for p in snakemake.output if Path(p) != path]
        entry = result_cache.entry(snakemake) if reuse else None
        facts = _fetch_cached(entry, outputs)
        try:
            yield facts
            _check_inputs_unchanged(record)
        except BaseException as error:
            # The error is what matters: where a disk is full, there is no record of it.
            with contextlib.suppress(OSError):
                reason = str(error) or type(error).__name__
                write_json(failed, record.facts() | {"failed": reason})
            raise
        whole = record.facts() | {"outputs": run_record.outputs(snakemake, path)} | facts
        whole |= {"warnings": warned} if warned else {}
        if entry is not None and "reused" not in facts:
            result_cache.keep(entry, outputs, whole)
        write_json(path, whole)
        failed.unlink(missing_ok=True)


def _fetch_cached(entry: Path | None, outputs: list[Path]) -> dict[str, Any]:
    """Return the record of results from the shared cache; empty where there are none."""
    found = None if entry is None else result_cache.fetch(entry, outputs)
    if entry is None or found is None:
        return {}
    LOG.info("taken from the shared cache: %s", entry)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return found | {"reused": {"at": now, "entry": entry.name, "git": run_record.git_state()}}


def _check_package() -> None:
    """Raise if the job imported the package of another installation than that of its rules."""
    rules = os.environ.get(WORKFLOW)
    if rules and Path(rules) != files.WORKFLOW:
        raise CoverslipError(
            f"{files.WORKFLOW}: this installed coverslip hides that of the workflow {rules}: "
            "`pip uninstall coverslip`, or use an environment without it"
        )


def _check_inputs_unchanged(record: run_record.RunRecord) -> None:
    if changed := record.changed_inputs():
        raise CoverslipError(
            f"{changed[0]}: changed while the job read it, so that its result would be of neither "
            "the old nor the new one: run again"
        )


def _check_input_times(inputs: Iterable[Path]) -> None:
    """Date inputs now that are dated later.

    So they are after a clock was set back, or when they come from a machine whose clock is wrong.
    Snakemake fails each job whose outputs seem older than its inputs, after all work was done.
    """
    for path in inputs:
        # Snakemake keeps the time of a folder in this file.
        dated = path / ".snakemake_timestamp" if path.is_dir() else path
        if not dated.exists() or (ahead := dated.stat().st_mtime - time.time()) <= 0:
            continue
        try:
            os.utime(dated)
        except OSError as error:
            raise CoverslipError(
                f"{path}: is dated {ahead:.0f} s in the future, and its date cannot be changed "
                f"({error.strerror}): `touch` it, and look whether the clock is right"
            ) from error
        if ahead > CLOCK_TOLERANCE_SECONDS:
            LOG.warning("%s: was dated %.0f s in the future, is dated now", path, ahead)


@contextlib.contextmanager
def _log_to(snakemake: Any) -> Iterator[list[str]]:
    """Messages to terminal and log file; an error as one line and exit status 1.

    Yields a list that warnings are added to.
    """
    handlers: list[logging.Handler] = []
    warned = _Warnings()
    LOG.setLevel(logging.DEBUG)
    LOG.propagate = False
    try:
        terminal = logging.StreamHandler(sys.stderr)
        terminal.setLevel(logging.INFO)
        _add(handlers, terminal, snakemake.wildcards.get("study"))
        if len(snakemake.log):
            log = Path(snakemake.log[0])
            log.parent.mkdir(parents=True, exist_ok=True)
            _add(handlers, _LogFile(log))
        LOG.addHandler(warned)
        yield warned.messages
    except CoverslipError as error:
        LOG.error("coverslip: %s", one_line(error))
        _to_file(handlers, error)
        sys.exit(1)
    except OSError as error:
        LOG.error("coverslip: %s", os_error_line(error))
        _to_file(handlers, error)
        sys.exit(1)
    except Exception as error:
        LOG.error("coverslip: %s", _unexpected_message(error, snakemake.log))
        _to_file(handlers, error)
        sys.exit(1)
    except KeyboardInterrupt:
        # Snakemake, which was interrupted as well, prints it on the terminal.
        _to_file(handlers, "interrupted: run again to go on")
        sys.exit(INTERRUPTED)
    except BaseException as error:
        # After SIGTERM nothing is wrong, and the log already contains what is to be done.
        if not (isinstance(error, SystemExit) and error.code == TERMINATED):
            _to_file(handlers, error)
        raise
    finally:
        for handler in (*handlers, warned):  # a process may run several scripts
            LOG.removeHandler(handler)
            handler.close()


class _LogFile(logging.Handler):
    """The log file of a job; what does not fit on a full disk is on the terminal alone."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = open(path, "wb", buffering=0)  # noqa: SIM115 (closed by `close`)

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):
            self._file.write(f"{self.format(record)}\n".encode(errors="replace"))

    def close(self) -> None:
        self._file.close()
        super().close()


class _Warnings(logging.Handler):
    """Keeps what is warned of."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


class _Named(logging.Formatter):
    """Begins messages that are no errors with the name of the study."""

    def __init__(self, study: str | None) -> None:
        super().__init__("%(message)s")
        self.study = study

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        named = self.study is not None and record.levelno < logging.ERROR
        return f"{self.study}: {text}" if named else text


def _add(
    handlers: list[logging.Handler], handler: logging.Handler, study: str | None = None
) -> None:
    handler.setFormatter(_Named(study))
    LOG.addHandler(handler)
    handlers.append(handler)


def _unexpected_message(error: Exception, log: Sequence[str]) -> str:
    """Return the line of an error that no message was written for, with what helps to find it."""
    extra = EXTRAS.get(str(getattr(error, "name", "")).partition(".")[0])
    if isinstance(error, ModuleNotFoundError) and extra is not None:
        return f"this needs the package {error.name}: pip install 'coverslip[{extra}]'"
    if isinstance(error, MemoryError):
        return "memory ran out: give the job more (`mem_mb`), run fewer at once, or use less data"
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{Path(last.filename).name}, line {last.lineno}"
    kept = f" with the log {log[0]}" if len(log) else ""
    name = type(error).__name__
    text = one_line(error)
    what = name if text == name else f"{name}: {text[:LONGEST]}"
    return f"unexpected error, please report it{kept}: {what} ({where})"


def _to_file(handlers: list[logging.Handler], what: BaseException | str) -> None:
    """A line, or the traceback of an error, to the log file alone."""
    text = what if isinstance(what, str) else "traceback:"
    for handler in handlers:
        if isinstance(handler, _LogFile):
            record = LOG.makeRecord(LOG.name, logging.ERROR, __file__, 0, text, (), None)
            if isinstance(what, BaseException):
                record.exc_info = (type(what), what, what.__traceback__)
            handler.emit(record)
