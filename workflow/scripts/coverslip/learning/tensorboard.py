"""Learning curves for TensorBoard, epoch by epoch, while a training runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

LEFT_OUT = ("epoch", "seconds")
VALIDATION = "validation_"


def writer(folder: Path | None) -> Callable[[Mapping[str, float]], None]:
    """What takes the row of each epoch; without a folder it does nothing.

    Args:
        folder: of the event files, in `training` and `validation`, whose scalars have equal tags
            and so share a chart. A training that goes on adds files to those that are there.
    """
    if folder is None:
        return lambda row: None
    from tensorboard.summary import Writer

    writers: dict[str, Any] = {
        subset: Writer(str(Path(folder) / subset)) for subset in ("training", "validation")
    }

    def write(row: Mapping[str, float]) -> None:
        for name, value in row.items():
            if name not in LEFT_OUT:
                subset = "validation" if name.startswith(VALIDATION) else "training"
                writers[subset].add_scalar(name.removeprefix(VALIDATION), value, int(row["epoch"]))
        for each in writers.values():
            each.flush()

    return write
