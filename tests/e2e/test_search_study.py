"""A search on a tiny study: 4 trials on 2 rungs, then the training proper, then more trials."""

import json
import shutil

import outputs
import pandas as pd
import pytest
import yaml
from running import copy_project, jobs, snakemake, tiny

pytestmark = pytest.mark.e2e

SEARCH = {
    "space": {
        "training.learning_rate": {"low": 1.0e-4, "high": 1.0e-1, "log": True},
        "network.filters": {"choices": [2, 3]},
    },
    "n_trials": 4,
    "min_epochs": 1,
    "max_epochs": 2,
    "reduction_factor": 2,
    "metric": "loss",
}
HOME = "results/studies/one/search"
NEW = {"n_trials": 5}
TABLES = f"{HOME}/search.json"


def write(where, **more):
    config = tiny(where)
    one = config["studies"]["one"]
    one["training"]["epochs"] = 4
    # The same seed as that of the search, so that the best trial is the start of the training.
    config["studies"] = {"one": one | {"search": SEARCH | more}}
    (where / "config/config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def trained(where) -> dict[str, int]:
    """Epochs that each trial's last job trained, by rung and place."""
    records = sorted((where / HOME).glob("fold0/rung*/*/run.json"))
    found = {}
    for path in records:
        told = json.loads(path.read_text())["search"]
        found["/".join(path.parts[-3:-1])] = told["epochs_trained"]
    return found


def trials(where) -> pd.DataFrame:
    table = pd.read_csv(where / HOME / "trials.csv")
    return table.drop(columns="minutes").set_index("trial").sort_index()


def test_from_trials_to_the_training_with_the_best_values(tmp_path):
    where = copy_project(tmp_path / "project")
    write(where)
    snakemake(where)
    assert outputs.differences(where, {"masks", "network", "search"}) == []
    assert trained(where) == dict.fromkeys([f"rung0/{n}" for n in range(4)], 1) | {
        "rung1/0": 1,
        "rung1/1": 1,
    }
    table = trials(where)
    assert len(table) == 4 and table["rung"].value_counts().to_dict() == {0: 2, 1: 2}
    last = table[table["rung"] == 1]
    assert last["score"].idxmin() == table["chosen"].idxmax()
    best = json.loads((where / HOME / "fold0/best.json").read_text())
    info = json.loads((where / "results/studies/one/fold0_seed1/model/model.json").read_text())
    assert info["training"]["learning_rate"] == best["values"]["training.learning_rate"]
    assert info["network"]["filters"] == best["values"]["network.filters"]
    history = pd.read_csv(where / "results/studies/one/fold0_seed1/model/history.csv")
    curves = pd.read_csv(where / HOME / "curves.csv")
    searched = curves[curves["trial"] == best["trial"]].reset_index(drop=True)
    columns = ["loss", "validation_loss", "validation_iou"]
    assert history[columns].iloc[:2].equals(searched[columns]), "the trial is the training's start"
    page = (where / "results/report.html").read_text()
    assert "search_values" in page and str(best["values"]["training.learning_rate"]) in page
    assert jobs(where) == {}

    write(where, **NEW)
    planned = jobs(where, TABLES)
    assert planned["tune_trial"] == 1 + 3 and "train" not in planned
    assert "rung0/4" in snakemake(where, "--dry-run", TABLES)
    snakemake(where, TABLES)
    again = trained(where)
    assert again["rung0/4"] == 1
    now = trials(where)
    promoted = set(now[now["rung"] == 1].index) - set(last.index)
    assert sum(again[f"rung1/{place}"] for place in range(3)) == len(promoted)
    assert now.loc[last.index, "score"].equals(last["score"])

    # Without its state a trial is trained again, to the same numbers.
    place = where / HOME / "fold0/rung1/0"
    before = pd.read_csv(place / "history.csv").drop(columns="seconds")
    shutil.rmtree(where / "results/state/search")
    (place / "trial.json").unlink()
    snakemake(where, f"{HOME}/fold0/rung1/0/trial.json")
    assert trained(where)["rung1/0"] == 2
    assert pd.read_csv(place / "history.csv").drop(columns="seconds").equals(before)

    # A further rung asks for its own trials and for nothing that was done.
    write(where, **NEW, max_epochs=4)
    assert jobs(where, TABLES) == {"tune_trial": 2, "tune_rank": 1, "tune_tables": 1}
