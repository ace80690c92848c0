"""The space of a search: which keys of a study, and how values are put in their place.

Its imports are of the standard library, because Snakemake reads it at every start; only drawing the
values of trials needs NumPy.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from copy import deepcopy
from itertools import islice
from typing import Any

from coverslip.errors import CoverslipError

SECTIONS = ("preprocessing", "network", "training")
"""Sections of a study whose keys may be searched."""

FIXED = {
    "training.epochs": "the rungs give the epochs of trials",
    "network.head": "it defines what is learned, so scores are not comparable",
    "network.num_classes": "it defines what is learned, so scores are not comparable",
    "preprocessing.shards": "it changes no result",
}
"""Keys that may not, and why."""

OF_TRAINING = ("preprocessing.input_scaling", "preprocessing.min_foreground_fraction")
"""Keys of the preprocessing that patches do not depend on."""


def combinations(space: Mapping[str, Any]) -> float:
    """Return the number of different trials of a space; infinity for a range of real numbers."""
    return math.prod(map(_size, space.values()))


def _size(values: Mapping[str, Any]) -> float:
    if values["choices"] is not None:
        return len({json.dumps(choice, sort_keys=True) for choice in values["choices"]})
    low, high = values["low"], values["high"]
    if isinstance(low, int) and isinstance(high, int):
        return high - low + 1
    return math.inf if low < high else 1


def searchable_keys(study: Mapping[str, Any]) -> list[str]:
    """Return the paths of all keys of a study that may be searched, nested sections included."""
    found = (path for name in SECTIONS for path in _paths(name, study[name]))
    return sorted(path for path in found if path not in FIXED and path not in SECTIONS)


def _paths(path: str, node: Any) -> Iterator[str]:
    yield path
    if isinstance(node, Mapping):
        for key, child in node.items():
            yield from _paths(f"{path}.{key}", child)


def place_values(study: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a study (or of some of its sections) with values set by key path."""
    changed = deepcopy(dict(study))
    for path, value in values.items():
        *parents, last = path.split(".")
        node = changed
        for key in parents:
            node = node[key]
        node[last] = deepcopy(value)
    return changed


def varies_patches(space: Mapping[str, Any]) -> bool:
    """Return whether trials differ in their patches, and not only in what is made of them."""
    return any(key.startswith("preprocessing.") and key not in OF_TRAINING for key in space)


def variant_name(preprocessing: Mapping[str, Any]) -> str:
    """Return the name of the patches of a section `preprocessing`: a digest of what changes them.

    Args:
        preprocessing: the section with all defaults, as a mapping.
    """
    ignored = {key.split(".")[1] for key in OF_TRAINING}
    kept = {key: value for key, value in preprocessing.items() if key not in ignored}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:12]


# --- Trials: values of hyper-parameters, drawn at random from a space

DIGITS = 4
"""Significant digits of a drawn number, so that it can be read and typed again."""

LARGEST = 1.0e15
"""Largest absolute value of a range that is searched; larger ones overflow when they are drawn."""

DRAWS_PER_TRIAL = 100
"""Draws after which a trial that differs from all others is given up."""


def sample(search: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the values of each trial by their keys, keys sorted; no two trials are alike.

    The first trials stay what they are when there are more of them; another seed or another space
    gives others.

    Args:
        search: the section `search` of a study, with all defaults.

    Raises:
        CoverslipError: the space has fewer combinations than there are to be trials.
    """
    count, space = search["n_trials"], search["space"]
    if count > (most := combinations(space)):
        raise CoverslipError(f"the space has {most:.0f} combinations, fewer than {count} trials")
    draws = 1000 + DRAWS_PER_TRIAL * count
    trials = list(islice(_distinct(space, search["seed"], draws), count))
    if len(trials) < count:
        raise CoverslipError(
            f"only {len(trials)} different trials in {draws} draws (numbers have {DIGITS} digits): "
            "widen the space, or ask for fewer trials"
        )
    return trials


def _distinct(space: Mapping[str, Any], seed: int, draws: int) -> Iterator[dict[str, Any]]:
    from numpy.random import RandomState

    random = RandomState(seed)
    seen = set()
    for _ in range(draws):
        values = {key: _value(each, _draw(each, random)) for key, each in sorted(space.items())}
        text = json.dumps(values, sort_keys=True)
        if text not in seen:
            seen.add(text)
            yield values


def _draw(values: Mapping[str, Any], random: Any) -> float:
    """Draw a number of a range, or the place of a choice, from a `RandomState` of NumPy.

    The numbers are those of scikit-learn's `ParameterSampler` with SciPy's `randint`, `uniform`
    and `loguniform`, neither of which Snakemake shall import at every start.
    """
    if values["choices"] is not None:
        return random.randint(0, len(values["choices"]))
    low, high = values["low"], values["high"]
    if values["log"]:
        half = 0.5 if _whole(values) else 0.0  # rounded later
        ends = math.log(low - half), math.log(high + half)
        return math.exp(ends[0] + random.uniform() * (ends[1] - ends[0]))
    if _whole(values):
        return random.randint(low, high + 1)
    return low + random.uniform() * (high - low) if low < high else low


def _value(values: Mapping[str, Any], drawn: Any) -> Any:
    if values["choices"] is not None:
        return values["choices"][int(drawn)]
    low, high = values["low"], values["high"]
    if _whole(values):
        return min(max(math.floor(drawn + 0.5), low), high)
    return min(max(float(f"{drawn:.{DIGITS}g}"), low), high)


def _whole(values: Mapping[str, Any]) -> bool:
    return isinstance(values["low"], int) and isinstance(values["high"], int)


# --- Rungs of successive halving: the number of trials of each, and of epochs


def rung_epochs(search: Mapping[str, Any]) -> list[int]:
    """Epochs after which the trials of each rung are compared.

    Rung r has `min_epochs` `reduction_factor`^r of them, up to `max_epochs`. A rung with only one
    trial compares nothing, so there is none.

    Args:
        search: the section `search` of a study, with all defaults.
    """
    found = [search["min_epochs"]]
    while (
        found[-1] * search["reduction_factor"] <= search["max_epochs"]
        and _slots(search["n_trials"], search["reduction_factor"], len(found)) > 1
    ):
        found.append(found[-1] * search["reduction_factor"])
    return found


def rung_sizes(search: Mapping[str, Any]) -> list[int]:
    """Return the number of trials of each rung: ceil(n_trials / reduction_factor^r)."""
    trials, factor = search["n_trials"], search["reduction_factor"]
    return [_slots(trials, factor, rung) for rung in range(len(rung_epochs(search)))]


def _slots(trials: int, factor: int, rung: int) -> int:
    return -(-trials // factor**rung)
