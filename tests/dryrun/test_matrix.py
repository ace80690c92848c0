"""Every shipped config parses, lints and dry-runs, on a bare clone too."""

import subprocess
import sys

import pytest
import yaml
from running import ROOT, copy_project, jobs, snakemake, tiny

CONFIGS = {
    "default": [],
    "kaggle": ["--configfile", "config/kaggle.yaml"],
    "from-scratch": ["--configfile", "config/kaggle.yaml", "config/from-scratch.yaml"],
}
# Snakemake and its SLURM plugin themselves import pydantic, numpy and pandas.
OURS = "tensorflow keras cv2 skimage sklearn matplotlib h5py papermill scipy"

BARE = f"""
import sys
for name in {OURS.split()!r}:
    sys.modules[name] = None
from snakemake.cli import main
main(sys.argv[1:])
"""


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return copy_project(tmp_path_factory.mktemp("clone"))


@pytest.mark.parametrize("config", CONFIGS)
def test_every_config_dry_runs(clone, config):
    counts = jobs(clone, *CONFIGS[config])
    studies = 1 if config == "default" else 4
    assert counts["train"] == counts["evaluate"] == counts["notebook"] == studies
    assert counts["report"] == 1
    assert counts.get("encoder_weights", 0) == (1 if config == "kaggle" else 0)


def test_one_study_of_several(clone):
    counts = jobs(clone, *CONFIGS["kaggle"], "--config", 'run=["nuclei-honest"]')
    assert counts["train"] == 1 and "encoder_weights" not in counts


@pytest.mark.parametrize("arguments", [["--dry-run"], ["--lint"]])
def test_a_bare_clone_needs_only_snakemake(clone, arguments):
    done = subprocess.run(
        [sys.executable, "-c", BARE, "--cores", "1", *arguments],
        cwd=clone,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]


def test_lint_is_clean(clone):
    assert "Lints for" not in snakemake(clone, "--lint")


def test_a_mistake_in_the_config_ends_the_run_with_its_mend(clone):
    text = snakemake(clone, "--dry-run", "--config", 'run=["nucle"]', check=False)
    assert "run: no study is called `nucle`; did you mean `nuclei`?" in text
    assert "Traceback" not in text


def test_the_dag_has_no_job_per_picture(clone, tmp_path):
    config = tiny(tmp_path)
    config["datasets"]["made"]["source"]["pictures"] = 100_000
    for study in config["studies"].values():
        study["dataset"] = "made"
        study["preprocessing"]["shards"] = 4
        study["evaluation"] = {"shards": 3, "bootstrap": 100}
    file = tmp_path / "many.yaml"
    file.write_text(yaml.safe_dump(config))
    counts = jobs(clone, "--configfile", str(file))
    assert counts["prepare"] == 8 and counts["predict"] == 6 and sum(counts.values()) < 50


def test_folds_and_seeds_are_jobs_of_their_own(clone, tmp_path):
    config = tiny(tmp_path)
    for study in config["studies"].values():
        study["dataset"] = "made"
        study["split"]["folds"] = 5
        study["seeds"] = [1, 2, 3]
    file = tmp_path / "folds.yaml"
    file.write_text(yaml.safe_dump(config))
    counts = jobs(clone, "--configfile", str(file))
    assert counts["train"] == counts["predict"] == 30 and counts["evaluate"] == 2


def test_formats_are_kept():
    done = subprocess.run(
        [sys.executable, "-m", "snakefmt", "--check", "workflow"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
