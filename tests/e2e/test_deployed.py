"""A workflow that Snakemake takes from a tag on GitHub runs as a clone does."""

import json
from pathlib import Path

import pytest
import yaml
from hosted import SNAKEFILE, TAG, host
from running import snakemake, tiny

pytestmark = pytest.mark.e2e


def test_deployed_at_a_tag_it_simulates_checks_and_trains(tmp_path):
    """Jobs import the package from Snakemake's cache, and say so in their record."""
    hosted = host(tmp_path / "github")
    lab = tmp_path / "lab"
    (lab / "config").mkdir(parents=True)
    (lab / "config/config.yaml").write_text(yaml.safe_dump(tiny(Path("own"))))
    (lab / "own").mkdir()
    (lab / "workflow").mkdir()
    (lab / "workflow/Snakefile").write_text(SNAKEFILE)
    model = "results/studies/one/fold0_seed1/model"
    snakemake(lab, f"{model}/model.json", "--config", "run=['one']", **hosted)
    record = json.loads((lab / model / "run.json").read_text())
    assert record["git"] == f"github.com/lab/coverslip/workflow/rules@{TAG}"
    assert json.loads((lab / "results/datasets/made/check/report.json").read_text())
    assert sorted(path.name for path in lab.iterdir()) == [
        ".snakemake",
        "config",
        "own",
        "results",
        "workflow",
    ]
