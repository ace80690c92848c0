"""The cache that clones share: what hits it, and what misses it."""

import json
import os
import shutil
from pathlib import Path

import pytest
from running import copy_project, snakemake

from coverslip.runtime import result_cache
from coverslip.runtime.mock_snakemake import mock_snakemake
from coverslip.runtime.run_record import NOT_COMPARED

MODEL = "results/studies/one/fold0_seed1/model/model.keras"
RECORDS = {
    "ingest": "results/datasets/made/run.json",
    "extract_patches": "results/studies/one/patches/0/run.json",
    "train": "results/studies/one/fold0_seed1/model/run.json",
}


@pytest.fixture(params=RECORDS.values(), ids=RECORDS)
def job(request, finished, shared_cache, monkeypatch):
    """A job of the finished project that the cache keeps, as Snakemake would run it again."""
    monkeypatch.chdir(finished)
    monkeypatch.setenv(result_cache.LOCATION, str(shared_cache))
    return mock_snakemake(Path(request.param))


def hits(job) -> bool:
    return result_cache.entry(job).is_dir()


def test_the_same_job_hits_the_cache(job):
    assert hits(job)


@pytest.mark.parametrize("values", ["params", "wildcards"])
def test_a_changed_parameter_or_wildcard_misses(job, values):
    of_job = getattr(job, values)
    for name, value in dict(of_job.items()).items():
        if name == NOT_COMPARED:
            continue
        of_job.__dict__[name] = [value, "another"]
        assert not hits(job), name
        of_job.__dict__[name] = value
    assert hits(job)


def test_a_changed_input_misses(job, tmp_path):
    for place, path in enumerate(list(job.input)):
        other = shutil.copyfile(path, tmp_path / Path(path).name)
        job.input[place] = other
        assert hits(job), "the same content in another folder"
        other.write_bytes(other.read_bytes() + b" ")
        assert not hits(job), path
        job.input[place] = path


def test_another_package_misses(job, monkeypatch):
    packages = result_cache.environment() | {"numpy": "99.0"}
    monkeypatch.setattr(result_cache, "environment", lambda: packages)
    assert not hits(job)


def test_a_second_clone_computes_nothing(finished, shared_cache, tmp_path):
    clone = copy_project(tmp_path / "clone", finished)
    shutil.copytree(finished / "own", clone / "own", copy_function=shutil.copyfile)
    told = snakemake(clone, MODEL, SNAKEMAKE_OUTPUT_CACHE=str(shared_cache))
    assert told.count("taken from the shared cache") == 3
    assert "epoch 1/1" not in told and " images\n" not in told
    for path in (
        MODEL,
        "results/datasets/made/images.h5",
        "results/studies/one/patches/0/index.csv",
    ):
        assert (clone / path).read_bytes() == (finished / path).read_bytes()
        assert not os.path.islink(clone / path)
    record = json.loads((clone / MODEL).with_name("run.json").read_text())
    first = json.loads((finished / MODEL).with_name("run.json").read_text())
    assert record.pop("reused") and record == first
    # Without the variable everything is computed, and with it nothing changes hands by itself.
    assert len(list(Path(shared_cache).rglob("entry.json"))) == 6
