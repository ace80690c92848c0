"""The record of a job."""

import json
import os
import sys

import pytest

from coverslip.runtime import run_record


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (["--cores", "2", "--configfile", "a.yaml"], ["--cores", "2", "--configfile", "a.yaml"]),
        (["--storage-s3-secret-key", "abc", "x"], ["--storage-s3-secret-key", "***", "x"]),
        (["--storage-s3-token=abc", "x"], ["--storage-s3-token=***", "x"]),
        (["--config", "kaggle_key=abc", "run=1"], ["--config", "kaggle_key=***", "run=1"]),
        (["--keep-going", "monkey.svg"], ["--keep-going", "monkey.svg"]),
    ],
)
def test_a_command_is_shown_without_secrets(given, shown):
    assert run_record.redact_secrets(given) == shown


@pytest.mark.reliability(
    "D26",
    "a command with absolute paths",
    "records and pages show paths from the working directory, and `~` for the home folder",
)
def test_a_command_is_shown_without_folders_of_the_machine(tmp_path, monkeypatch):
    home, here = tmp_path / "home", tmp_path / "home/project"
    here.mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    words = ["snakemake", "--configfile", f"{here}/my.yaml", "--config", f"images={here}/a b/c"]
    words += ["--directory", f"{home}/other", f"--token={here}/x", "/data/images"]
    assert run_record.command_text(words) == (
        "snakemake --configfile my.yaml --config 'images=a b/c' --directory ~/other '--token=***' "
        "/data/images"
    )


def test_environment_has_every_package(tmp_path, monkeypatch):
    found = run_record.environment()
    assert found["numpy"] and found["python"] and list(found)[1:] == sorted(list(found)[1:])
    info = tmp_path / "numpy-0.0.1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 0.0.1\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    changed = run_record.environment()
    assert changed == found | {"numpy": "0.0.1"}
    assert run_record.json_digest(changed) != run_record.json_digest(found)


def test_definitions_of_an_unknown_digest_are_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_record.definitions("abc") == {} and run_record.definitions(None) == {}


def test_nothing_of_the_environment_is_in_a_record(tmp_path, monkeypatch, snakemake_object):
    monkeypatch.setenv("KAGGLE_API_TOKEN", "planted")
    monkeypatch.setenv(run_record.COMMAND, "snakemake --cores 2")
    facts = run_record.RunRecord(snakemake_object).facts()
    text = json.dumps(facts)
    assert "planted" not in text and facts["command"] == "snakemake --cores 2"
    assert facts["params"] == {"code": "abc"}
    (digest,) = facts["inputs"]["files"].values()
    assert len(digest) == 64 and set(facts["digests"]) == {"config", "environment", "files"}


def test_changed_inputs_are_told_and_touched_ones_are_not(tmp_path, snakemake_object):
    path = tmp_path / "input.txt"
    record = run_record.RunRecord(snakemake_object)
    assert record.changed_inputs() == []
    os.utime(path, (1, 1))
    assert record.changed_inputs() == []
    path.write_text("2")
    assert record.changed_inputs() == [str(path)]
    path.unlink()
    assert record.changed_inputs() == [str(path)]
