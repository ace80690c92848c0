"""The jobs of a search: how many, where they run, and what a change of the search does again."""

import pytest
import yaml
from running import copy_project, jobs, snakemake, tiny

SPACE = {
    "training.learning_rate": {"low": 1.0e-4, "high": 1.0e-1, "log": True},
    "training.batch_size": {"choices": [2, 4, 8, 16]},
}
SEARCH = {"space": SPACE, "trials": 9, "epochs_first": 1, "epochs_last": 3, "eta": 3}
OURS = {"trial", "rank_trials", "best_trial", "search_tables", "prepare_variant"}


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    return copy_project(tmp_path_factory.mktemp("clone") / "project")


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
    assert ours(without) == {} and without["figure"] == 6
    searched = counted(clone, tmp_path, SEARCH)
    assert searched["figure"] == 8
    assert ours(searched) == {
        "trial": 9 + 3,
        "rank_trials": 2,
        "best_trial": 1,
        "search_tables": 1,
    }


def test_each_fold_searches_for_itself(clone, tmp_path):
    split = {"method": "random", "folds": 3, "validation": 0.25}
    counts = counted(clone, tmp_path, SEARCH, split=split, seeds=[1, 2])
    assert ours(counts) == {
        "trial": 36,
        "rank_trials": 6,
        "best_trial": 3,
        "search_tables": 1,
    }
    assert counts["train"] == 6


def test_patches_are_cut_for_each_preprocessing_that_is_tried(clone, tmp_path):
    patch = {"preprocessing.patch": {"choices": [32, 64]}}
    counts = counted(clone, tmp_path, SEARCH | {"space": SPACE | patch})
    assert counts["prepare_variant"] == 2 and "prepare" not in counts
    scaling = {"preprocessing.scaling": {"choices": ["unit", "standard"]}}
    counts = counted(clone, tmp_path, SEARCH | {"space": SPACE | scaling})
    assert counts["prepare"] == 1 and "prepare_variant" not in counts


def test_a_mistake_is_refused_before_anything_runs(clone, tmp_path):
    config = tiny(tmp_path)
    config["studies"]["one"]["search"] = {"space": {"training.learning_rat": {"choices": [1.0]}}}
    file = tmp_path / "search.yaml"
    file.write_text(yaml.safe_dump(config))
    text = snakemake(clone, "--dry-run", "--configfile", str(file), check=False)
    assert "did you mean `training.learning_rate`?" in text and "Traceback" not in text


def test_the_published_spaces_of_study_3(clone):
    counts = jobs(clone, "--configfile", "config/kaggle.yaml", "config/search.yaml")
    assert counts["trial"] == 2 * (3 + 2) and counts["train"] == 2
    assert counts["encoder_weights"] == 1
    text = (clone / "config/search.yaml").read_text()
    studies = yaml.safe_load(text)["studies"]
    cnn, resnet = (studies[f"types-{name}-search"]["search"] for name in ("cnn", "resnet"))
    assert cnn["space"] == SPACE | {
        "network.dense_1": {"choices": [2**power for power in range(5, 11)]},
        "network.dense_2": {"choices": [16, 32]},
    }
    assert resnet["space"] == SPACE | {"training.batch_size": {"choices": [2, 4, 8]}}
    assert cnn["metric"] == resnet["metric"] == "loss"
