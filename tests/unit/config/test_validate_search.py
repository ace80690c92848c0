"""A search is checked before anything runs: its keys, its ranges, and each of its trials."""

import copy
import sys
from pathlib import Path

import pytest
import yaml

from coverslip.config import validate
from coverslip.config.sections import Config
from coverslip.errors import CoverslipError

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = ROOT / "workflow/schemas/config.schema.json"
RATE = {"training.learning_rate": {"low": 1.0e-4, "high": 1.0e-1, "log": True}}


def with_search(space: dict, study: str = "nuclei", **more) -> dict:
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    config["studies"][study]["training"]["epochs"] = 9  # the default of `max_epochs`
    config["studies"][study]["search"] = {"space": copy.deepcopy(space), "n_trials": 4, **more}
    return config


def refuse(config: dict) -> str:
    with pytest.raises(CoverslipError) as caught:
        validate.resolve(config, SCHEMA)
    return str(caught.value)


def test_a_search_is_completed_as_pydantic_does():
    raw = with_search(RATE | {"training.batch_size": {"choices": [4, 8]}})
    resolved = validate.resolve(raw, SCHEMA)
    assert resolved == Config(**raw).model_dump(mode="json")
    assert resolved["studies"]["nuclei"]["search"]["reduction_factor"] == 3
    assert validate.resolve(resolved, SCHEMA) == resolved


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (
            {"training.learning_rat": {"low": 0.1, "high": 0.2}},
            "search.space.training.learning_rat: no such key can be searched; did you mean "
            "`training.learning_rate`?",
        ),
        ({"title": {"choices": ["a"]}}, "search.space.title: no such key can be searched"),
        ({"split.seed": {"low": 1, "high": 9}}, "split.seed: no such key can be searched"),
        ({"training.epochs": {"low": 1, "high": 9}}, "epochs: cannot be searched: the rungs"),
        ({"network.head": {"choices": ["semantic"]}}, "network.head: cannot be searched"),
        ({"network.depth": {}}, "network.depth: needs either `low` and `high`, or `choices`"),
        ({"network.depth": {"low": 1}}, "network.depth: needs either `low` and `high`"),
        ({"network.depth": {"low": 3, "high": 1}}, "low (3) is above high (1)"),
        ({"network.dropout": {"low": 0.0, "high": 0.5, "log": True}}, "logarithmic scale has no"),
        ({"network.depth": {"choices": [1, 2], "log": True}}, "log: goes with `low` and `high`"),
        ({"network.depth": {"choices": [1, 2]}}, "2 combinations, fewer than 4 trials"),
        ({"network.depth": {"from": 1}}, "space.network.depth.from: unknown key"),
        ({"training.loss": {"choices": ["dice", "crossentropy"]}}, "losses with another"),
    ],
)
def test_mistakes_in_the_space_are_named(space, words):
    text = refuse(with_search(space))
    assert words in text and "studies.nuclei.search" in text


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"training.batch_size": {"low": 2.0, "high": 9.0}}, "is not of type 'integer'"),
        ({"network.dropout": {"low": 0.5, "high": 2.0}}, "nuclei.network.dropout"),
        ({"preprocessing.patch": {"low": 100, "high": 116}}, "not a multiple of 16"),
        (RATE | {"network.normalization": {"choices": ["bach"]}}, "did you mean `batch`"),
    ],
)
def test_each_trial_is_a_valid_study(space, words):
    text = refuse(with_search(space))
    assert words in text and "(trial 0 of the search, " in text


def test_what_goes_together():
    assert "above training.epochs (9)" in refuse(with_search(RATE, max_epochs=13))
    assert "below min_epochs (9)" in refuse(with_search(RATE, min_epochs=9, max_epochs=8))
    assert "no IoU" in refuse(with_search(RATE, "cell-lines", metric="iou"))
    folds = with_search({"preprocessing.patch": {"choices": [32, 64, 96, 128]}})
    assert validate.resolve(folds, SCHEMA)
    folds["studies"]["nuclei"]["split"]["folds"] = 3
    assert "split.folds" in refuse(folds)
    kmeans = with_search(RATE)
    kmeans["studies"]["nuclei"]["kmeans"] = {}
    assert "K-means has no epochs" in refuse(kmeans)


def test_trials_are_drawn_without_scikit_learn_and_scipy(monkeypatch):
    for package in ("sklearn", "scipy"):
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "coverslip.config.search_space", raising=False)
    assert validate.resolve(with_search(RATE), SCHEMA)
    monkeypatch.setitem(sys.modules, "numpy.random", None)
    assert "install numpy" in refuse(with_search(RATE))
