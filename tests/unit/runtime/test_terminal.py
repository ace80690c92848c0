"""What Snakemake prints of reasons, failed jobs and Ctrl-C."""

import logging
import os
import signal
import sys

import pytest

from coverslip.runtime import terminal


def record(message: str = "", **attributes) -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": message})
    made.__dict__.update(attributes)
    return made


def test_long_reasons_are_cut():
    short = record(reason="Missing output files: results/report.html")
    long = record(reason="Params have changed since last execution: " + "x" * 30_000)
    assert terminal.shorten(short) and terminal.shorten(long)
    assert short.reason == "Missing output files: results/report.html"
    assert long.reason.startswith("Params have changed") and len(long.reason) < 300


@pytest.mark.parametrize(
    ("end", "shown"),
    [
        ("returned non-zero exit status 1.", False),
        ("returned non-zero exit status 143.", False),
        ("died with <Signals.SIGKILL: 9>.", True),
    ],
)
def test_a_script_that_said_why_it_failed_is_not_named_again(end, shown):
    text = f"RuleException:\nCalledProcessError in file \"a.smk\", line 52:\nCommand 'x' {end}"
    assert terminal.shorten(record(text)) == shown


FUNCTION = """\
InputFunctionException in rule ingest in file "/x/workflow/rules/data.smk", line 63:
Error:
  CoverslipError: imgs/closed: cannot be listed (Permission denied): make the folder readable
Wildcards:
  dataset=mine
Traceback:
  File "/x/workflow/rules/common.smk", line 202, in folder (rule ingest, line 141, /x/data.smk)"""
CONFIG = """\
WorkflowError in file "/x/workflow/rules/common.smk", line 44:
the config is not valid:
  my.yaml, line 4: studies.one.seeds: a seed is listed twice
  File "/x/workflow/rules/common.smk", line 44, in <module>"""


@pytest.mark.reliability(
    "D29",
    "a folder that cannot be listed, a mistake in the config",
    "the line alone, without Snakemake's traceback",
)
def test_messages_for_users_are_shown_without_a_traceback():
    made = record(FUNCTION)
    assert terminal.shorten(made)
    assert made.getMessage() == (
        "coverslip: imgs/closed: cannot be listed (Permission denied): make the folder readable"
    )
    made = record(CONFIG)
    assert terminal.shorten(made)
    assert made.getMessage() == (
        "coverslip: the config is not valid:\n"
        "  my.yaml, line 4: studies.one.seeds: a seed is listed twice"
    )
    for text in (FUNCTION.replace("CoverslipError", "KeyError"), CONFIG.replace("/rules/", "/x/")):
        made = record(text)
        assert terminal.shorten(made) and made.getMessage() == text


@pytest.mark.reliability(
    "D20",
    "Ctrl-C",
    "one line",
)
def test_ctrl_c_prints_one_line(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".snakemake/coverslip").mkdir(parents=True)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setenv(terminal.INTERRUPTED, "")
    logger = logging.Logger("of Snakemake")
    logger.addHandler(logging.StreamHandler(sys.stderr))
    logger.addHandler(logging.FileHandler(tmp_path / "log"))
    former = signal.getsignal(signal.SIGINT)
    try:
        terminal.stop_in_one_line(logger)
        assert not terminal.interrupted()
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
        logger.error("At least one job did not complete successfully.")
        assert terminal.interrupted()
        with pytest.raises(KeyboardInterrupt):
            terminal.heed_interrupts()
    finally:
        signal.signal(signal.SIGINT, former)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capfd.readouterr().err == terminal.STOPPING.decode()
    assert "At least one job" in (tmp_path / "log").read_text()
    sys.excepthook(ValueError, ValueError("a defect"), None)
    assert "a defect" in capfd.readouterr().err


def test_a_job_that_ignores_ctrl_c_heeds_it_from_its_beginning_on(monkeypatch):
    monkeypatch.delenv(terminal.INTERRUPTED, raising=False)
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        terminal.heed_interrupts()
        assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, former)
