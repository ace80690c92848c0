"""What `snakedeploy deploy-workflow` writes for a tag runs as a clone does."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from hosted import TAG, host
from running import clean_environment, snakemake, tiny

pytestmark = pytest.mark.e2e


def test_deployed_at_a_tag_it_simulates_checks_and_trains(tmp_path):
    """Jobs import the package from Snakemake's cache, and say so in their record."""
    hosted = host(tmp_path / "github")
    subprocess.run(
        ["snakedeploy", "deploy-workflow", "https://github.com/lab/coverslip", "lab", "--tag", TAG],
        cwd=tmp_path,
        check=True,
        env=clean_environment() | hosted,
    )
    lab = tmp_path / "lab"
    deployed = {path.name for path in lab.iterdir()}
    config = tiny(Path("own"))
    # One study is enough: a training of one epoch on eight images.
    config["datasets"].pop("own")
    config["studies"].pop("two")
    (lab / "config/config.yaml").write_text(yaml.safe_dump(config))
    model = "results/studies/one/fold0_seed1/model"
    check = "results/datasets/made/check/report.json"
    snakemake(lab, f"{model}/model.json", check, **hosted)
    for made in ("raw/made.zip", "datasets/made/images.h5", "studies/one/split.csv"):
        assert (lab / "results" / made).is_file()
    record = json.loads((lab / model / "run.json").read_text())
    assert record["git"] == f"github.com/lab/coverslip/workflow/rules@{TAG}"
    assert json.loads((lab / check).read_text())
    assert {path.name for path in lab.iterdir()} == deployed | {".snakemake", "results"}
