"""Mistakes in the search of a study, at parse time (see `settings`).

Needs only the standard library, but for a study that has a search: its trials are drawn by
scikit-learn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from coverslip.errors import CoverslipError
from coverslip.search import space as spaces

OF_LOSS = ("training.loss", "training.dice", "training.class_weights")
"""Keys by which a loss gets another meaning."""

Validate = Callable[[Mapping[str, Any]], Iterable[str]]
Hint = Callable[[str, Iterable[str]], str]


def mistakes(config: Mapping[str, Any], validate: Validate, nearest: Hint) -> Iterable[str]:
    """Mistakes in all searches; each trial has to be a valid study.

    Args:
        config: a config with all defaults and without other mistakes.
        validate: gives the mistakes of a config.
        nearest: gives a hint at the nearest of known names.
    """
    for name, study in config["studies"].items():
        if study["search"] is None:
            continue
        where = f"studies.{name}.search"
        found = [*_check(where, study), *_check_space(f"{where}.space", study, nearest)]
        yield from found or _check_trials(where, name, config, validate)


def _check(where: str, study: Mapping[str, Any]) -> Iterable[str]:
    search, epochs = study["search"], study["training"]["epochs"]
    if study["kmeans"] is not None:
        yield f"{where}: K-means has no epochs; it tries `kmeans.clusters` itself"
    if search["epochs_last"] < search["epochs_first"]:
        yield f"{where}.epochs_last: is below epochs_first ({search['epochs_first']})"
    if search["epochs_last"] > epochs:
        yield f"{where}.epochs_last: is above training.epochs ({epochs}); trials are parts of that"
    if search["metric"] == "iou" and study["task"] == "classification":
        yield f"{where}.metric: classes of pictures have no IoU; known: accuracy, loss"
    for key in OF_LOSS:
        if search["metric"] == "loss" and key in search["space"]:
            yield f"{where}.metric: losses with another `{key}` cannot be compared; name another"
    if spaces.varies_patches(search["space"]) and study["split"]["folds"] > 1:
        yield (
            f"{where}.space: folds would get patches of their own; with split.folds only "
            f"{' and '.join(spaces.OF_TRAINING)} of the preprocessing can be searched"
        )


def _check_space(where: str, study: Mapping[str, Any], nearest: Hint) -> Iterable[str]:
    known = spaces.keys(study)
    for key, values in study["search"]["space"].items():
        if key in spaces.FIXED:
            yield f"{where}.{key}: cannot be searched: {spaces.FIXED[key]}"
        elif key not in known:
            yield f"{where}.{key}: no such key can be searched{nearest(key, known)}"
        for other in study["search"]["space"]:
            if other.startswith(f"{key}."):
                yield f"{where}.{other}: stands within `{key}`, which is searched as a whole"
        yield from _check_values(f"{where}.{key}", values)


def _check_values(where: str, values: Mapping[str, Any]) -> Iterable[str]:
    low, high, choices = values["low"], values["high"], values["choices"]
    if (choices is None) == (low is None and high is None) or (low is None) != (high is None):
        yield f"{where}: needs either `low` and `high`, or `choices`"
        return
    if choices is not None:
        if values["log"]:
            yield f"{where}.log: goes with `low` and `high`"
    elif low > high:
        yield f"{where}: low ({low}) is above high ({high})"
    elif values["log"] and low <= 0:
        yield f"{where}.low: a logarithmic scale has no {low}"


def _check_trials(
    where: str, name: str, config: Mapping[str, Any], validate: Validate
) -> Iterable[str]:
    study = config["studies"][name]
    try:
        from coverslip.search.sampling import sample

        trials = sample(study["search"])
    except ImportError as error:
        yield f"{where}: trials are drawn where Snakemake starts: install scikit-learn ({error})"
        return
    except CoverslipError as error:
        yield f"{where}.trials: {error}"
        return
    for number, values in enumerate(trials):
        alone = {**spaces.placed(study, values), "search": None, "beside": None}
        found = list(validate({**config, "run": None, "studies": {name: alone}}))
        if found:
            told = ", ".join(f"{key}: {value}" for key, value in values.items())
            yield from (f"{line} (trial {number} of the search, {told})" for line in found)
            return
