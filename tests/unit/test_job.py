"""What every script does around its call."""

import errno
import json
import types
from pathlib import Path

import pytest

from coverslip.errors import CoverslipError
from coverslip.job import LOG, identity, job


class Named(list):
    """A list with items(), as Snakemake's input, params and wildcards are."""

    def items(self):
        return self.named.items()

    def get(self, key, default=None):
        return self.named.get(key, default)


def named(values=(), **pairs):
    result = Named(values)
    result.named = pairs
    return result


@pytest.fixture
def snakemake(tmp_path):
    (tmp_path / "input.txt").write_text("1")
    yield types.SimpleNamespace(
        log=[str(tmp_path / "logs/x.log")],
        rule="train",
        threads=2,
        wildcards=named(study="s"),
        params=named(code="abc"),
        input=named([str(tmp_path / "input.txt")]),
    )
    for handler in list(LOG.handlers):
        LOG.removeHandler(handler)


def test_a_users_mistake_is_one_line_and_exit_status_1(snakemake, capsys):
    with pytest.raises(SystemExit) as caught, job(snakemake):
        raise CoverslipError("a.zip: is cut short; copy it again")
    assert caught.value.code == 1
    assert capsys.readouterr().err == "coverslip: a.zip: is cut short; copy it again\n"
    assert "Traceback" in Path(snakemake.log[0]).read_text()


def test_a_full_disk_names_the_file_and_the_mend(snakemake, capsys):
    with pytest.raises(SystemExit), job(snakemake):
        raise OSError(errno.ENOSPC, "No space left on device", "results/x.h5")
    told = capsys.readouterr().err
    assert "results/x.h5" in told and "free some space" in told and "Traceback" not in told


def test_a_defect_is_raised_whole_and_logged(snakemake):
    with pytest.raises(ZeroDivisionError), job(snakemake):
        raise ZeroDivisionError("x")
    assert "ZeroDivisionError" in Path(snakemake.log[0]).read_text()


def test_the_record_is_written_only_when_the_job_ends_well(snakemake, tmp_path):
    record = tmp_path / "run.json"
    with pytest.raises(SystemExit), job(snakemake, record):
        raise CoverslipError("no")
    assert not record.exists()
    with job(snakemake, record) as facts:
        facts["device"] = "CPU"
    written = json.loads(record.read_text())
    assert written["device"] == "CPU" and written["rule"] == "train" and written["code"] == "abc"
    assert written["peak_memory_mb"] > 1 and written["packages"]["numpy"]


def test_identity_depends_on_params_and_input_contents(snakemake, tmp_path):
    first = identity(snakemake)
    snakemake.params.named["code"] = "abd"
    second = identity(snakemake)
    (tmp_path / "input.txt").write_text("2")
    assert len({first, second, identity(snakemake)}) == 3
