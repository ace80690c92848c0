"""Trials are ranked by their score; ties and trials without one have their places too."""

import json

import pandas as pd
import pytest

from coverslip.errors import CoverslipError
from coverslip.training.ranking import at_place, collect, rank, write_best


def write(folder, trial, losses, diverged=False, kept=None):
    """A trial with these validation losses; accuracy is 1 less the loss."""
    folder.mkdir(parents=True)
    rows = [
        {
            "epoch": epoch + 1,
            "validation_loss": loss,
            "validation_accuracy": 1 - loss,
            "seconds": 30.0,
        }
        for epoch, loss in enumerate(losses)
    ]
    pd.DataFrame(rows).to_csv(folder / "history.csv", index=False)
    told = {
        "trial": trial,
        "values": {"training.batch_size": trial + 1},
        "epochs": len(losses),
        "kept_epoch": None if diverged else kept or losses.index(min(losses)) + 1,
        "diverged": diverged,
    }
    (folder / "trial.json").write_text(json.dumps(told))
    return folder


def ranked(tmp_path, folders, metric="loss"):
    rank(folders, metric, tmp_path / "ranking.csv")
    return pd.read_csv(tmp_path / "ranking.csv")


def test_the_score_is_that_of_the_kept_epoch(tmp_path):
    folders = [
        write(tmp_path / "0", 0, [0.5, 0.2, 0.9]),
        write(tmp_path / "1", 1, [0.6, 0.3, 0.1], kept=3),
        write(tmp_path / "2", 2, [0.6, 0.3, 0.15], kept=1),
    ]
    table = ranked(tmp_path, folders)
    assert table["trial"].tolist() == [1, 0, 2]
    assert table["score"].tolist() == [0.1, 0.2, 0.6]
    assert table["place"].tolist() == [0, 1, 2]
    by_accuracy = ranked(tmp_path, folders, "accuracy")
    assert by_accuracy["trial"].tolist() == [1, 0, 2]
    assert by_accuracy["score"].tolist() == [0.9, 0.8, 0.4]


def test_equals_stand_by_number_and_those_that_diverged_last(tmp_path):
    nan = float("nan")
    folders = [
        write(tmp_path / "a", 5, [0.3]),
        write(tmp_path / "b", 1, [nan], diverged=True),
        write(tmp_path / "c", 3, [0.3]),
        write(tmp_path / "d", 0, [0.2, nan], diverged=True),
    ]
    for order in (folders, folders[::-1]):
        table = ranked(tmp_path, order)
        assert table["trial"].tolist() == [3, 5, 0, 1]
        assert table["score"].isna().tolist() == [False, False, True, True]
    assert at_place(tmp_path / "ranking.csv", 1) == (5, {"training.batch_size": 6})
    with pytest.raises(CoverslipError, match="no place 4"):
        at_place(tmp_path / "ranking.csv", 4)


def test_the_best_is_told_without_its_score(tmp_path):
    ranked(tmp_path, [write(tmp_path / "a", 4, [0.3]), write(tmp_path / "b", 2, [0.1])])
    write_best(tmp_path / "ranking.csv", tmp_path / "best.json")
    told = json.loads((tmp_path / "best.json").read_text())
    assert told == {"trial": 2, "values": {"training.batch_size": 3}}


def test_a_search_in_which_all_diverged_has_no_best(tmp_path):
    ranked(tmp_path, [write(tmp_path / "a", 0, [float("nan")], diverged=True)])
    with pytest.raises(CoverslipError, match="all trials of the search diverged"):
        write_best(tmp_path / "ranking.csv", tmp_path / "best.json")


def test_a_metric_that_a_history_lacks_is_named(tmp_path):
    with pytest.raises(CoverslipError, match="validation_iou"):
        ranked(tmp_path, [write(tmp_path / "a", 0, [0.3])], "iou")


def test_tables_tell_each_trial_as_it_stood_on_its_last_rung(tmp_path):
    first = [write(tmp_path / f"0/{n}", n, [0.5 - 0.1 * n]) for n in range(3)]
    first.append(write(tmp_path / "0/3", 3, [float("nan")], diverged=True))
    second = [write(tmp_path / "1/0", 2, [0.3, 0.45]), write(tmp_path / "1/1", 1, [0.4, 0.2])]
    search = {"metric": "loss", "seed": 1, "space": {"training.batch_size": {}}}
    paths = [tmp_path / name for name in ("trials.csv", "curves.csv", "search.json")]
    collect({0: [first, second]}, search, [1, 2], *paths)
    table, curves = pd.read_csv(paths[0]), pd.read_csv(paths[1])
    assert table["trial"].tolist() == [1, 2, 0, 3]
    assert table["rung"].tolist() == [1, 1, 0, 0]
    assert table["epochs"].tolist() == [2, 2, 1, 1]
    assert table["score"].tolist()[:3] == [0.2, 0.3, 0.5] and table["score"].isna().sum() == 1
    assert table["chosen"].tolist() == [True, False, False, False]
    assert table["minutes"].tolist() == [1.0, 1.0, 0.5, 0.5]
    assert curves.groupby("trial")["epoch"].max().to_dict() == {0: 1, 1: 2, 2: 2, 3: 1}
    told = json.loads(paths[2].read_text())
    assert told["rungs"] == [{"epochs": 1, "trials": 4}, {"epochs": 2, "trials": 2}]
    assert told["chosen"]["0"]["values"] == {"training.batch_size": 2}
