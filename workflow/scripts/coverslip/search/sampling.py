"""Trials: values of hyper-parameters, drawn at random from a space (scikit-learn, SciPy).

Random search: Bergstra and Bengio, *Random search for hyper-parameter optimization* (JMLR 13,
2012).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from scipy import stats
from sklearn.model_selection import ParameterSampler

from coverslip.errors import CoverslipError
from coverslip.search.space import combinations

DIGITS = 4
"""Significant digits of a drawn number, so that it can be read and typed again."""
ENDLESS = 10_000_000


def sample(search: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The values of each trial by their keys, keys sorted; no two trials are alike.

    The first trials stay what they are when there are more of them; another seed or another space
    gives others.

    Args:
        search: the section `search` of a study, with all defaults.

    Raises:
        CoverslipError: the space has fewer combinations than there are to be trials.
    """
    count, space = search["trials"], search["space"]
    if count > (most := combinations(space)):
        raise CoverslipError(f"the space has {most:.0f} combinations, fewer than {count} trials")
    return list(islice(_distinct(space, search["seed"]), count))


def _distinct(space: Mapping[str, Any], seed: int) -> Iterator[dict[str, Any]]:
    # Lists would be drawn without replacement, and then all trials depend on their number.
    distributions = {key: _distribution(values) for key, values in sorted(space.items())}
    seen = set()
    for drawn in ParameterSampler(distributions, ENDLESS, random_state=seed):
        values = {key: _value(space[key], drawn[key]) for key in distributions}
        text = json.dumps(values, sort_keys=True)
        if text not in seen:
            seen.add(text)
            yield values


def _distribution(values: Mapping[str, Any]) -> Any:
    """The distribution of a key; of choices, that of their places."""
    low, high = values["low"], values["high"]
    if values["choices"] is not None:
        return stats.randint(0, len(values["choices"]))
    if not _whole(values):
        return stats.loguniform(low, high) if values["log"] else stats.uniform(low, high - low)
    if values["log"]:
        return stats.loguniform(low - 0.5, high + 0.5)  # rounded later
    return stats.randint(low, high + 1)


def _value(values: Mapping[str, Any], drawn: Any) -> Any:
    if values["choices"] is not None:
        return values["choices"][int(drawn)]
    low, high = values["low"], values["high"]
    if _whole(values):
        return min(max(math.floor(drawn + 0.5), low), high)
    return min(max(float(f"{drawn:.{DIGITS}g}"), low), high)


def _whole(values: Mapping[str, Any]) -> bool:
    return isinstance(values["low"], int) and isinstance(values["high"], int)
