"""What the rules of ensembles make, and of what."""

import re
from copy import deepcopy
from pathlib import Path

import kmeans_study
import pytest
import yaml
from running import copy_project, jobs, place_data, snakemake, tiny


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    where = place_data(copy_project(tmp_path_factory.mktemp("clone") / "project"))
    config = tiny(Path("own"))
    del config["studies"]["two"], config["datasets"]["own"]
    study = config["studies"]["one"] | {"seeds": [1, 2], "split": {"folds": 3}}
    study["evaluation"] = study.get("evaluation", {}) | {"ensemble": True, "shards": 2}
    config["studies"] = {"one": study}
    (where / "several.yaml").write_text(yaml.safe_dump(config))
    single = deepcopy(config)
    single["studies"]["one"] |= {"seeds": [1], "split": {}, "evaluation": {}}
    (where / "single.yaml").write_text(yaml.safe_dump(single))
    (where / "kmeans.yaml").write_text(yaml.safe_dump(kmeans_study.config()))
    (where / "mine").mkdir()
    (where / "mine/a.png").write_bytes(b"")
    return where


def test_seeds_of_each_fold_are_scored_beside_the_single_ones(clone):
    counts = jobs(clone, "--configfile", "several.yaml")
    assert counts["train"] == 6 and counts["predict"] == 12
    assert counts["ensemble_model"] == 3 and counts["predict_ensemble"] == 6
    assert counts["evaluate_ensemble"] == 1
    assert not {"ensemble_model", "predict_ensemble"} & set(
        jobs(clone, "--configfile", "single.yaml")
    )


def test_the_shipped_ensemble_adds_a_training_and_the_mean(clone):
    alone = jobs(clone, "--configfile", "config/kaggle.yaml")
    both = jobs(clone, "--configfile", "config/kaggle.yaml", "config/ensemble.yaml")
    added = {rule: both[rule] - alone.get(rule, 0) for rule in both if rule != "total"}
    assert {rule: number for rule, number in added.items() if number} == {
        "train": 1,
        "predict": 1,
        "model_card": 1,
        "ensemble_model": 1,
        "predict_ensemble": 1,
        "evaluate_ensemble": 1,
    }


def test_scores_follow_a_search_of_the_preprocessing(clone, tmp_path):
    config = yaml.safe_load((clone / "several.yaml").read_text())
    study = config["studies"]["one"] | {"split": {}}
    config["studies"]["one"] = study
    scores = "results/studies/one/ensemble/scores.json"
    tried = (("patch", [32, 64], True), ("input_scaling", ["unit", "zscore"], False))
    for key, choices, varies in tried:
        study["search"] = {
            "space": {f"preprocessing.{key}": {"choices": choices}},
            "n_trials": 2,
            "min_epochs": 1,
            "max_epochs": 1,
        }
        (tmp_path / "search.yaml").write_text(yaml.safe_dump(config))
        told = snakemake(clone, scores, "--dry-run", "--configfile", str(tmp_path / "search.yaml"))
        job = told.split("\nrule evaluate_ensemble:")[1]
        inputs = re.search(r"^ *input: (.*)$", job, re.MULTILINE)[1].split(", ")
        assert ("results/studies/one/search/fold0/best.json" in inputs) == varies


def test_the_target_makes_one_model_of_all_trainings(clone):
    counts = jobs(clone, "ensemble", "--configfile", "several.yaml")
    assert counts["train"] == 6 and counts["ensemble_model"] == 1
    assert not {"predict", "predict_ensemble", "evaluate"} & set(counts)
    told = snakemake(clone, "ensemble", "--dry-run", "--configfile", "single.yaml", check=False)
    assert "no study that runs has several trainings" in told
