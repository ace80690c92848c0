"""What is missing of a dataset, and how to get it."""

from pathlib import Path

import pytest

from coverslip.pipeline.missing_data import has_kaggle_credentials, missing_data

KAGGLE = {"kind": "kaggle", "competition": None, "dataset": "owner/name", "path": None}


@pytest.fixture(autouse=True)
def without_credentials(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("KAGGLE_API_TOKEN", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def test_a_path():
    own = {"kind": "path", "path": "own.zip"}
    assert "own.zip is missing: put" in missing_data("own", own, None)
    Path("own.zip").touch()
    assert missing_data("own", own, None) is None


def test_an_archive_of_kaggle(monkeypatch):
    reason = missing_data("cells", KAGGLE, "cells")
    assert "resources/raw/cells.zip" in reason and "datasets/owner/name" in reason
    monkeypatch.setenv("KAGGLE_API_TOKEN", "x")
    assert missing_data("cells", KAGGLE, "cells") is None
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    Path("resources/raw").mkdir(parents=True)
    Path("resources/raw/cells.zip").touch()
    assert missing_data("cells", KAGGLE, "cells") is None


def test_a_dataset_that_is_made_needs_nothing():
    Path("results/datasets/cells").mkdir(parents=True)
    Path("results/datasets/cells/images.h5").touch()
    assert missing_data("cells", KAGGLE, "cells") is None


def test_credentials_in_a_file(tmp_path):
    assert not has_kaggle_credentials()
    (tmp_path / "home/.kaggle").mkdir(parents=True)
    (tmp_path / "home/.kaggle/kaggle.json").touch()
    assert has_kaggle_credentials()
