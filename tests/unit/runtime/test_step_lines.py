"""One line for each step, within 80 columns, and the table at the end."""

import io
import logging

from coverslip.runtime.step_lines import StepLines, last_message, result_lines, short_time

HEADER = "study,metric,value,ci_low,ci_high,group_values,baseline,baseline_value,headline\n"


def record(message="", level=logging.INFO, **attributes):
    made = logging.makeLogRecord({"msg": message, "levelno": level})
    made.__dict__.update(attributes)
    return made


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
    table.write_text(HEADER)
    assert list(result_lines(table)) == []


def test_times():
    assert [short_time(s) for s in (40, 360, 4800)] == ["40 s", "6 min", "80 min"]
