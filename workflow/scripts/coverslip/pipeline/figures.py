"""The figures of each kind of study: their format, and what each of them reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from coverslip.config.tasks import head_of


@dataclass(frozen=True)
class Figure:
    """A module `reporting/figures/<name>.py` as the rule `plot_<name>` knows it."""

    extension: str = "svg"
    """Format of the file."""
    reads: tuple[str, ...] = ("metrics",)
    """Inputs of the rule, see `Targets.figure_inputs`."""
    sections: tuple[str, ...] = ()
    """Sections of the study that it depends on."""
    heavy: bool = False
    """It decodes images: on a cluster a job of its own, not a step of the login node."""


SCORED_IMAGES = ("metrics", "table", "images", "predictions")

SEGMENTATION = {
    "learning_curves": Figure(reads=("metrics", "infos", "histories")),
    "metrics": Figure(reads=("metrics", "table")),
    "classification_report": Figure(),
    "confusion": Figure(),
    "examples": Figure(
        "png", (*SCORED_IMAGES, "best"), sections=("preprocessing", "evaluation"), heavy=True
    ),
}

NETWORK = {
    "network": Figure(reads=("first_weights", "best"), sections=("preprocessing",)),
}

INSTANCES = {
    "average_precision": Figure(),
    "objects": Figure("svg", SCORED_IMAGES, heavy=True),
    "contours": Figure("png", SCORED_IMAGES, heavy=True),
}

CONFLUENCY = {"confluency": Figure(reads=("metrics", "table"))}

KMEANS = {"clusters": Figure("png", ("metrics", "images", "first_info"), heavy=True)}

CLASSIFICATION = {
    "learning_curves": SEGMENTATION["learning_curves"],
    "class_report": Figure(),
    "class_confusion": Figure(),
    "reliability": Figure(),
    "class_examples": Figure("png", ("metrics", "table", "images"), heavy=True),
    "confident_errors": Figure("png", ("metrics", "table", "images"), heavy=True),
}

ATTRIBUTION = {"attribution_maps": Figure("png", ("metrics", "attribution"))}

SEARCH = {
    "search_curves": Figure(reads=("search",)),
    "search_values": Figure(reads=("search",)),
}

ALL: dict[str, Figure] = {
    **SEGMENTATION,
    **NETWORK,
    **INSTANCES,
    **CONFLUENCY,
    **KMEANS,
    **CLASSIFICATION,
    **ATTRIBUTION,
    **SEARCH,
}
"""Every figure by its name."""


def figures_of(study: Mapping[str, Any]) -> dict[str, Figure]:
    """Return the figures of a study by their names.

    Args:
        study: its section of the config, with all defaults.
    """
    if study["task"] == "classification":
        explained = study["attribution"]["images"] > 0
        found = CLASSIFICATION | (ATTRIBUTION if explained else {}) | NETWORK
    else:
        found = dict(SEGMENTATION)
        if study["model"] is not None:
            del found["learning_curves"]
        else:
            found |= NETWORK if study["kmeans"] is None else KMEANS
        if head_of(study) == "instance":
            found |= INSTANCES
    found |= CONFLUENCY if study["task"] == "confluency" else {}
    return found | (SEARCH if study["search"] is not None else {})
