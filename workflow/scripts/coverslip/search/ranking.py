"""The table that ranks the trials of a rung, and by which the next rung knows its trials."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from coverslip.aside import aside, write_json
from coverslip.errors import CoverslipError

COLUMNS = ("place", "trial", "score", "epochs", "kept_epoch", "values")
LOWER_IS_BETTER = ("loss",)


def rank(folders: Sequence[Path], metric: str, output: Path) -> None:
    """Write the table of a rung: a row a trial, the best first.

    The score is that of the epoch whose weights would be kept if training ended here. A trial that
    diverged has none and stands last; of equals the trial with the lower number stands first.

    Args:
        folders: of the trials, with `trial.json` and `history.csv`.
        metric: `loss`, `accuracy` or `iou`, of the validation pictures.
        output: the csv, with `COLUMNS`; `values` is JSON.
    """
    rows = [row(folder, metric) for folder in folders]
    rows.sort(key=lambda row: sort_key(row["score"], row["trial"], metric))
    for place, each in enumerate(rows):
        each |= {"place": place, "values": json.dumps(each["values"], sort_keys=True)}
    with aside(output) as part:
        pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(part, index=False)


def row(folder: Path, metric: str) -> dict[str, Any]:
    """What a trial came to: trial, values, score (NaN where it diverged), epochs, kept_epoch."""
    told = json.loads((Path(folder) / "trial.json").read_text(encoding="utf-8"))
    score = math.nan
    if not told["diverged"]:
        history = read_history(folder)
        column = f"validation_{metric}"
        if column not in history.columns:
            raise CoverslipError(
                f"{folder}/history.csv: has no column {column}: name another search.metric"
            )
        score = float(history.loc[history["epoch"] == told["kept_epoch"], column].iloc[0])
    return {key: told[key] for key in ("trial", "values", "epochs", "kept_epoch")} | {
        "score": score
    }


def read_history(folder: Path) -> pd.DataFrame:
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


def best(ranking: Path, output: Path) -> None:
    """Write number and values of the best trial, as JSON with the keys `trial` and `values`.

    Raises:
        CoverslipError: all trials diverged.
    """
    table = pd.read_csv(ranking)
    if table["score"].isna().all():
        raise CoverslipError(
            f"{ranking}: all trials of the search diverged: lower the largest learning rate in "
            "search.space"
        )
    trial, values = at_place(ranking, 0)
    write_json(output, {"trial": trial, "values": values})
