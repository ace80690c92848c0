"""Why a file is as it is: reading records and comparing them."""

import contextlib
import hashlib
import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from property_settings import FEW, ODD, parts_of

from coverslip import files
from coverslip.errors import CoverslipError
from coverslip.runtime import code_fingerprint, explain


def write_record(path: Path, **record) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))


def test_a_record_is_found_for_each_result_and_for_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    home = Path("results/studies/one")
    write_record(home / "run.json", rule="evaluate", outputs={f"{home}/metrics.json": "1"})
    write_record(home / "split.run.json", rule="split", outputs={f"{home}/split.csv": "1"})
    write_record(
        home / "measure/run.json", rule="tables", outputs={f"{home}/measure/labels": "2 files"}
    )
    (home / "empty.run.json").write_text("")
    for file, rule in (
        ("metrics.json", "evaluate"),
        ("split.csv", "split"),
        ("run.json", "evaluate"),
        ("measure/labels/a.tif", "tables"),
    ):
        assert explain.find_record(home / file)["rule"] == rule
    assert explain.find_record(home / "other.csv") is None
    assert explain.find_record(Path("results/raw/a.zip")) is None
    (home / "split.run.json").write_text("{")
    with pytest.raises(CoverslipError, match=r"split\.run\.json: damaged record"):
        explain.find_record(home / "split.csv")


@pytest.mark.parametrize(
    ("command", "taken"),
    [
        (None, []),
        ("snakemake --cores all", []),
        ("snakemake --cores 2 --configfile a.yaml b.yaml --config run=1 -p",)
        + (["--configfile", "a.yaml", "b.yaml", "--config", "run=1"],),
        ("snakemake --configfile=a.yaml -n x", ["--configfile=a.yaml"]),
    ],
)
def test_options_of_the_recorded_command_are_taken(command, taken):
    assert explain.workflow_options(command) == taken


def test_inputs_are_compared_by_content(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a").write_text("a")
    digest = files.sha256(Path("a"))
    Path("b").write_text("b")
    lines = list(explain.compare_inputs({"data": {"a": digest, "b": "1" * 64, "c": digest}}))
    assert lines[0] == ("  data", "1 files unchanged")
    assert lines[1][1].startswith("b CHANGED: 1111")
    assert lines[2:] == [("  data", "c MISSING")]


def test_changed_definitions_are_named():
    split = files.WORKFLOW / "scripts/split.py"
    parts = code_fingerprint.parts(split, files=[files.WORKFLOW / "report/page.css"])
    then = {name: hashlib.sha256(text.encode()).hexdigest()[:8] for name, text in parts.items()}
    record = {"rule": "split", "code": "x", "definitions": then}
    assert list(explain.compare_code(record))[2:] == [("", "unchanged")]
    module = "coverslip.data.splits"
    then |= {f"{module}:split": "1", f"{module}:": "1", f"{module}:gone": "1", "page.css": "1"}
    then |= {"__script__:": "1"}
    assert {text for _, text in list(explain.compare_code(record))[2:]} == {
        "CHANGED: split in coverslip.data.splits",
        "CHANGED: statements in coverslip.data.splits",
        "gone: gone in coverslip.data.splits",
        "CHANGED: file page.css",
        "CHANGED: statements in __script__",
    }


def test_packages_of_other_versions_are_named():
    then = explain.environment() | {"numpy": "0.1", "nowhere": "1.0"}
    texts = [text for _, text in explain.compare_environment(then)]
    assert texts[1].startswith("numpy CHANGED: 0.1 -> ")
    assert texts[2] == "nowhere CHANGED: 1.0 -> (none)"


def test_a_file_without_a_record_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert explain.main(["results/x.csv"]) == 1
    assert capsys.readouterr().err.startswith("coverslip: results/x.csv: no run record")


RECORD = {
    "rule": "split",
    "wildcards": {"study": "one"},
    "command": "snakemake --cores 1",
    "code": "x",
    "started": "now",
    "seconds": 1.5,
    "peak_memory_mb": 3,
    "machine": {"processor": "x"},
    "params": {"split": {"folds": 2}, "code": "x"},
    "inputs": {"groups": {"results/g.csv": "1" * 64}},
    "outputs": {"results/s.csv": "2" * 64},
    "environment": {"python": "3.11.7", "numpy": "2.0"},
    "definitions": {"coverslip.data.splits:split": "1"},
    "git": None,
}


@pytest.mark.reliability(
    "D25",
    "any value in any place of a run record (property test); a record that is no JSON, or a pipe",
    "`explain` prints what it finds, or one line that calls the record damaged",
)
@FEW
@given(st.sampled_from(list(parts_of(RECORD))), ODD | st.just("\x1b[2J"))
def test_any_value_in_any_place_of_a_record(tmp_path_factory, place, value):
    record = json.loads(json.dumps(RECORD))
    node = record
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    folder = tmp_path_factory.mktemp("record")
    write_record(folder / "results/run.json", **record)
    (folder / "results/s.csv").write_text("x")
    told = io.StringIO()
    printed = contextlib.redirect_stdout(told), contextlib.redirect_stderr(told)
    with contextlib.chdir(folder), printed[0], printed[1]:
        status = explain.main(["results/s.csv"])
    lines = told.getvalue().splitlines()
    assert lines and all(line.isprintable() for line in lines)
    assert status == 0 or (len(lines) == 1 and lines[0].startswith("coverslip: "))


@pytest.mark.parametrize("data", [b"[" * 100_000, b"\xff\xfe", b"[]", b"null", b"3", b"{"])
def test_a_record_that_is_no_json(tmp_path, monkeypatch, capsys, data):
    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    os.mkfifo("results/a.run.json")
    Path("results/run.json").write_bytes(data)
    assert explain.main(["results/s.csv"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("coverslip: results/run.json: damaged record")
