"""docs/output.md tells of everything that a run writes, and of nothing else."""

import outputs
import pytest

pytestmark = pytest.mark.e2e


def test_what_a_run_wrote_is_told(finished):
    assert outputs.differences(finished, {"masks", "network"}) == []


def test_a_difference_is_seen_in_both_directions(project):
    (project / "results/studies/one/new.csv").write_text("a\n1\n")
    table = project / "results/studies/one/split.csv"
    table.write_text(table.read_text().replace("stratum", "layer", 1))
    (project / "results/studies/two/split.csv").unlink()
    assert outputs.differences(project, {"masks", "network"}) == [
        "results/studies/one/new.csv is not in docs/output.md",
        "column layer of results/studies/one/split.csv is not in docs/output.md",
        "column stratum of results/studies/<study>/split.csv stands in docs/output.md, but was "
        "not written",
    ]
