"""The jobs of a search: how many, where they run, and what a change of the search does again."""

import pytest
import yaml
from running import copy_project, jobs, place_data, snakemake, tiny

SPACE = {
    "training.learning_rate": {"low": 1.0e-4, "high": 1.0e-1, "log": True},
    "training.batch_size": {"choices": [2, 4, 8, 16]},
}
SEARCH = {"space": SPACE, "n_trials": 9, "min_epochs": 1, "max_epochs": 3, "reduction_factor": 3}
OURS = {"tune_trial", "tune_rank", "tune_best", "tune_tables", "extract_variant_patches"}


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return place_data(copy_project(tmp_path_factory.mktemp("clone") / "project"))


def counted(clone, tmp_path, search=None, **study) -> dict[str, int]:
    """Jobs of a study with this search."""
    config = tiny(tmp_path)
    one = config["studies"]["one"]
    one["training"]["epochs"] = 50
    config["studies"] = {"one": one | study}
    if search is not None:
        config["studies"]["one"]["search"] = search
    file = tmp_path / "search.yaml"
    file.write_text(yaml.safe_dump(config))
    return jobs(clone, "--configfile", str(file))


def ours(counts: dict[str, int]) -> dict[str, int]:
    return {rule: count for rule, count in counts.items() if rule in OURS}


def test_a_study_without_a_search_has_no_job_of_one(clone, tmp_path):
    without = counted(clone, tmp_path)
    assert ours(without) == {} and without["plot"] == 9
    searched = counted(clone, tmp_path, SEARCH)
    assert searched["plot"] == 11
    assert ours(searched) == {
        "tune_trial": 9 + 3,
        "tune_rank": 2,
        "tune_best": 1,
        "tune_tables": 1,
    }


def test_each_fold_searches_for_itself(clone, tmp_path):
    split = {"method": "random", "folds": 3, "validation": 0.25}
    counts = counted(clone, tmp_path, SEARCH, split=split, seeds=[1, 2])
    assert ours(counts) == {
        "tune_trial": 36,
        "tune_rank": 6,
        "tune_best": 3,
        "tune_tables": 1,
    }
    assert counts["train"] == 6


def test_patches_are_cut_for_each_preprocessing_that_is_tried(clone, tmp_path):
    patch = {"preprocessing.patch": {"choices": [32, 64]}}
    counts = counted(clone, tmp_path, SEARCH | {"space": SPACE | patch})
    assert counts["extract_variant_patches"] == 2 and "extract_patches" not in counts
    scaling = {"preprocessing.input_scaling": {"choices": ["unit", "zscore"]}}
    counts = counted(clone, tmp_path, SEARCH | {"space": SPACE | scaling})
    assert counts["extract_patches"] == 1 and "extract_variant_patches" not in counts


def test_a_mistake_is_refused_before_anything_runs(clone, tmp_path):
    config = tiny(tmp_path)
    config["studies"]["one"]["search"] = {"space": {"training.learning_rat": {"choices": [1.0]}}}
    file = tmp_path / "search.yaml"
    file.write_text(yaml.safe_dump(config))
    text = snakemake(clone, "--dry-run", "--configfile", str(file), check=False)
    assert "did you mean `training.learning_rate`?" in text and "Traceback" not in text


def test_the_published_spaces_of_study_3(clone):
    counts = jobs(clone, "--configfile", "config/kaggle.yaml", "config/search.yaml")
    assert counts["tune_trial"] == 2 * (3 + 2) and counts["train"] == 2
    assert counts["download_pretrained_weights"] == 1
    text = (clone / "config/search.yaml").read_text()
    studies = yaml.safe_load(text)["studies"]
    cnn, resnet = (studies[f"types-{name}-search"]["search"] for name in ("cnn", "resnet"))
    assert cnn["space"] == SPACE | {
        "network.dense_1": {"choices": [2**power for power in range(5, 11)]},
        "network.dense_2": {"choices": [16, 32]},
    }
    assert resnet["space"] == SPACE | {"training.batch_size": {"choices": [2, 4, 8]}}
    assert cnn["metric"] == resnet["metric"] == "loss"
