"""Every result of a finished run tells what it was made from."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import rocrate
import yaml
from kaggle_server import SECRETS
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from rocrate_validator.models import ValidationSettings
from rocrate_validator.services import validate
from running import ROOT, clean_environment

from coverslip.bookkeeping import crate
from coverslip.configuration import settings
from coverslip.data import contents

MODEL = Path("results/studies/one/fold0_seed1/model/model.keras")
APART = {"logs", "benchmarks", "state"}
LISTED = {"digests", "code", "params", "packages", "environment", "machine", "started", "ended"}
LISTED |= {"peak_memory_mb", "command", "git", "inputs", "outputs", "wildcards", "definitions"}


@pytest.fixture(scope="module")
def records(finished) -> dict[Path, dict]:
    paths = sorted(finished.glob("results/**/*run.json"))
    return {path: json.loads(path.read_text()) for path in paths}


def test_every_result_is_told_of_by_the_record_beside_it(finished, records):
    told = {finished / p: path for path, record in records.items() for p in record["outputs"]}
    results = {path for path in finished.glob("results/**/*") if path.is_file()}
    results = {p for p in results if p.relative_to(finished).parts[1] not in APART} - set(records)
    assert results == set(told)
    assert all(path.parent == note.parent for path, note in told.items())


def test_every_rule_with_a_script_has_a_record():
    for file in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for rule in re.split(r"^\s*rule\b", file.read_text(), flags=re.MULTILINE)[1:]:
            assert ("script:" in rule) == ("record=" in rule), (file.name, rule.split(":")[0])


def test_records_are_whole(finished, records):
    for path, record in records.items():
        assert set(record) >= LISTED, path
        assert record["definitions"] and len(record["environment"]) > 50, path
        assert record["command"] == "snakemake --cores 2"
        for output, digest in record["outputs"].items():
            assert contents.sha256(finished / output) == digest
        for group in record["inputs"].values():
            for name, digest in group.items():
                assert contents.sha256(finished / name) == digest, (path, name)
    train = records[finished / MODEL.with_name("run.json")]
    assert set(train["digests"]) == {"config", "environment", "patches", "split"}
    assert train["wildcards"]["seed"] == "1" and train["device"]["name"] == "CPU"


def test_no_secret_is_in_anything_that_was_written(finished):
    """The finished project was run by a user with credentials, see its fixture."""
    for path in finished.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(secret.encode() in content for secret in SECRETS), path


def explain(project: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "coverslip.bookkeeping.explain", *arguments],
        cwd=project,
        env=clean_environment() | {"PYTHONPATH": "workflow/scripts"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return "\n".join(" ".join(line.split()) for line in done.stdout.splitlines())


def test_an_unchanged_file_is_explained(project):
    told = explain(project, str(MODEL))
    for line in (
        "made by train study=one fold=0 seed=1",
        "command snakemake --cores 2",
        "training.learning_rate 0.001",
        "verdict up to date",
    ):
        assert f"\n{line}\n" in f"{told}\n"
    assert "as made" in told and told.count("unchanged") == 4 and "CHANGED" not in told


def test_what_has_changed_is_told(project):
    config = project / "config/config.yaml"
    config.write_text(
        config.read_text().replace("epochs: 1", "epochs: 1\n      learning_rate: 2.0e-3")
    )
    module = project / "workflow/scripts/coverslip/learning/schedules.py"
    module.write_text(module.read_text().replace("\ndef rate(", "\n@id\ndef rate("))
    split = project / MODEL.parents[2] / "split.csv"
    split.write_text(split.read_text().replace("validation", "test", 1))
    (project / MODEL).write_bytes(b"")
    told = explain(project, str(MODEL))
    for line in (
        "training.learning_rate CHANGED: 0.001 -> 0.002",
        "CHANGED: rate in coverslip.learning.schedules",
    ):
        assert f"\n{line}\n" in told
    assert "CHANGED since it was made" in told
    assert "split results/studies/one/split.csv CHANGED: " in told
    assert "verdict would be made again: " in told


def test_a_run_is_described_as_a_crate_that_its_validator_accepts(project, monkeypatch):
    monkeypatch.chdir(project)
    config = yaml.safe_load((project / "config/config.yaml").read_text())
    config["datasets"]["made"] |= {"licence": "CC0-1.0", "citation": "Nobody, some day"}
    config = settings.resolve(config, crate.SCHEMA)
    path = crate.write(config, ["one", "two"], project / "results")
    first = path.read_bytes()
    graph = {entity["@id"]: entity for entity in json.loads(first)["@graph"]}
    assert graph["#data-made"]["license"] == "CC0-1.0"
    assert graph["#data-made"]["creditText"] == "Nobody, some day"
    assert {"@id": "datasets/made/pictures.h5"} in graph["./"]["hasPart"]
    assert graph["#train-one-0-1"]["instrument"]["@id"] in graph
    metrics = graph["studies/one/metrics.json"]
    assert metrics["sha256"] == contents.sha256(project / "results/studies/one/metrics.json")
    assert crate.write(config, ["one", "two"], project / "results").read_bytes() == first
    monkeypatch.setattr(HTTPAdapter, "send", without_network)
    checked = validate(
        ValidationSettings(
            rocrate_uri=str(project / "results"),
            profile_identifier="process-run-crate-0.5",
            requirement_severity="REQUIRED",
            no_cache=True,
        )
    )
    assert checked.passed(), [issue.message for issue in checked.get_issues()]
    (project / "results/studies/one/metrics.json").write_text("{}")
    with pytest.raises(Exception, match=r"metrics.json: is not what its record says"):
        crate.write(config, ["one", "two"], project / "results")


def without_network(self: HTTPAdapter, request: PreparedRequest, **options: object) -> Response:
    """Answer with the JSON-LD context that the library ships: the one thing that is asked for."""
    response = Response()
    response.request, response.url, response.status_code = request, request.url, 404
    if request.url.startswith("https://w3id.org/ro/crate/"):
        shipped = Path(rocrate.__file__).parent / "data/ro-crate.jsonld"
        response._content, response.status_code = shipped.read_bytes(), 200
        response.headers["Content-Type"] = "application/ld+json"
    return response
