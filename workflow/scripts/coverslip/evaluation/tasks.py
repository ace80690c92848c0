"""What differs between tasks: one module a task and stage, loaded by name.

All tasks walk the same road; at these stages an image's answer is a mask in one and a class in the
other. The function has the name of the stage and the same arguments for all tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

MASKS = {
    "prepare": "training.patches",
    "predict": "evaluation.predictions",
    "evaluate": "evaluation.evaluate",
    "compare": "evaluation.ensemble_scores",
}

CLASSES = {
    "prepare": "training.class_patches",
    "predict": "evaluation.class_predictions",
    "evaluate": "evaluation.class_evaluate",
    "compare": "evaluation.class_ensemble_scores",
}

MODULES = {"segmentation": MASKS, "confluency": MASKS, "classification": CLASSES}
"""Where the function of each stage stands."""


def stage(task: str, name: str) -> Callable[..., Any]:
    """The function of a stage (`prepare`, `predict`, `evaluate`, `compare`) for a task."""
    return getattr(import_module(f"coverslip.{MODULES[task][name]}"), name)
