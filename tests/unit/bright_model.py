"""A model that takes bright pixels for foreground, for tests of what is made of its answers."""

import numpy as np

from coverslip.models import model

INFO = {
    "format": 2,
    "kind": "bright",
    "classes": ["background", "foreground"],
    "preprocessing": {"channels": "grey", "patch": 32, "normalization": "dtype_range"},
    "fitted": {},
    "threshold": 0.5,
    "num_classes": 1,
}
"""Its `model.json`."""


def allow_bright_models(monkeypatch):
    """Let model folders be of the kind `bright`."""
    monkeypatch.setitem(model.KINDS, "bright", lambda _: lambda tiles: tiles / np.float32(255))
