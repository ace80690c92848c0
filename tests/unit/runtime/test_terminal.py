"""What Snakemake prints of reasons, failed jobs and Ctrl-C."""

import io
import logging
import os
import signal
import sys

import pytest

from coverslip.runtime import terminal
from coverslip.runtime.terminal import StepLines, last_message, result_lines, short_time


def record(message: str = "", level: int = logging.INFO, **attributes) -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": message, "levelno": level})
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
        assert not terminal.is_interrupted()
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
        logger.error("At least one job did not complete successfully.")
        assert terminal.is_interrupted()
        with pytest.raises(KeyboardInterrupt):
            terminal.handle_interrupts()
    finally:
        signal.signal(signal.SIGINT, former)
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capfd.readouterr().err == terminal.STOPPING.decode()
    assert "At least one job" in (tmp_path / "log").read_text()
    sys.excepthook(ValueError, ValueError("a defect"), None)
    assert "a defect" in capfd.readouterr().err


def test_a_job_that_ignores_ctrl_c_obeys_it_from_its_start(monkeypatch):
    monkeypatch.delenv(terminal.INTERRUPTED, raising=False)
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        terminal.handle_interrupts()
        assert signal.getsignal(signal.SIGINT) == signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, former)


# --- One line for each step, within 80 columns, and the table at the end

HEADER = "study,metric,value,ci_low,ci_high,group_values,baseline,baseline_value,headline\n"


def test_a_line_for_each_finished_step():
    stream, seconds = io.StringIO(), iter([0.0, 60.0, 120.0])
    lines = StepLines(stream, clock=lambda: next(seconds))
    names = {"study": "nuclei" * 20, "fold": "0", "seed": "1"}
    assert not lines.filter(record(event="job_info", jobid=4, rule_name="train", wildcards=names))
    assert not lines.filter(record("Finished", event="job_finished", job_id=4))
    assert not lines.filter(record(event="progress", done=1, total=2))
    short = {"dataset": "own"}
    lines.filter(record(event="job_info", jobid=5, rule_name="check", wildcards=short))
    lines.filter(record(event="job_finished", job_id=5))
    lines.filter(record(event="progress", done=2, total=2))
    first, second = stream.getvalue().splitlines()
    assert first.startswith("[1/2] train nucleinuclei") and first.endswith(" 60 s left")
    assert len(first) == 80 and second == "[2/2] check own"


def test_messages_that_are_kept():
    lines = StepLines(io.StringIO())
    assert lines.filter(record("no disk", logging.ERROR))
    assert lines.filter(record("no disk", logging.ERROR, event="error"))
    assert not lines.filter(record("Building DAG of jobs..."))
    assert StepLines(io.StringIO(), executes=lambda: False).filter(record("Lints for rule x"))
    failed = "WorkflowError:\nAt least one job did not complete successfully."
    assert not lines.filter(record(failed, logging.ERROR))


def test_nothing_is_printed_after_ctrl_c():
    stream = io.StringIO()
    lines = StepLines(stream, stopped=lambda: True)
    job = {"jobid": 1, "rule_name": "train", "log": ["x.log"]}
    assert not lines.filter(record("failed", logging.ERROR, event="job_error", **job))
    assert stream.getvalue() == ""


def test_a_failed_step_names_its_log_and_what_is_in_it(tmp_path):
    log = tmp_path / "x.log"
    log.write_text("reads\ncoverslip: own.zip: is damaged\ntraceback:\n  File\n")
    started = {"jobid": 3, "rule_name": "ingest", "wildcards": {"dataset": "own"}}
    facts = {"jobid": 3, "rule_name": "ingest", "log": [str(log)]}
    for elsewhere in (False, True):
        stream = io.StringIO()
        lines = StepLines(stream, elsewhere=lambda value=elsewhere: value)
        lines.filter(record(event="job_info", **started))
        assert not lines.filter(record("x", logging.ERROR, event="job_error", **facts))
        text = stream.getvalue()
        assert "failed: ingest own\n" in text and str(log) in text
        assert text.startswith("coverslip: own.zip: is damaged") == elsewhere
    assert last_message([str(tmp_path / "none.log")]) is None


def test_the_table_of_results(tmp_path):
    table = tmp_path / "metrics.csv"
    rows = "a,iou,0.87654,0.8,0.9,,local_otsu,0.6,True\na,dice,0.9,,,,,,False\n"
    rows += "b,accuracy,0.5,,,0.25 0.75,,,True\n"
    table.write_text(HEADER + rows)
    header, first, second = result_lines(table)
    assert header.split()[0] == "study"
    assert first.split() == ["a", "iou", "0.877", "0.8", "to", "0.9", "0.6", "local", "otsu"]
    assert second.split() == ["b", "accuracy", "0.5", "0.25", "0.75"]
    assert max(map(len, (header, first, second))) <= 80
    name, values = (
        "confluency-kmeans-reproduced",
        "4.29144,0.426123,43.1312,,local_otsu,16.6001,True",
    )
    table.write_text(f"{HEADER}{name},confluency_rmse,{values}\n")
    header, only = result_lines(table)
    assert len(header) < 80 and header.split()[-1] == "baseline"
    assert only.split() == [name, "confluency", "rmse", "4.29", "0.426", "to", "43.1", "16.6"]
    table.write_text(HEADER)
    assert list(result_lines(table)) == []


def test_times():
    assert [short_time(s) for s in (40, 360, 4800)] == ["40 s", "6 min", "80 min"]
