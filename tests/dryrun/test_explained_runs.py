"""Every result of a finished run tells what it was made from."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import rocrate
import yaml
from kaggle_server import PLANTED, SECRETS, no_secret, no_secret_below
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from running import ROOT, clean_environment, snakemake

from coverslip import files
from coverslip.config import validate as validate_module
from coverslip.reporting import ro_crate

MODEL = Path("results/studies/one/fold0_seed1/model/model.keras")
APART = {"logs", "benchmarks", "state"}
LISTED = {"digests", "code", "params", "packages", "environment", "machine", "started", "ended"}
LISTED |= {"peak_memory_mb", "command", "git", "inputs", "outputs", "wildcards", "definitions"}


def records_of(project: Path) -> dict[Path, dict]:
    paths = sorted(project.glob("results/**/*run.json"))
    return {path: json.loads(path.read_text()) for path in paths}


@pytest.fixture(scope="module")
def records(finished) -> dict[Path, dict]:
    return records_of(finished)


@pytest.mark.parametrize("name", ["finished", "others"])
def test_every_result_is_told_of_by_the_record_beside_it(name, request):
    project = request.getfixturevalue(name)
    records = records_of(project)
    told = {project / p: path for path, record in records.items() for p in record["outputs"]}
    results = {path for path in project.glob("results/**/*") if path.is_file()}
    results = {p for p in results if p.relative_to(project).parts[1] not in APART} - set(records)
    # Of a folder the record tells the number of its files.
    folders = {path for path in told if path.is_dir()}
    results = {p for p in results if not folders & set(p.parents)}
    assert results == set(told) - folders
    assert all(path.parent == note.parent for path, note in told.items())
    assert all(set(record) >= LISTED for record in records.values())


def test_every_script_writes_a_record():
    for file in sorted((ROOT / "workflow/scripts").glob("*.py")):
        assert "with run_script(snakemake" in file.read_text(), file.name


def test_records_are_whole(finished, records):
    for path, record in records.items():
        assert set(record) >= LISTED, path
        assert record["definitions"] and len(record["environment"]) > 50, path
        assert record["command"] == "snakemake --cores 2"
        for output, digest in record["outputs"].items():
            assert files.sha256(finished / output) == digest
        for group in record["inputs"].values():
            for name, digest in group.items():
                assert files.sha256(finished / name) == digest, (path, name)
    train = records[finished / MODEL.with_name("run.json")]
    assert set(train["digests"]) == {"config", "environment", "patches", "images", "split"}
    assert train["wildcards"]["seed"] == "1" and train["device"]["name"] == "CPU"


def test_no_secret_is_in_anything_that_was_written(finished, others, shared_cache):
    """The finished projects were run by a user with credentials, see their fixtures."""
    assert no_secret_below(finished) > 100 and no_secret_below(others) > 100
    assert no_secret_below(shared_cache) > 10
    kinds = ("logs/*/*.log", "report.html", "studies/*/notebook.html", "*/*/run.json", "**/*.keras")
    for kind in kinds:
        assert list(finished.glob(f"results/{kind}")), f"no {kind}: nothing was searched"
    (finished / "planted").write_text(SECRETS[0])
    with pytest.raises(pytest.fail.Exception, match="planted tells a secret"):
        no_secret_below(finished)
    (finished / "planted").unlink()


def module(project: Path, name: str, *arguments: str) -> str:
    """What a module prints that a user with credentials calls."""
    done = subprocess.run(
        [sys.executable, "-m", f"coverslip.{name}", *arguments],
        cwd=project,
        env=clean_environment() | {"PYTHONPATH": "workflow/scripts"} | PLANTED,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    no_secret(done.stdout + done.stderr)
    return done.stdout


def explain(project: Path, file: Path) -> str:
    """What `coverslip explain` prints, with single spaces."""
    printed = module(project, "runtime.explain", str(file))
    return "\n".join(" ".join(line.split()) for line in printed.splitlines())


def test_an_unchanged_file_is_explained(project):
    text = explain(project, MODEL)
    for line in (
        "made by train study=one fold=0 seed=1",
        "command snakemake --cores 2",
        "training.learning_rate 0.003",
    ):
        assert f"\n{line}\n" in text
    assert "as made" in text and text.count("unchanged") == 5 and "CHANGED" not in text


def test_changes_are_explained(project):
    module = project / "workflow/scripts/coverslip/training/schedule.py"
    module.write_text(module.read_text().replace("\ndef rate(", "\n@id\ndef rate("))
    split = project / MODEL.parents[2] / "split.csv"
    split.write_text(split.read_text().replace("validation", "test", 1))
    (project / MODEL).write_bytes(b"")
    text = explain(project, MODEL)
    assert "\nCHANGED: rate in coverslip.training.schedule\n" in text
    assert "CHANGED since it was made" in text
    assert "split results/studies/one/split.csv CHANGED: " in text


def test_the_crate_of_a_run_is_valid(project, monkeypatch):
    monkeypatch.chdir(project)
    config = yaml.safe_load((project / "config/config.yaml").read_text())
    config["datasets"]["made"] |= {"licence": "CC0-1.0", "citation": "Nobody, some day"}
    (project / "config/config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    # As `make crate` does it.
    path = Path(module(project, "reporting.ro_crate", "--configfile", "config/config.yaml").strip())
    config = validate_module.resolve(config, ro_crate.SCHEMA)
    first = path.read_bytes()
    no_secret(first)
    graph = {entity["@id"]: entity for entity in json.loads(first)["@graph"]}
    assert graph["#data-made"]["license"] == "CC0-1.0"
    assert graph["#data-made"]["creditText"] == "Nobody, some day"
    assert {"@id": "datasets/made/images.h5"} in graph["./"]["hasPart"]
    assert graph["#train-one-0-1"]["instrument"]["@id"] in graph
    metrics = graph["studies/one/metrics.json"]
    assert metrics["sha256"] == files.sha256(project / "results/studies/one/metrics.json")
    assert ro_crate.write(config, ["one", "two"], project / "results").read_bytes() == first
    monkeypatch.setattr(HTTPAdapter, "send", without_network)
    reason = "tests/requirements-reference.txt is not installed"
    services = pytest.importorskip("rocrate_validator.services", reason=reason)
    checked = services.validate(
        services.ValidationSettings(
            rocrate_uri=str(project / "results"),
            profile_identifier="process-run-crate-0.5",
            requirement_severity="REQUIRED",
            no_cache=True,
        )
    )
    assert checked.passed(), [issue.message for issue in checked.get_issues()]
    (project / "results/studies/one/metrics.json").write_text("{}")
    with pytest.raises(Exception, match=r"metrics.json: is not what its record says"):
        ro_crate.write(config, ["one", "two"], project / "results")


def test_snakemakes_own_report_is_packed_and_tells_no_secret(project):
    """As `make report` does it."""
    snakemake(project, "--report", "results/snakemake-report.html", **PLANTED)
    packed = (project / "results/snakemake-report.html").read_bytes()
    assert len(packed) > 100_000
    for figure in ("learning_curves", "confusion", "examples"):
        assert figure.encode() in packed
    no_secret(packed)


def without_network(self: HTTPAdapter, request: PreparedRequest, **options: object) -> Response:
    """Answer with the JSON-LD context that the library ships: the one thing that is asked for."""
    response = Response()
    response.request, response.url, response.status_code = request, request.url, 404
    if request.url.startswith("https://w3id.org/ro/crate/"):
        shipped = Path(rocrate.__file__).parent / "data/ro-crate.jsonld"
        response._content, response.status_code = shipped.read_bytes(), 200
        response.headers["Content-Type"] = "application/ld+json"
    return response
