"""Figures and facts of a search, from tables as `training.ranking` writes them."""

import json

import made_up
import numpy as np
import pandas as pd
import pytest

from coverslip.config.sections import Evaluation, Preprocessing
from coverslip.errors import CoverslipError
from coverslip.reporting import figures, report, results
from coverslip.reporting.tables import search_facts

SPACE = {
    "network.normalization": {"low": None, "high": None, "log": False, "choices": [None, 1, "b"]},
    "network.depth": {"low": 1, "high": 4, "log": False, "choices": None},
    "training.learning_rate": {"low": 1e-4, "high": 1e-1, "log": True, "choices": None},
}
RUNGS = [{"epochs": 1, "trials": 9}, {"epochs": 3, "trials": 3}]


def write(folder, folds=1, metric="loss", diverged=True):
    """Tables of nine trials a fold."""
    folder.mkdir()
    rng = np.random.default_rng(1)
    trials, curves, chosen = [], [], {}
    for fold in range(folds):
        for place in range(9):
            epochs = 3 if place < 3 else 1
            lost = diverged and place == 8
            values = {
                "network.normalization": SPACE["network.normalization"]["choices"][place % 3],
                "network.depth": int(rng.integers(1, 5)),
                "training.learning_rate": float(10 ** rng.uniform(-4, -1)),
            }
            trials.append(
                {"fold": fold, "trial": place, **values, "rung": int(epochs == 3)}
                | {"epochs": epochs, "kept_epoch": epochs, "chosen": place == 0, "minutes": 1.0}
                | {"score": None if lost else 0.2 + 0.05 * place}
            )
            for epoch in range(1, epochs + 1):
                score = np.nan if lost else 0.2 + 0.05 * place + 0.3 / epoch
                row = {"fold": fold, "trial": place, "epoch": epoch}
                curves.append(row | {f"validation_{metric}": score})
        chosen[str(fold)] = {"trial": 0, "values": {"network.depth": 2}, "score": 0.2}
    pd.DataFrame(trials).to_csv(folder / "trials.csv", index=False)
    pd.DataFrame(curves).to_csv(folder / "curves.csv", index=False)
    told = {"metric": metric, "space": SPACE, "seed": 1, "rungs": RUNGS, "chosen": chosen}
    (folder / "search.json").write_text(json.dumps(told))
    return folder


def inputs(folder):
    return figures.FigureInputs(
        study="study",
        title="A study of nuclei",
        reproduction=False,
        metrics={},
        table=pd.DataFrame(),
        histories={},
        images=None,
        predictions=[],
        models=[],
        preprocessing=Preprocessing(channels="rgb", normalization="dtype_range"),
        evaluation=Evaluation(),
        search=folder,
    )


@pytest.mark.parametrize("name", ["search_curves", "search_values"])
@pytest.mark.parametrize("folds", [1, 4])
def test_figures_of_a_search_are_the_same_each_time(tmp_path, name, folds):
    given = inputs(write(tmp_path / "search", folds, "loss" if folds == 1 else "iou"))
    drawn = []
    for number in range(2):
        path = tmp_path / f"{number}.svg"
        figures.draw(name, given, path)
        drawn.append(path.read_bytes())
    assert drawn[0] == drawn[1] and b"<svg" in drawn[0]


def test_a_study_without_a_search_has_none(tmp_path):
    with pytest.raises(CoverslipError, match="has no search"):
        figures.draw("search_curves", inputs(None), tmp_path / "x.svg")


def test_facts_for_the_report(tmp_path):
    facts = search_facts(write(tmp_path / "search", 2, "accuracy") / "search.json")
    told = {fact.label: fact.text for fact in facts}
    assert told["Trials"] == "9 to epoch 1, then 3 to epoch 3"
    assert told["Ranked by"] == "validation accuracy"
    assert told["Tried: training.learning_rate"] == "0.0001 to 0.1, on a logarithmic scale"
    assert told["Chosen, fold 1"] == "network.depth = 2 (accuracy 0.2000)"
    assert search_facts(None) == []


def test_the_report_shows_what_was_searched_and_chosen(tmp_path):
    config, drawn = made_up.results(tmp_path)
    name = "nuclei-grouped"
    home = tmp_path / "studies" / name
    config["studies"][name]["search"] = {"space": SPACE}
    given = inputs(write(home / "search"))
    for figure in ("search_curves", "search_values"):
        drawn.append(home / "figures" / f"{figure}.svg")
        figures.draw(figure, given, drawn[-1])
    studies = results.collect(config, [name, "nuclei-random"], drawn, tmp_path)
    report.build(studies, {}, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("Hyperparameter search") == 1
    assert "network.depth = 2 (loss 0.2000)" in page
    assert f'id="figure-{name}-search_values"' in page
