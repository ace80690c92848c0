"""A cluster of SLURM for the tests of this folder."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import cluster as slurm
import pytest


@pytest.fixture(scope="session")
def cluster() -> Iterator[slurm.Cluster]:
    """A cluster that stands as long as the tests of this folder run."""
    reason = slurm.missing()
    if reason:
        pytest.skip(reason)
    # Not below pytest's own folder: the path of a socket has to be short.
    with (
        tempfile.TemporaryDirectory(prefix="coverslip-slurm-") as folder,
        slurm.Cluster(Path(folder)) as started,
    ):
        yield started
