"""What the SLURM profile would send: the plugin's own `sbatch` line of every rule, no cluster."""

import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from running import ROOT, copy_project, place_data, snakemake
from sbatch_lines import PROFILE, Line, ignored, lines, option

REACH_ALL = [
    [],
    ["--configfile", "config/kaggle.yaml"],
    ["--configfile", "tasks.yaml"],
    ["ensemble", "--configfile", "tasks.yaml"],
    ["measure", "--config", "images=mine", "model=nuclei"],
    ["onnx", "bioimageio", "results/studies/nuclei/fold0_seed1/model/README.md"],
    ["measure", "--config", "images=mine", "model=types"],
]
"""Arguments of dry runs that together reach every rule."""
MADE = {"title": "Made", "source": {"kind": "synthetic"}, "format": "dsb2018"}
TASKS = {
    "datasets": {"made": MADE, "patches": MADE | {"format": "class_folders"}},
    "studies": {
        "confluency": {
            "title": "Confluency",
            "dataset": "made",
            "task": "confluency",
            "seeds": [1, 2],
            "evaluation": {"ensemble": True},
        },
        "kmeans": {"title": "K-means", "dataset": "made", "kmeans": {}},
        "search": {
            "title": "Search",
            "dataset": "made",
            "search": {
                "space": {"preprocessing.patch": {"choices": [64, 128]}},
                "n_trials": 2,
            },
        },
        "classes": {
            "title": "Classes",
            "dataset": "patches",
            "task": "classification",
            "preprocessing": {"resize": [64, 64]},
        },
    },
}
"""Every task and kind of model; a dry run does not mind that the data do not fit."""
CLASS_MODEL = '{"kind": "network", "head": "classification"}'
NETWORK = {"download", "download_pretrained_weights"}
LIGHT = {"ensemble", "ensemble_model"}
LIGHT |= {
    "all",
    "split",
    "report",
    "measure",
    "plot_learning_curves",
    "plot_metrics",
    "plot_network",
}
HEAVY = {"simulate", "ingest", "group_images", "check", "extract_patches", "evaluate", "notebook"}
HEAVY |= {"plot_examples", "measure_tables", "measure_page", "evaluate_ensemble"}
GPU = {"train", "tune_trial", "predict", "predict_ensemble", "measure_images", "measure_classes"}
GOES_ON = {"train", "tune_trial", "measure_images"}
"""Rules that go on where they were, so that the same time is enough for a second attempt."""
SHARED = ("rerun-triggers", "max-checksum-file-size", "rerun-incomplete")


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    where = place_data(copy_project(tmp_path_factory.mktemp("clone") / "project"))
    (where / "mine").mkdir()
    cv2.imwrite(str(where / "mine/one.png"), np.zeros((8, 8), np.uint8))
    (where / "types").mkdir()
    for name, text in (("model.keras", ""), ("model.json", CLASS_MODEL)):
        (where / "types" / name).write_text(text)
    (where / "tasks.yaml").write_text(yaml.safe_dump(TASKS))
    return where


@pytest.fixture(scope="module")
def jobs(clone) -> list[Line]:
    """Lines of all jobs; of one rule those with a GPU come last."""
    found = [line for more in REACH_ALL for line in lines(clone, *PROFILE, *more)]
    return sorted(found, key=lambda line: line.resources.get("gpu", 0))


@pytest.fixture(scope="module")
def rules(jobs) -> dict[str, Line]:
    """A line of each rule of the workflow."""
    return {line.rule: line for line in jobs}


def test_no_rule_is_left_out(clone, rules):
    listed = re.findall(r"^\w+$", snakemake(clone, "--list-rules"), re.MULTILINE)
    assert set(listed) - set(rules) == set(), "add a dry run that reaches them to REACH_ALL"


def test_what_runs_where(rules):
    local = {name for name, line in rules.items() if line.local}
    gpu = {name for name, line in rules.items() if line.resources.get("gpu")}
    assert local >= (NETWORK | LIGHT) & set(rules) and not local & (HEAVY | GPU)
    assert gpu >= GPU and not gpu & (local | HEAVY)


def test_kmeans_takes_no_gpu(jobs):
    predictions = [line for line in jobs if line.rule == "predict"]
    assert {line.resources["gpu"] for line in predictions} == {0, 1}
    for line in predictions:
        assert line.value("--gpus") == ("1" if line.resources["gpu"] else None)


def test_no_resource_has_a_name_that_the_plugin_ignores(rules):
    assert {name: ignored(line.resources) for name, line in rules.items()} == dict.fromkeys(
        rules, set()
    )


@pytest.mark.parametrize("name", ["gpus", "nvidia_gpu", "time", "walltime", "mem_gb", "partition"])
def test_names_that_the_plugin_ignores_are_refused(name):
    assert ignored({"mem_mb": 1, "runtime": 1, "gpu": 1, name: 1}) == {name}


def test_such_a_name_in_a_rule_is_found(clone, tmp_path):
    project = tmp_path / "project"
    shutil.copytree(clone, project, ignore=shutil.ignore_patterns(".snakemake"))
    file = project / "workflow/rules/train.smk"
    text = file.read_text()
    file.write_text(text.replace("gpu=1", "gpus=1").replace("runtime=720", "time=720"))
    trainings = [line for line in lines(project, *PROFILE) if line.rule == "train"]
    assert len(trainings) == 4, "one of each study"
    for train in trainings:
        assert ignored(train.resources) == {"gpus", "time"}
        assert train.value("--gpus") is None and train.value("-t") == "60"


def test_every_job_says_what_it_needs(rules):
    for name, line in rules.items():
        if line.local:
            assert line.words == [] and "gpu" not in line.resources, name
            continue
        assert line.words[0] == "sbatch" and line.value("--comment") == f"rule_{name}"
        assert line.value("--gpus") == ("1" if line.resources.get("gpu") else None), name
        assert int(line.value("--mem")) == line.resources["mem_mb"] >= 1000, name
        assert int(line.value("-t")) == line.resources["runtime"], name
        assert int(line.value("--cpus-per-task")) == line.resources["_cores"], name
        assert not {"-A", "-p", "--array", "--gres"} & set(line.words), name


def test_a_further_attempt_asks_for_more(rules):
    for name, line in rules.items():
        if not line.local:
            assert int(option(line.again, "--mem")) == 3 * int(line.value("--mem")), name
            factor = 1 if name in GOES_ON else 3
            assert int(option(line.again, "-t")) == factor * int(line.value("-t")), name


def test_the_lines_of_a_site_work_as_they_stand(clone, tmp_path):
    profile = tmp_path / "site"
    profile.mkdir()
    text = (clone / "workflow/profiles/slurm/config.yaml").read_text()
    keys = "slurm_account|slurm_partition|gpu_model|train|set-resources|set-threads"
    text = re.sub(rf"^# ?(?=( *)({keys}):)", "", text, flags=re.MULTILINE)
    (profile / "config.yaml").write_text(text)
    found = {line.rule: line for line in lines(clone, "--workflow-profile", str(profile))}
    assert found["ingest"].value("-A") == found["train"].value("-A") == "my_account"
    assert found["ingest"].value("-p") == "my_partition"
    assert found["train"].value("-p") == "my_gpu_partition"
    assert found["train"].value("--gpus") == "a100:1"
    assert found["train"].value("--cpus-per-task") == "4"


def test_the_documented_partition_file_sends_gpu_jobs_to_gpus(clone, tmp_path):
    text = (ROOT / "docs/how-to/cluster.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    (block,) = (block for block in blocks if block.startswith("partitions:"))
    file = tmp_path / "partitions.yaml"
    file.write_text(block)
    for line in lines(clone, *PROFILE, partitions=str(file)):
        if not line.local:
            partition = "gpu" if line.resources.get("gpu") else "cpu"
            assert line.value("-p") == partition, line.rule


def test_the_profile_keeps_out_of_the_plugins_traps():
    slurm, default = (
        yaml.safe_load((ROOT / f"workflow/profiles/{name}/config.yaml").read_text())
        for name in ("slurm", "default")
    )
    assert slurm["slurm-status-command"] == "squeue" and slurm["retries"] > 0
    # The controller has to remember jobs for three times as long; SLURM's own default is 300 s.
    assert 3 * slurm["slurm-init-seconds-before-status-checks"] <= 300
    assert "slurm-array-jobs" not in slurm and "resources" not in slurm
    assert {key: slurm[key] for key in SHARED} == {key: default[key] for key in SHARED}
    assert default["resources"] == ["gpu=1"]
    for file in sorted((ROOT / "workflow/rules").glob("*.smk")):
        assert not re.search(r"^\s+retries:", file.read_text(), re.MULTILINE), file.name


def test_five_studies_of_five_folds_train_side_by_side(clone, tmp_path):
    config = yaml.safe_load((clone / "config/config.yaml").read_text())
    study = config["studies"].pop("nuclei")
    study |= {"split": {"folds": 5}, "seeds": [1, 2, 3]}
    config["studies"] = {f"nuclei-{number}": study for number in range(5)}
    del config["images"]  # test images of a study of another name
    file = tmp_path / "many.yaml"
    file.write_text(yaml.safe_dump(config))
    found = lines(clone, *PROFILE, "--configfile", str(file))
    trainings = [line for line in found if line.rule == "train"]
    assert len(trainings) == len([line for line in found if line.rule == "predict"]) == 75
    assert len({line.wave for line in trainings}) == 1, "a training waits for another one"
    counts = {name: len([line for line in found if line.rule == name]) for name in ("ingest",)}
    assert counts == {"ingest": 1}
