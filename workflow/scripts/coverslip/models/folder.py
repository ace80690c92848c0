"""What K-means and ensembles know of a model folder: the interface of `model.Model`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from coverslip.errors import CoverslipError

ENSEMBLE = "ensemble"
"""The `kind` in `model.json` of an ensemble."""


class ModelFolder(Protocol):
    """A model as read from its folder; `coverslip.models.model.Model` is one."""

    folder: Path
    """The folder."""
    info: dict[str, Any]
    """`model.json`."""

    @property
    def head(self) -> str:
        """What the network predicts, see `coverslip.models.heads`."""
        ...

    @property
    def temperature(self) -> float:
        """What the logits of classes are divided by."""
        ...


def read_info(folder: Path) -> dict[str, Any]:
    """Return `model.json` of a model folder, unchecked.

    Raises:
        CoverslipError: there is none, or it is no JSON object.
    """
    path = Path(folder) / "model.json"
    try:
        info = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except OSError as error:
        raise CoverslipError(
            f"{folder}: not a model folder ({error.strerror}: model.json): "
            "give the folder `model` of a finished training"
        ) from error
    except (ValueError, RecursionError) as error:
        raise CoverslipError(f"{path}: not JSON ({error}): train again") from error
    if not isinstance(info, dict):
        raise CoverslipError(
            f"{path}: not written by coverslip: give the folder `model` of a finished training"
        )
    return info


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def member_folders(folder: Path, info: Mapping[str, Any] | None = None) -> list[Path]:
    """Model folders of the members of an ensemble; none for another kind of model.

    Args:
        folder: the model folder.
        info: its `model.json`; read from there if it is not given.

    Raises:
        CoverslipError: `model.json` cannot be read, or does not contain them.
    """
    path = Path(folder) / "model.json"
    try:
        info = read_info(folder) if info is None else info
        if info.get("kind") != ENSEMBLE:
            return []
        found = [os.path.normpath(Path(folder) / each["folder"]) for each in info["members"]]
        if not found:
            raise ValueError("none")
    except (ValueError, KeyError, TypeError) as error:
        raise CoverslipError(
            f"{path}: contains no members ({error}): make the ensemble again"
        ) from error
    return [Path(each) for each in found]
