"""What K-means and ensembles know of a model folder: the interface of `model.Model`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol


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
