"""What the report says of a dataset (`check/report.json`) and of a split (`split.json`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from coverslip.reporting.report_words import Fact
from coverslip.reporting.results import DASH, SUBSET_WORDS, number

SHOWN = 4
"""So many kinds of a property are told one by one."""
GROUPS = {
    "picture": "each picture on its own, less duplicates",
    "pattern": "taken from the names of the pictures",
    "acquisition": "derived from size, modality and likeness",
    "layout": "wells, as the names of the files tell",
    "overlap": "pictures with a common area, pixel by pixel",
}
SPLITS = {
    "random": "at random, picture by picture",
    "grouped": "by whole groups: what was taken together stays together",
    "listed": "in the order of the archive",
    "folder": "the archive's own folder of test pictures, validation by whole groups",
    "file": "from a table",
}


def dataset_sentence(report: Mapping[str, Any]) -> str:
    """A dataset in one sentence: pictures, kinds, objects, groups, as far as they were counted."""
    parts = [f"{_count(report.get('pictures'))} pictures"]
    if report.get("modalities"):
        parts[0] += f" ({_kinds(report['modalities'])})"
    total = (report.get("objects") or {}).get("total")
    if total:
        parts.append(f"{_count(total)} objects with a known outline")
    groups = (report.get("groups") or {}).get("count")
    if groups:
        parts.append(f"{_count(groups)} groups of pictures that belong together")
    return "; ".join(parts) + "."


def data_facts(report: Mapping[str, Any]) -> list[Fact]:
    """What the check of a dataset counted, in the order in which a biologist asks."""
    facts = [Fact("Pictures", _count(report.get("pictures")))]
    for key, name in (
        ("modalities", "Kind"),
        ("classes", "Classes"),
        ("sizes", "Height x width"),
        ("dtypes", "Data type"),
        ("channels", "Channels"),
    ):
        if report.get(key):
            facts.append(Fact(name, _kinds(report[key])))
    objects = report.get("objects") or {}
    if objects.get("total"):
        facts.append(
            Fact(
                "Objects",
                f"{_count(objects['total'])} in all; per picture {_spread(objects)}; "
                f"{_count(objects.get('pictures without'))} pictures without any",
            )
        )
    masked = has_masks(report)
    if report.get("foreground") and masked:
        facts.append(Fact("Foreground", f"{_spread(report['foreground'], percent=True)}"))
    if report.get("diameter") and masked:
        facts.append(Fact("Diameter of objects", f"{_spread(report['diameter'])} pixels"))
    return facts + _data_doubts(report)


def _data_doubts(report: Mapping[str, Any]) -> list[Fact]:
    facts = []
    groups = report.get("groups") or {}
    if groups:
        how = GROUPS.get(str(groups.get("method")), str(groups.get("method", DASH)))
        text = f"{_count(groups.get('count'))}, {how}; the largest has {_count(groups.get('max'))}"
        facts.append(Fact("Groups", f"{text} pictures"))
    if report.get("duplicates"):
        facts.append(Fact("Pairs of duplicates", _kinds(report["duplicates"])))
    if report.get("masks") and has_masks(report):
        facts.append(Fact("Masks", _kinds(report["masks"])))
    facts += [Fact("Fault", fault, bad=True) for fault in report.get("faults") or []]
    return facts


def has_masks(report: Mapping[str, Any]) -> bool:
    """Whether a dataset is about masks, and not about the classes of pictures alone."""
    return bool((report.get("objects") or {}).get("total")) or not report.get("classes")


def data_warnings(report: Mapping[str, Any]) -> list[str]:
    """What the check noticed without stopping the run, one line each."""
    return [str(warning) for warning in report.get("warnings") or []]


def split_facts(split: Mapping[str, Any]) -> list[Fact]:
    """How the pictures were divided, the sizes of the subsets, and what leaks between them."""
    method = split.get("method")
    drawn = SPLITS.get(str(method), str(method or DASH))
    if split.get("stratify") not in (None, "none"):
        drawn += f", with like shares of each {split['stratify']}"
    facts = [Fact("Drawn", drawn), Fact("Seed", number(split.get("seed")))]
    several = (split.get("folds") or 1) > 1
    for count in split.get("counts") or []:
        name = SUBSET_WORDS.get(count["subset"], count["subset"]).capitalize()
        groups = "group" if count.get("groups") == 1 else "groups"
        told = f"{_count(count['pictures'])} pictures in {_count(count.get('groups'))} {groups}"
        if count.get("share") is not None:
            told += f" ({count['share']:.0%})"
        facts.append(Fact(f"Fold {count['fold']}, {name.lower()}" if several else name, told))
    if split.get("unlabelled"):
        facts.append(Fact("Without a class", f"{_count(split['unlabelled'])} pictures"))
    leaks = split.get("leaks") or []
    for fold, leak in enumerate(leaks):
        label = f"Leaks, fold {fold}" if len(leaks) > 1 else "Leaks"
        facts.append(_leak(label, leak))
    return facts


def _leak(label: str, leak: Mapping[str, Any]) -> Fact:
    groups, pairs = leak.get("groups") or 0, leak.get("pairs") or 0
    if not groups and not pairs:
        return Fact(label, "none: no group and no pair of duplicates stands in two subsets")
    text = (
        f"{_count(groups)} groups and {_count(pairs)} pairs of duplicates stand in two subsets, so "
        "the scores of this study are too good"
    )
    if leak.get("relatives"):
        text += (
            f": {leak['relatives']:.1%} of the test pictures have one of their group in training"
        )
    return Fact(label, text, bad=True)


def _count(value: Any) -> str:
    return number(value, "count")


def _kinds(counts: Mapping[str, Any]) -> str:
    """`fluorescence 541, histology 108`; kinds beyond the first few are only counted."""
    kinds: Sequence[tuple[str, Any]] = list(counts.items())
    told = ", ".join(f"{kind}: {_count(count)}" for kind, count in kinds[:SHOWN])
    more = len(kinds) - SHOWN
    return told + (f" and {more} more" if more > 0 else "")


def _spread(values: Mapping[str, Any], percent: bool = False) -> str:
    """`median 32 (most between 5 and 120)`."""

    def told(value: Any) -> str:
        if value is None:
            return DASH
        return f"{value:.1%}" if percent else f"{value:.3g}" if value < 1000 else _count(value)

    low, middle, high = (told(values.get(key)) for key in ("p5", "median", "p95"))
    return f"median {middle} (nine of ten between {low} and {high})"
