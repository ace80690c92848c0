"""A small copy of the project that really ran once."""

import shutil
import zipfile
from pathlib import Path

import pytest
import yaml
from running import copy_project, snakemake, tiny

from coverslip import synthetic


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """A project whose tiny config ran to its end."""
    where = copy_project(tmp_path_factory.mktemp("finished"))
    archive = where / "own.zip"
    synthetic.nuclei(archive, pictures=8, size=64, seed=2)
    with zipfile.ZipFile(archive) as file:
        file.extractall(where / "own")
    archive.unlink()
    (where / "config/config.yaml").write_text(yaml.safe_dump(tiny(Path("own")), sort_keys=False))
    snakemake(where)
    return where


@pytest.fixture
def project(finished, tmp_path) -> Path:
    """A copy of the finished project, time stamps kept, for one test to change."""
    where = tmp_path / "project"
    shutil.copytree(finished, where, symlinks=True)
    return where
