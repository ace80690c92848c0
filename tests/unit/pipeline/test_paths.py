"""Every path is there once and can be filled in."""

from pathlib import Path

import pytest

from coverslip.pipeline import paths
from coverslip.runtime.run_record import record_path

ROOT = Path(__file__).resolve().parents[3]


def test_expand():
    assert paths.expand("{a}/{b}", a=["x", "y"], b=range(2)) == ["x/0", "x/1", "y/0", "y/1"]
    assert paths.expand("{a}", a=[]) == []


def test_no_rule_spells_a_path_of_a_result():
    for file in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for line in file.read_text().splitlines():
            if '"results/' in line:
                assert "results/logs/" in line or "results/benchmarks/" in line, line


@pytest.mark.reliability("D28", "a job fails", "its record is not printed")
def test_no_record_is_declared_as_a_log():
    for file in sorted((ROOT / "workflow/rules").glob("*.smk")):
        assert not [line for line in file.read_text().splitlines() if ".run.json" in line]


class Outputs(list):
    def get(self, name, default=None):
        return default


@pytest.mark.parametrize(
    ("outputs", "record"),
    [
        (["a/images.h5", "a/manifest.csv"], "a/run.json"),
        (["a/split.csv", "a/split.json"], "a/split.run.json"),
        (["a/README.md"], "a/README.run.json"),
        (["a/labels", "a/images.csv"], "a/run.json"),
    ],
)
def test_records_are_next_to_outputs(outputs, record):
    assert record_path(Outputs(outputs)) == Path(record)
