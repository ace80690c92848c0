"""Why a file is as it is: reading records and comparing them."""

import json
from pathlib import Path

import pytest

from coverslip.errors import CoverslipError
from coverslip.runtime import explain


def note(path: Path, **record) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record))


def test_a_record_is_found_for_each_result_and_for_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    home = Path("results/studies/one")
    note(home / "run.json", rule="evaluate", outputs={f"{home}/metrics.json": "1"})
    note(home / "split.run.json", rule="split", outputs={f"{home}/split.csv": "1"})
    note(home / "measure/run.json", rule="tables", outputs={f"{home}/measure/labels": "2 files"})
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
    with pytest.raises(CoverslipError, match=r"split\.run\.json: damaged"):
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
    assert explain.recorded_arguments(command) == taken


def test_parameters_are_compared_key_by_key():
    then = explain.flat({"training": {"epochs": 1, "loss": "dice"}, "old": [1]})
    now = explain.flat({"training": {"epochs": 2, "loss": "dice"}, "new": {}})
    assert dict(explain.compared("", then, now)) == {
        "training.epochs": "CHANGED: 1 -> 2",
        "training.loss": "dice",
        "old": "CHANGED: [1] -> (none)",
        "new": "CHANGED: (none) -> {}",
    }


def test_inputs_are_compared_by_content(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a").write_text("a")
    digest = explain.files.sha256(Path("a"))
    then = {"data": {"a": digest, "b": "1" * 64, "c": digest}}
    Path("b").write_text("b")
    lines = list(explain.compared_inputs(then, {"data": ["a", "b", "d"], "weights": []}))
    assert lines[0] == ("  data", "1 files unchanged")
    assert lines[1][1].startswith("b CHANGED: 1111")
    assert [text for _, text in lines[2:]] == ["c no input any more", "d NEW"]


def test_definitions_are_told_by_name():
    record = {"code": "x", "definitions": {"m.a:f": "1", "m.a:": "1", "m.b:g": "1", "p.css": "1"}}
    now = {"m.a:f": "2", "m.a:": "2", "m.c:h": "1", "p.css": "2"}
    text = [line for _, line in explain.compared_code(record, now)]
    assert text[0] == "x, 4 definitions"
    assert text[2:] == [
        "CHANGED: f in m.a",
        "CHANGED: statements of m.a",
        "gone: g in m.b",
        "CHANGED: file p.css",
        "NEW: h in m.c",
    ]


def test_a_file_without_record_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert explain.main(["results/x.csv"]) == 1
    assert capsys.readouterr().err.startswith("coverslip: results/x.csv: nothing there")
