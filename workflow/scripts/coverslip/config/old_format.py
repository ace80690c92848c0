"""Names of earlier versions: what a key, a value or a file of config format 1 is called now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from coverslip.errors import CoverslipError

FORMAT = 2

STUDY = "studies.*."

OLD_KEYS: dict[str, tuple[str, dict[Any, Any]]] = {
    "datasets.*.layout": ("format", {}),
    "datasets.*.groups": ("group_by", {"layout": "metadata", "pattern": "filename"}),
    "datasets.*.source.recipe": ("simulator", {}),
    f"{STUDY}protocol": (
        "reproduces",
        {"honest": None, "as-published": "name of the published study"},
    ),
    f"{STUDY}flaws": ("known_issues", {}),
    f"{STUDY}published": ("reported_results", {}),
    f"{STUDY}beside": ("compare_with", {}),
    f"{STUDY}split.method": ("method", {"listed": "archive_order", "folder": "official"}),
    f"{STUDY}preprocessing.intensity": ("normalization", {"range": "dtype_range"}),
    f"{STUDY}preprocessing.polarity": (
        "invert_bright_background",
        {"as-is": False, "dark-background": True},
    ),
    f"{STUDY}preprocessing.scaling": ("input_scaling", {"standard": "zscore"}),
    f"{STUDY}preprocessing.minimum_foreground": ("min_foreground_fraction", {}),
    f"{STUDY}network.outputs": ("num_classes", {}),
    f"{STUDY}network.stem": ("stem_stride", {}),
    f"{STUDY}network.maximum_filters": ("max_filters", {}),
    f"{STUDY}network.head": (
        "head",
        {"mask": "semantic", "instances": "instance", "class": "classification"},
    ),
    f"{STUDY}training.restarts": ("warm_restarts", {}),
    f"{STUDY}training.statistics": ("batchnorm_statistics", {"precise": "recalibrated"}),
    f"{STUDY}training.threshold": ("threshold_metric", {}),
    f"{STUDY}training.augmentation.flips": ("flip", {}),
    f"{STUDY}training.augmentation.quarter_turns": ("rot90", {}),
    f"{STUDY}search.trials": ("n_trials", {}),
    f"{STUDY}search.epochs_first": ("min_epochs", {}),
    f"{STUDY}search.epochs_last": ("max_epochs", {}),
    f"{STUDY}search.eta": ("reduction_factor", {}),
    f"{STUDY}kmeans.recipe": ("features", {"honest": "texture", "published": "raw_color"}),
    f"{STUDY}evaluation.flips": ("tta", {}),
    f"{STUDY}evaluation.scales": ("tta_scales", {}),
    f"{STUDY}evaluation.fast": ("mixed_precision", {}),
    f"{STUDY}evaluation.minimum_area": ("min_area_px", {}),
    "measure.padding": ("ignore_black_border", {"black": True, "none": False}),
    "measure.minimum_area": ("min_area_px", {}),
    "measure.flips": ("tta", {}),
    "measure.fast": ("mixed_precision", {}),
    "measure.whole_megapixels": ("max_in_memory_megapixels", {}),
}
"""From the path of a key of format 1 to its name and its values in format 2; values that are not
listed stayed. A key whose name stayed is listed for its values."""

RESULTS = ("datasets/*/pictures.h5", "datasets/*/pictures.csv", "studies/*/pictures.csv")
"""Files in `results/` that only an earlier version writes."""


def renamed_keys(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield one line for each key or value of format 1 in a config, with its name in format 2."""
    if not isinstance(config, Mapping):
        return  # what is no map is named when the config is validated
    version = config.get("format", FORMAT)
    if version != FORMAT:
        yield (
            f"format: {version!r} is not known; this version reads format {FORMAT} "
            "(config/README.md lists its keys)"
        )
    for pattern, (name, values) in OLD_KEYS.items():
        *parents, key = pattern.split(".")
        for where, section in _sections(config, parents):
            if key in section:
                yield from _renamed(f"{where}{key}", key, section[key], name, values)
    for where, section in _sections(config, ["studies", "*", "search", "space"]):
        yield from _renamed_in_space(where, section)


def _sections(
    node: Any, parents: list[str], where: str = ""
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if not isinstance(node, Mapping):
        return
    if not parents:
        yield where, node
        return
    for key in node if parents[0] == "*" else parents[:1]:
        if key in node:
            yield from _sections(node[key], parents[1:], f"{where}{key}.")


def _renamed(
    path: str, key: str, value: Any, name: str, values: Mapping[Any, Any]
) -> Iterator[str]:
    old = value if isinstance(value, str) else None
    if name != key:
        yield f"{path}: now `{name}{_shown(values.get(old, value))}`"
    elif old in values:
        yield f"{path}: `{old}` is now `{values[old]}`"


def _shown(value: Any) -> str:
    """A value after its key; nothing for one that is too long for a line."""
    if isinstance(value, Mapping | list):
        return ""
    word = {None: "null", True: "true", False: "false"}.get(value, value)
    return f": {word}"


def _renamed_in_space(where: str, space: Mapping[str, Any]) -> Iterator[str]:
    for path, tried in space.items():
        section, _, key = str(path).rpartition(".")
        name, values = OLD_KEYS.get(f"{STUDY}{path}", (key, {}))
        if name != key:
            yield f"{where}{path}: now `{section}.{name}`"
        choices = tried.get("choices") if isinstance(tried, Mapping) else None
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, str) and choice in values:
                yield f"{where}{path}: `{choice}` is now `{values[choice]}`"


def check_results(results: Path) -> None:
    """Raise if a results folder was written by an earlier version, with the way to go on.

    Raises:
        CoverslipError: it contains files that only an earlier version writes.
    """
    for pattern in RESULTS:
        for file in sorted(results.glob(pattern)):
            new = file.with_name(file.name.replace("pictures", "images"))
            if not new.exists():
                raise CoverslipError(
                    f"{file}: written by an earlier version; move the folder away "
                    f"(`mv {results} {results}-format1`) and run again; resources/ stays as it is"
                )
