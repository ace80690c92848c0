"""Dry runs are planned for a user with credentials of Kaggle, unless a test says otherwise."""

import pytest


@pytest.fixture(autouse=True)
def credentials(monkeypatch):
    monkeypatch.setenv("KAGGLE_API_TOKEN", "not used")
