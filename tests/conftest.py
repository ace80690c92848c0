"""Fixtures of all tests, and the rule that nothing is skipped in silence.

Under `COVERSLIP_REQUIRE=1` (continuous integration) a skipped test fails, except where it is
skipped because `COVERSLIP_DATA` is not set, or has not the data that the test is of.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from kaggle_server import PLANTED
from running import finish, finish_others

NO_DATA = "COVERSLIP_DATA is not set"
NOT_IN_DATA = "COVERSLIP_DATA has no "


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real archives (`dsb2018/stage1_train.zip` and so on)."""
    value = os.environ.get("COVERSLIP_DATA")
    if not value:
        pytest.skip(NO_DATA)
    path = Path(value)
    if not path.is_dir():
        pytest.fail(f"COVERSLIP_DATA names {path}, which is no folder", pytrace=False)
    return path


@pytest.fixture(scope="session")
def shared_cache(finished) -> Path:
    """Folder of the cache that the finished project filled."""
    return finished.parent / "cache"


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """A project whose tiny config ran to its end, for a user with credentials of Kaggle."""
    return once(tmp_path_factory, "finished", finish_with_a_cache) / "project"


@pytest.fixture(scope="session")
def others(tmp_path_factory) -> Path:
    """A project of the other tasks that ran to its end, for the same user."""
    return once(tmp_path_factory, "others", lambda where: finish_others(where, **PLANTED))


def finish_with_a_cache(where: Path) -> None:
    """The project of tiny studies, and the cache that it fills."""
    where.mkdir()
    finish(where / "project", SNAKEMAKE_OUTPUT_CACHE=str(where / "cache"), **PLANTED)


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A copy of a folder that is made by whichever worker of the tests needs it first."""
    alone = "PYTEST_XDIST_WORKER" not in os.environ
    common = factory.getbasetemp() if alone else factory.getbasetemp().parent
    whole, part = common / f"once-{name}", common / f"once-{name}.part"
    with (common / f"once-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            shutil.rmtree(part, ignore_errors=True)
            make(part)
            part.rename(whole)
    own = factory.mktemp(name) / name
    shutil.copytree(whole, own, symlinks=True)
    return own


@pytest.fixture
def project(finished, tmp_path) -> Path:
    """A copy of the finished project, time stamps kept, for one test to change."""
    where = tmp_path / "project"
    shutil.copytree(finished, where, symlinks=True)
    return where


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses real data, so that `-m "not real_data"` leaves it out.

    Files that train come before the other unit tests, so that both workers end at the same time.
    """
    for item in items:
        if "real_data" in getattr(item, "fixturenames", ()):
            item.add_marker("real_data")
    items.sort(key=lambda item: "unit" in item.path.parts and item.path.parent.name != "training")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failed one where nothing may be missing."""
    report = yield
    if not hasattr(report, "wasxfail"):
        _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that is skipped whole."""
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get("COVERSLIP_REQUIRE") != "1" or not report.skipped:
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    told = reason.removeprefix("Skipped: ")
    if told != NO_DATA and not told.startswith(NOT_IN_DATA):
        report.outcome = "failed"
        report.longrepr = f"nothing may be skipped under COVERSLIP_REQUIRE=1, but: {reason}"
