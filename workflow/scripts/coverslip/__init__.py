"""coverslip: from microscopy images of cells to a report that a scientist can trust.

    from coverslip import load_model
    labels = load_model("nuclei").segment(image)

Importing the package imports nothing else, so that a job starts in well under a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from coverslip.measure.library import LoadedModel

__all__ = ["__version__", "load_model"]

__version__ = "0.1.0"


def load_model(source: str | Path = "nuclei", threads: int | None = None) -> LoadedModel:
    """Load a model, to apply it to arrays; see `coverslip.measure.library.load_model`.

    Args:
        source: the name of a model that comes with coverslip (`nuclei`, `confluency`), a model
            folder, or a zip of one.
        threads: CPU threads; none: one for each core.

    Raises:
        CoverslipError: there is no such model, or it cannot be read.

    Examples:
        >>> import numpy as np
        >>> from coverslip import load_model
        >>> image = np.zeros((64, 64), np.uint8)
        >>> load_model("nuclei").segment(image).shape
        (64, 64)
    """
    from coverslip.measure.library import load_model as load

    return load(source, threads)
