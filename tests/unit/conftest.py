"""Fixtures of the unit tests."""

import types
from pathlib import Path

import pytest

from coverslip.runtime.run_script import LOG


class Named(list):
    """A list with names, as Snakemake's input, params, wildcards and log are."""

    def items(self):
        return self.named.items()

    def get(self, key, default=None):
        return self.named.get(key, default)


def named(values=(), **pairs):
    result = Named(values)
    result.named = pairs
    return result


@pytest.fixture
def snakemake_object(tmp_path):
    """What Snakemake gives a script: one input, one output, a log."""
    (tmp_path / "input.txt").write_text("1")
    yield types.SimpleNamespace(
        log=named([str(tmp_path / "logs/x.log")]),
        rule="train",
        threads=2,
        wildcards=named(study="s"),
        params=named(code="abc"),
        input=named([str(tmp_path / "input.txt")]),
        output=named([str(tmp_path / "output.txt")]),
    )
    for handler in list(LOG.handlers):
        LOG.removeHandler(handler)


@pytest.fixture(scope="session")
def mask_study(tmp_path_factory) -> dict:
    """Patches and split of `mask_training.write_study`."""
    import mask_training

    return mask_training.write_study(tmp_path_factory.mktemp("mask_study"))


@pytest.fixture(scope="session")
def class_study(tmp_path_factory) -> Path:
    """Folder of `class_training.write_study`."""
    import class_training

    return class_training.write_study(tmp_path_factory.mktemp("class_study"))


@pytest.fixture(scope="session")
def class_model(class_study, tmp_path_factory) -> Path:
    """Model folder of a training of `class_study`."""
    import class_training

    folder = tmp_path_factory.mktemp("class_model") / "fold0_seed3"
    class_training.train(class_study, folder)
    assert not (folder / "state").exists()
    return folder / "model"
