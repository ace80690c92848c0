"""Archives of Kaggle in a run: downloaded once, taken where they lie, and no secret anywhere."""

import os
from pathlib import Path

import pytest
import yaml
from kaggle_server import (
    CHUNK,
    ONLY_HERE,
    SHA256,
    environment,
    no_secret,
    no_secret_below,
    serving,
)
from running import copy_project, jobs, place_data, snakemake

from coverslip.data.simulate import nuclei

ALL = ["--configfile", "config/kaggle.yaml"]
CONFIG = [*ALL, "--config", 'run=["nuclei-grouped"]']
ARCHIVE = Path("resources/raw/dsb2018.zip")


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return place_data(copy_project(tmp_path_factory.mktemp("clone")))


def user(monkeypatch, tmp_path, port, credentials):
    """Be a user with such credentials; every Python that starts asks our server only."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(ONLY_HERE)
    found = environment(tmp_path / "home", port, credentials) | {"PYTHONPATH": str(site)}
    for name in set(os.environ) - set(found):
        monkeypatch.delenv(name)
    for name, value in found.items():
        monkeypatch.setenv(name, value)


def configure(project: Path, **source) -> None:
    file = project / "config/kaggle.yaml"
    config = yaml.safe_load(file.read_text())
    config["datasets"]["dsb2018"]["source"] |= source
    file.write_text(yaml.safe_dump(config, sort_keys=False))


def test_a_dry_run_asks_nobody(clone, monkeypatch, tmp_path):
    user(monkeypatch, tmp_path, 9, "token")
    assert jobs(clone, *CONFIG)["download"] == 1
    assert jobs(clone, *ALL)["download"] == 2
    assert not list(clone.glob("resources/raw/*.download"))


def test_datasets_of_one_archive_share_it(monkeypatch, tmp_path):
    project = copy_project(tmp_path / "project")
    both = [*ALL, "--config", 'run=["cell-lines-grouped", "confluency-unet-grouped"]']
    counts = jobs(project, *both)
    assert counts["download"] == 1 and counts["ingest"] == 2
    with serving() as server:
        user(monkeypatch, tmp_path, server.server_address[1], "token")
        snakemake(project, *both, "--until", "download")
        assert server.downloads() == 1
    assert [path.name for path in (project / "resources/raw").glob("*.zip")] == ["livecell.zip"]
    counts = jobs(project, *both)
    assert "download" not in counts and counts["ingest"] == 2


def test_the_demo_needs_no_credentials(clone, monkeypatch, tmp_path):
    user(monkeypatch, tmp_path, 9, "none")
    counts = jobs(clone)
    assert "download" not in counts and counts["simulate"] == 4 and counts["report"] == 1


def test_an_archive_dropped_in_by_hand_is_taken_as_it_is(monkeypatch, tmp_path):
    user(monkeypatch, tmp_path, 9, "none")
    project = copy_project(tmp_path / "project")
    archive = project / ARCHIVE
    archive.parent.mkdir(parents=True)
    nuclei.nuclei(archive, images=4, size=32, seed=1)
    before = archive.read_bytes()
    counts = jobs(project, *CONFIG)
    assert "download" not in counts and counts["ingest"] == 1
    snakemake(project, *CONFIG, "--until", "ingest")
    assert archive.read_bytes() == before
    counts = jobs(project, *CONFIG)
    assert "download" not in counts and "ingest" not in counts
    # Nor where the config says something else of the source afterwards.
    configure(project, retries=1, limits={"megapixels": 10}, competition="another")
    counts = jobs(project, *CONFIG)
    assert "download" not in counts and "ingest" not in counts


def test_no_credentials(monkeypatch, tmp_path):
    user(monkeypatch, tmp_path, 9, "none")
    project = copy_project(tmp_path / "project")
    told = snakemake(project, *CONFIG, check=False)
    left_out, line = (line for line in told.splitlines() if line.startswith("coverslip: "))
    assert left_out.startswith(f"coverslip: left out: nuclei-grouped: {ARCHIVE} is missing: ")
    assert "no study can run" in line and "Traceback" not in told
    told = snakemake(project, str(ARCHIVE), *CONFIG, check=False)
    line = next(line for line in told.splitlines() if "no valid Kaggle credentials" in line)
    for way in ("KAGGLE_API_TOKEN", "~/.kaggle", "KAGGLE_USERNAME and KAGGLE_KEY"):
        assert way in line
    assert f"put it at {ARCHIVE}" in line
    assert not (project / ARCHIVE).exists()


@pytest.mark.parametrize("credentials", ["token", "file"])
def test_no_secret_in_anything_that_is_written(monkeypatch, tmp_path, credentials):
    project = copy_project(tmp_path / "project")
    with serving() as server:
        user(monkeypatch, tmp_path, server.server_address[1], credentials)
        configure(project, retries=0)
        server.files = [CHUNK + 5]
        told = snakemake(project, *CONFIG, "--until", "download", check=False)
        assert "it goes on from there" in told and not (project / ARCHIVE).exists()
        search(project, told)
        server.files = [503]
        told = snakemake(project, *CONFIG, "--until", "download", check=False)
        assert "status 503: run again later" in told
        search(project, told)
        server.refusals = [(403, {})]
        told = snakemake(project, *CONFIG, "--until", "download", check=False)
        assert "competitions/data-science-bowl-2018/rules" in told
        search(project, told)
        told = snakemake(project, *CONFIG, "--until", "download")
        assert f"SHA-256 {SHA256}" in told
        assert server.ranges[-1] == f"bytes={CHUNK}-", "a job that failed must not lose its bytes"
        search(project, told)
        asked = server.downloads()
        # The digest that was told is pinned: no reason to download again.
        configure(project, sha256=SHA256)
        assert "download" not in jobs(project, *CONFIG)
        assert server.downloads() == asked
        configure(project, competition="another")
        assert jobs(project, *CONFIG)["download"] == 1


def search(project: Path, told: str) -> None:
    """Search all that a run printed and wrote, packed or not."""
    no_secret(told)
    assert any("logs" in path.parts for path in project.rglob("*") if path.is_file())
    no_secret_below(project)
