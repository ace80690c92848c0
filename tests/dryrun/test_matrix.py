"""Every shipped config parses, lints and dry-runs, on a bare clone too."""

import re
import subprocess
import sys

import pytest
import yaml
from running import ROOT, copy_project, jobs, place_data, snakemake, tiny

CONFIGS = {
    "default": [],
    "kaggle": ["--configfile", "config/kaggle.yaml"],
    "from-scratch": ["--configfile", "config/kaggle.yaml", "config/from-scratch.yaml"],
    "brightfield": ["--configfile", "config/brightfield.yaml"],
    "models": ["--configfile", "config/models.yaml"],
}
# Jobs that get what the workflow cannot make: by rule, for each config.
DATA = ("nuclei-patches.zip", "brightfield.zip", "brightfield")
FETCHED = {
    "default": {},
    "kaggle": {"download": 2, "download_pretrained_weights": 3},
    "from-scratch": {"download": 2},
    "brightfield": {},
    "models": {"download": 1, "download_pretrained_weights": 1},
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
    return place_data(copy_project(tmp_path_factory.mktemp("clone")))


def shipped(config):
    """The studies of a shipped config, and how often each is trained."""
    name = {"default": "config", "from-scratch": "kaggle"}.get(config, config)
    studies = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())["studies"]
    runs = {
        name: study.get("split", {}).get("folds", 1) * len(study.get("seeds", [1]))
        for name, study in studies.items()
    }
    return studies, runs


@pytest.mark.parametrize("config", CONFIGS)
def test_every_config_dry_runs_without_data_and_credentials(clone, config):
    counts = jobs(clone, *CONFIGS[config])
    studies, runs = shipped(config)
    kmeans = [name for name, study in studies.items() if "kmeans" in study]
    classes = [name for name, study in studies.items() if study.get("task") == "classification"]
    assert counts["evaluate"] == counts["notebook"] == len(studies)
    assert counts["predict"] == sum(runs.values())
    assert counts.get("train_kmeans", 0) == sum(runs[name] for name in kmeans)
    assert counts["train"] == sum(runs.values()) - counts.get("train_kmeans", 0)
    assert counts.get("explain", 0) == counts.get("write_submission", 0) == len(classes)
    assert counts["report"] == 1
    rules = ("download", "require_manual_download", "download_pretrained_weights")
    assert {rule: counts[rule] for rule in rules if rule in counts} == FETCHED[config]


def test_all_five_studies_are_reproduced_and_grouped():
    studies, _ = shipped("kaggle")
    for start in ("cell-lines", "nuclei", "types", "confluency"):
        kinds = {"reproduces" in study for name, study in studies.items() if name.startswith(start)}
        assert kinds == {True, False}, start
    sources = " ".join(study.get("source", "") for study in studies.values())
    assert all(f"(study {number}" in sources for number in range(1, 6))
    for name, study in studies.items():
        if study.get("reproduces") is not None:
            assert study["known_issues"] and study["compare_with"] in studies, name


def test_all_asks_for_what_the_first_run_lists(clone):
    page = (ROOT / "docs/tutorials/first-run.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `(results/(?!logs|measure)[^`]+)`", page, re.MULTILINE))
    assert len(rows) >= 7
    asked = asked_by_all(clone)
    for row in rows:
        pattern = re.sub("<[a-z]+>", "[^/]+", row)
        assert any(re.match(pattern, file) for file in asked), row
    more = {
        "search": ["predicted_classes.csv", "search/trials.csv", "search/curves.csv"],
        "ensemble": ["ensemble/scores.json"],
    }
    for config, names in more.items():
        asked = asked_by_all(clone, *CONFIGS["kaggle"], f"config/{config}.yaml")
        for name in names:
            assert any(re.fullmatch(f"results/studies/[^/]+/{name}", file) for file in asked), name


def asked_by_all(clone, *arguments):
    """Inputs of the rule `all`."""
    text = snakemake(clone, "--dry-run", *arguments)
    return re.search(r"^(?:local)?rule all:\n    input: (.*)$", text, re.MULTILINE)[1].split(", ")


def test_one_study_of_several(clone):
    counts = jobs(clone, *CONFIGS["kaggle"], "--config", 'run=["nuclei-grouped"]')
    assert counts["train"] == 5 and "download_pretrained_weights" not in counts
    assert counts["download"] == 1 and "require_manual_download" not in counts


def test_studies_without_data_are_left_out_and_the_others_run(tmp_path):
    where = copy_project(tmp_path / "clone")
    file = ["--configfile", "config/kaggle.yaml"]
    (where / "resources/raw").mkdir(parents=True)
    (where / "resources/raw/dsb2018.zip").touch()
    no_kaggle = {"HOME": str(tmp_path), "KAGGLE_API_TOKEN": "", "KAGGLE_KEY": ""}
    text = snakemake(where, "--dry-run", *file, **no_kaggle)
    names, _ = shipped("kaggle")
    for name, study in names.items():
        left_out = study["dataset"] != "dsb2018"
        lines = [line for line in text.splitlines() if f"left out: {name}: " in line]
        assert len(lines) == left_out and (f"studies/{name}/metrics.json" in text) != left_out
        assert all("is missing: " in line for line in lines)
    asked = "results/studies/types-cnn-random/metrics.json"
    text = snakemake(where, asked, *file, check=False, **no_kaggle)
    assert "coverslip: resources/raw/nuclei-patches.zip is missing: put the archive" in text
    assert "Traceback" not in text and "CalledProcessError" not in text
    (where / "resources/raw/dsb2018.zip").unlink()
    text = snakemake(where, "--dry-run", *file, check=False, **no_kaggle)
    assert "coverslip: no study can run" in text and "Traceback" not in text


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


def test_the_dag_has_no_job_per_image(clone, tmp_path):
    config = tiny(tmp_path)
    config["datasets"]["made"]["source"]["images"] = 100_000
    for study in config["studies"].values():
        study["dataset"] = "made"
        study["preprocessing"]["shards"] = 4
        study["evaluation"] = {"shards": 3}
    file = tmp_path / "many.yaml"
    file.write_text(yaml.safe_dump(config))
    counts = jobs(clone, "--configfile", str(file))
    assert counts["extract_patches"] == 8 and counts["predict"] == 6 and sum(counts.values()) < 50


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
