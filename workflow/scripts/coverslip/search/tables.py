"""The tables of a search: every trial with its score, and all their learning curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from coverslip.aside import aside, write_json
from coverslip.search.ranking import read_history, row, sort_key


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
    with aside(Path(table)) as part:
        pd.DataFrame(rows).to_csv(part, index=False)
    with aside(Path(curves)) as part:
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
            told, history = row(folder, metric), read_history(folder)
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
