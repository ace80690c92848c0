"""Rungs of successive halving: how many trials stand on each, and for how many epochs.

After Jamieson and Talwalkar, *Non-stochastic best arm identification and hyperparameter
optimization* (AISTATS 2016). Needs only the standard library: it is asked at parse time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def epochs(search: Mapping[str, Any]) -> list[int]:
    """Epochs after which the trials of each rung are compared.

    Rung r has `epochs_first` eta^r of them, up to `epochs_last`. A rung on which one trial would
    stand alone compares nothing, so there is none.

    Args:
        search: the section `search` of a study, with all defaults.
    """
    found = [search["epochs_first"]]
    while (
        found[-1] * search["eta"] <= search["epochs_last"]
        and _slots(search["trials"], search["eta"], len(found)) > 1
    ):
        found.append(found[-1] * search["eta"])
    return found


def slots(search: Mapping[str, Any]) -> list[int]:
    """Number of trials on each rung: ceil(trials / eta^r), whoever they are."""
    return [_slots(search["trials"], search["eta"], rung) for rung in range(len(epochs(search)))]


def _slots(trials: int, eta: int, rung: int) -> int:
    return -(-trials // eta**rung)
