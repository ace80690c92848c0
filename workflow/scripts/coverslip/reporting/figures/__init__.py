"""Figures of a study: one module a figure, loaded by name, each with `TITLE` and `draw`.

A module `figures/<name>.py` has a `TITLE` and `draw(inputs, output)`; the ending of `output` (svg
or png) is the format. To add a figure, add a module; `figures.style` holds what they share.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from coverslip.errors import CoverslipError
from coverslip.evaluation.runs import read_history, run_of

if TYPE_CHECKING:
    from coverslip.config.sections import Evaluation, Preprocessing


@dataclass(frozen=True)
class FigureInputs:
    """What a figure may show; figures read no other file."""

    study: str
    """Name of the study."""
    title: str
    """Title of the study."""
    reproduction: bool
    """Whether the study repeats a published protocol."""
    metrics: dict[str, Any]
    """`metrics.json`."""
    table: pd.DataFrame
    """`images.csv`: one row an image, fold and seed."""
    histories: dict[str, pd.DataFrame]
    """History of each run by its name, in the order of the models."""
    images: Path
    """The store."""
    predictions: list[Path]
    """Prediction files of all runs and shards; their folder is that of the run."""
    models: list[Path]
    """Model folders of all runs."""
    preprocessing: Preprocessing
    """The study's section."""
    evaluation: Evaluation
    """The study's section."""
    attribution: Path | None = None
    """Folder with `maps.h5` and `scores.json` of a classification (`class_attribution`),
    where it has them."""
    search: Path | None = None
    """Folder with the tables of a search (`training.ranking`), where there was one."""
    pixel_size_um: float | None = None
    """Height and width of a pixel of the store's images in micrometres; none: not known."""

    def record(
        self, name: str, subset: str, class_name: str | None = None, run: str = "all"
    ) -> dict[str, Any] | None:
        """Return the record of a metric, or None where the study has none."""
        for record in self.metrics["metrics"]:
            key = (record["name"], record["subset"], record["class"], record["run"])
            if key == (name, subset, class_name, run):
                return record
        return None

    @property
    def subset(self) -> str:
        """`test`, or `validation` for a study without test images."""
        return self.metrics["examples_subset"]


class NotGiven:
    """Represents an input that a figure does not declare, so that reading it fails."""

    def __getattr__(self, name: str) -> Any:
        """Raise an error that names the place to declare inputs."""
        raise AttributeError(f"no `{name}`: declare what the figure reads in pipeline/figures.py")


NOT_GIVEN: Any = NotGiven()


def load(
    study: str,
    title: str,
    reproduction: bool,
    metrics: Path | None = None,
    table: Path | None = None,
    images: Path | None = None,
    predictions: Sequence[Path] = (),
    models: Sequence[Path] = (),
    histories: Sequence[Path] = (),
    preprocessing: Preprocessing = NOT_GIVEN,
    evaluation: Evaluation = NOT_GIVEN,
    attribution: Path | None = None,
    search: Path | None = None,
    pixel_size_um: float | None = None,
) -> FigureInputs:
    """Read what a figure needs; what it does not declare (`pipeline.figures`) is left out.

    Raises:
        CoverslipError: a file is missing or is not what it should be.
    """
    texts = {name: str for name in ("id", "group", "modality", "subset")}
    try:
        document = json.loads(Path(metrics).read_text(encoding="utf-8")) if metrics else NOT_GIVEN
        rows = pd.read_csv(table, dtype=texts, keep_default_na=False) if table else NOT_GIVEN
    except (OSError, ValueError) as error:
        raise CoverslipError(
            f"{metrics}, {table}: not readable ({error}): remove them and run again"
        ) from error
    return FigureInputs(
        study=study,
        title=title,
        reproduction=reproduction,
        metrics=document,
        table=rows,
        histories={run_of(path): read_history(Path(path).parent) for path in histories},
        images=Path(images) if images else NOT_GIVEN,
        predictions=[Path(path) for path in predictions],
        models=[Path(path) for path in models],
        preprocessing=preprocessing,
        evaluation=evaluation,
        attribution=attribution,
        search=search,
        pixel_size_um=pixel_size_um,
    )


def draw(name: str, inputs: FigureInputs, output: Path) -> None:
    """Draw the figure of the module `figures/<name>.py`.

    Raises:
        CoverslipError: there is no such figure, or it lacks something to show.
    """
    try:
        module = import_module(f"coverslip.reporting.figures.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"coverslip.reporting.figures.{name}":
            raise
        raise CoverslipError(
            f"there is no figure '{name}': see workflow/scripts/coverslip/reporting/figures"
        ) from error
    module.draw(inputs, Path(output))
