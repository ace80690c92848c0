"""What figures show of a search: its tables, and the words and colours for them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib import colormaps
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from coverslip.errors import CoverslipError
from coverslip.reporting.figures.style import VERMILLION
from coverslip.reporting.tables import METRICS
from coverslip.training.halving import LOWER_IS_BETTER


@dataclass(frozen=True)
class SearchData:
    """The tables of a search (`training.halving`)."""

    trials: pd.DataFrame
    curves: pd.DataFrame
    summary: dict[str, Any]

    @property
    def metric(self) -> str:
        """What ranked trials, for reading: `validation IoU`."""
        return f"validation {METRICS[self.summary['metric']]}"

    @property
    def lower_is_better(self) -> bool:
        """Whether the best score is the lowest."""
        return self.summary["metric"] in LOWER_IS_BETTER

    @property
    def folds(self) -> list[int]:
        """Folds that searched, each for itself."""
        return sorted(int(fold) for fold in self.summary["chosen"])

    def colour(self, rung: int) -> Any:
        """Colour of trials that came as far as a rung: the further, the darker."""
        last = max(len(self.summary["rungs"]) - 1, 1)
        return colormaps["cividis_r"](0.15 + 0.75 * rung / last)

    def rung_words(self, rung: int) -> str:
        """`after 3 epochs`: what a trial had done on its last rung."""
        return f"up to epoch {self.summary['rungs'][rung]['epochs']}"


def legend(figure: Figure, data: SearchData) -> None:
    """Draw the legend of the colours of trials below a figure."""
    handles = [
        Line2D([], [], color=data.colour(rung), label=data.rung_words(rung))
        for rung in range(len(data.summary["rungs"]))
    ]
    handles.append(Line2D([], [], color=VERMILLION, linewidth=2.4, label="chosen"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4)


def read(folder: Path | None) -> SearchData:
    """Read the tables in a folder.

    Raises:
        CoverslipError: there is none, or it cannot be read.
    """
    if folder is None:
        raise CoverslipError("the study has no search: nothing to draw")
    folder = Path(folder)
    try:
        return SearchData(
            pd.read_csv(folder / "trials.csv"),
            pd.read_csv(folder / "curves.csv"),
            json.loads((folder / "search.json").read_text(encoding="utf-8")),
        )
    except (OSError, ValueError) as error:
        raise CoverslipError(
            f"{folder}: the tables of the search are not readable ({error}): remove them and run "
            "again"
        ) from error
