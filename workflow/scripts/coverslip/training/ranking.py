"""The table that ranks the trials of a rung, and by which the next rung knows its trials."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from coverslip.errors import CoverslipError
from coverslip.files import atomic_write, write_json

COLUMNS = ("place", "trial", "score", "epochs", "kept_epoch", "values")

LOWER_IS_BETTER = ("loss",)


def rank(folders: Sequence[Path], metric: str, output: Path) -> None:
    """Write the table of a rung: a row a trial, the best first.

    The score is that of the epoch whose weights would be kept if training ended here. A trial that
    diverged has none and stands last; of equals the trial with the lower number stands first.

    Args:
        folders: of the trials, with `trial.json` and `history.csv`.
        metric: `loss`, `accuracy` or `iou`, of the validation images.
        output: the csv, with `COLUMNS`; `values` is JSON.
    """
    rows = [ranking_row(folder, metric) for folder in folders]
    rows.sort(key=lambda row: sort_key(row["score"], row["trial"], metric))
    for place, each in enumerate(rows):
        each |= {"place": place, "values": json.dumps(each["values"], sort_keys=True)}
    with atomic_write(output) as part:
        pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(part, index=False)


def ranking_row(folder: Path, metric: str) -> dict[str, Any]:
    """What a trial came to: trial, values, score (NaN where it diverged), epochs, kept_epoch."""
    told = json.loads((Path(folder) / "trial.json").read_text(encoding="utf-8"))
    score = math.nan
    if not told["diverged"]:
        history = read_trial_history(folder)
        column = f"validation_{metric}"
        if column not in history.columns:
            raise CoverslipError(
                f"{folder}/history.csv: has no column {column}: name another search.metric"
            )
        score = float(history.loc[history["epoch"] == told["kept_epoch"], column].iloc[0])
    return {key: told[key] for key in ("trial", "values", "epochs", "kept_epoch")} | {
        "score": score
    }


def read_trial_history(folder: Path) -> pd.DataFrame:
    """The history of a trial."""
    return pd.read_csv(Path(folder) / "history.csv")


def sort_key(score: float, trial: int, metric: str) -> tuple[bool, float, int]:
    """Key by which trials are sorted, the best first."""
    if math.isnan(score):
        return True, 0.0, trial
    return False, score if metric in LOWER_IS_BETTER else -score, trial


def at_place(ranking: Path, place: int) -> tuple[int, dict[str, Any]]:
    """Number and values of the trial at a place (from 0) of a ranking.

    Raises:
        CoverslipError: no trial stands there.
    """
    table = pd.read_csv(ranking)
    found = table[table["place"] == place]
    if len(found) != 1:
        raise CoverslipError(f"{ranking}: has no place {place}; delete it and run again")
    return int(found["trial"].iloc[0]), json.loads(found["values"].iloc[0])


def write_best(ranking: Path, output: Path) -> None:
    """Write number and values of the best trial, as JSON with the keys `trial` and `values`.

    Raises:
        CoverslipError: all trials diverged.
    """
    table = pd.read_csv(ranking)
    if table["score"].isna().all():
        raise CoverslipError(
            f"{ranking}: all trials of the search diverged: lower the largest learning rate in "
            "config.search_space"
        )
    trial, values = at_place(ranking, 0)
    write_json(output, {"trial": trial, "values": values})


# --- The tables of a search: every trial with its score, and all their learning curves


def collect(
    folders: Mapping[int, Sequence[Sequence[Path]]],
    search: Mapping[str, Any],
    epochs: Sequence[int],
    table: Path,
    curves: Path,
    summary: Path,
) -> None:
    """Write the tables of a search.

    Args:
        folders: of the trials, by fold and rung.
        search: the section `search` of the study, with all defaults.
        epochs: of the rungs.
        table: csv with a row a fold and trial, the best first: fold, trial, each value by its key,
            rung (the last one that it stood on, from 0), epochs, kept_epoch, score (empty where it
            diverged), chosen, minutes.
        curves: csv with a row a fold, trial and epoch: fold, trial, and the columns of a history.
        summary: JSON: metric, space, epochs and trials of the rungs, and by fold the number,
            values and score of the best trial.
    """
    rows: list[dict[str, Any]] = []
    histories: list[pd.DataFrame] = []
    chosen: dict[str, Any] = {}
    for fold, rungs in sorted(folders.items()):
        of_fold, of_curves = _fold(fold, rungs, search)
        rows += of_fold
        histories += of_curves
        first = of_fold[0]
        chosen[str(fold)] = {
            "trial": first["trial"],
            "values": {key: first[key] for key in sorted(search["space"])},
            "score": first["score"],
        }
    with atomic_write(Path(table)) as part:
        pd.DataFrame(rows).to_csv(part, index=False)
    with atomic_write(Path(curves)) as part:
        pd.concat(histories, ignore_index=True).to_csv(part, index=False)
    first_fold = next(iter(folders.values()))
    write_json(
        Path(summary),
        {
            "metric": search["metric"],
            "space": search["space"],
            "seed": search["seed"],
            "rungs": [
                {"epochs": count, "trials": len(rung)}
                for count, rung in zip(epochs, first_fold, strict=True)
            ],
            "chosen": chosen,
        },
    )


def _fold(
    fold: int, rungs: Sequence[Sequence[Path]], search: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[pd.DataFrame]]:
    """Rows and histories of a fold: of each trial as it stood on its last rung."""
    metric, found, histories = search["metric"], {}, {}
    for rung, folders in enumerate(rungs):
        for folder in folders:
            told, history = ranking_row(folder, metric), read_trial_history(folder)
            trial = told["trial"]
            histories[trial] = history
            found[trial] = {
                "fold": fold,
                "trial": trial,
                **{key: told["values"][key] for key in sorted(search["space"])},
                "rung": rung,
                "epochs": told["epochs"],
                "kept_epoch": told["kept_epoch"],
                "score": None if math.isnan(told["score"]) else told["score"],
                "chosen": False,
                "minutes": round(float(history["seconds"].sum()) / 60, 2),
            }

    def key(each: dict[str, Any]) -> tuple:
        score = math.nan if each["score"] is None else each["score"]
        return -each["rung"], sort_key(score, each["trial"], metric)

    rows = sorted(found.values(), key=key)
    rows[0]["chosen"] = True
    for trial, history in sorted(histories.items()):
        history.insert(0, "trial", trial)
        history.insert(0, "fold", fold)
    return rows, [histories[trial] for trial in sorted(histories)]
