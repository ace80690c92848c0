"""The space of a search: which keys of a study, and how values are put in their place.

Needs only the standard library: it is asked at parse time.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

SECTIONS = ("preprocessing", "network", "training")
"""Sections of a study whose keys may be searched."""
FIXED = {
    "training.epochs": "the rungs give the epochs of trials",
    "network.head": "it says what is learned, and scores of other answers are no rivals",
    "network.outputs": "it says what is learned, and scores of other answers are no rivals",
    "preprocessing.shards": "it changes no result",
}
"""Keys that may not, and why."""
OF_TRAINING = ("preprocessing.scaling", "preprocessing.minimum_foreground")
"""Keys of the preprocessing that patches do not depend on."""


def combinations(space: Mapping[str, Any]) -> float:
    """Number of different trials that a space has; infinity with a range of real numbers."""
    return math.prod(map(_size, space.values()))


def _size(values: Mapping[str, Any]) -> float:
    if values["choices"] is not None:
        return len({json.dumps(choice, sort_keys=True) for choice in values["choices"]})
    low, high = values["low"], values["high"]
    if isinstance(low, int) and isinstance(high, int):
        return high - low + 1
    return math.inf if low < high else 1


def keys(study: Mapping[str, Any]) -> list[str]:
    """Paths of all keys of a study that may be searched, sections within sections among them."""
    found = (path for name in SECTIONS for path in _paths(name, study[name]))
    return sorted(path for path in found if path not in FIXED and path not in SECTIONS)


def _paths(path: str, node: Any) -> Iterator[str]:
    yield path
    if isinstance(node, Mapping):
        for key, child in node.items():
            yield from _paths(f"{path}.{key}", child)


def placed(study: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a study (or of some of its sections) with values at the paths of their keys."""
    changed = deepcopy(dict(study))
    for path, value in values.items():
        *parents, last = path.split(".")
        node = changed
        for key in parents:
            node = node[key]
        node[last] = deepcopy(value)
    return changed


def varies_patches(space: Mapping[str, Any]) -> bool:
    """Whether trials differ in their patches, and not only in what is made of them."""
    return any(key.startswith("preprocessing.") and key not in OF_TRAINING for key in space)


def variant(preprocessing: Mapping[str, Any]) -> str:
    """Name of the patches that a section `preprocessing` asks for: a digest of what changes them.

    Args:
        preprocessing: the section with all defaults, as a mapping.
    """
    ignored = {key.split(".")[1] for key in OF_TRAINING}
    kept = {key: value for key, value in preprocessing.items() if key not in ignored}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]
