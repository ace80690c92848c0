"""The report's sentences and lists of facts: from run files to words that a biologist reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coverslip.metrics.definitions import METRICS
from coverslip.reporting.results import (
    DASH,
    SUBSET_WORDS,
    Row,
    baseline_label,
    device,
    interval_text,
    label,
    minutes,
    number,
    value_text,
)

HIGHER_IS_BETTER = frozenset(metric.name for metric in METRICS if metric.higher_is_better)

LOWER_IS_BETTER = frozenset(metric.name for metric in METRICS if metric.higher_is_better is False)

LEARNED = frozenset(("brightness",))
"""Baselines that learn, though not from cells."""

UNSEEN = {
    "random": "on test images drawn at random",
    "grouped": "on test images from groups that training never saw",
    "official": "on the archive's own test images",
}


@dataclass(frozen=True)
class Fact:
    """A line of a list of facts."""

    label: str
    text: str
    bad: bool = False
    """Shown in red."""


def reading(row: Row, study: str, split_method: str) -> str:
    """A row of the table of studies in a few sentences, as told in the section of `study`.

    The study as published tells only its own half where an honest one stands beside it.
    """
    name = label(row.metric, row.class_name)
    said = []
    if row.published is not None:
        subset = SUBSET_WORDS[row.subset]
        said.append(f"The published {name} on {subset} images is {number(row.published)}.")
    if row.repeated:
        start = "Doing the same, we get" if said else f"Done as published, the {name} is"
        said.append(f"{start} {value_text(row.repeated)}{_range(row.repeated)}.")
    if row.honest is None or study != row.name:
        return " ".join(said + _verdict(row.metric, row.repeated))
    where = f"on {SUBSET_WORDS[row.honest['subset']]} images"
    if row.honest["subset"] == "test":
        where = UNSEEN.get(split_method, where)
    start = "Asked honestly" if said else "Measured"
    said.append(f"{start} {where}, the {name} is {value_text(row.honest)}{_range(row.honest)}.")
    return " ".join(said + _verdict(row.metric, row.honest))


def _range(record: Mapping[str, Any]) -> str:
    text = interval_text(record)
    return "" if text == DASH else f" (95 % interval {text})"


def _verdict(metric: str, record: Mapping[str, Any] | None) -> list[str]:
    """The baselines beside a record, and what it gains over the best of them."""
    record, known = record or {}, known_baselines(record)
    if not known:
        return []
    told = ", ".join(
        f"{baseline_label(name)} {number(v, record.get('unit'))}" for name, v in known.items()
    )
    without = "a look at any cell" if LEARNED & set(known) else "any learning"
    text = f"Without {without}: {told}."
    best = best_baseline(metric, known)
    gain = (record.get("gains") or {}).get(best)
    if best is not None and gain is not None:
        told = compared(metric, gain, record.get("unit"), baseline_label(best))
        text += f" The {label(metric)} is {told}"
    return [text]


def known_baselines(record: Mapping[str, Any] | None) -> dict[str, float]:
    """The baselines beside a record that have a value, by name."""
    return {k: v for k, v in ((record or {}).get("baselines") or {}).items() if v is not None}


def gain_texts(metric: str, record: Mapping[str, Any] | None) -> tuple[str, str]:
    """A record less the best baseline beside it, and the interval of that: `+0.0306` and
    `+0.0131 to +0.0505`; dashes for what there is not."""
    record = record or {}
    best = best_baseline(metric, known_baselines(record))
    gain = (record.get("gains") or {}).get(best)
    return (DASH, DASH) if gain is None else signed_texts(gain, record.get("unit"))


def compared(
    metric: str, gain: Mapping[str, Any], unit: str | None, other: str | None = None
) -> str:
    """How much better one is than another, and how sure that is: the end of a sentence.

    Args:
        metric: name of the metric; one that has a better and a worse.
        gain: `value`, `low` and `high` of the difference.
        unit: of the metric.
        other: what it is compared with, for reading.
    """
    if not gain["value"]:
        return "the same" + (f" as that of {other}" if other else "") + "."
    better = (gain["value"] > 0) == (metric in HIGHER_IS_BETTER)
    counted = "" if unit in (None, "share") else f"{unit} "
    text = f"{number(abs(gain['value']), unit)} {counted}{'better' if better else 'worse'}"
    text += f" than that of {other}" if other else ""
    if gain["low"] is None or gain["high"] is None:
        return f"{text}; with images of one group alone, there is no interval to tell by."
    within = f"the 95 % interval of the difference, {signed_texts(gain, unit)[1]}"
    if gain["low"] <= 0 <= gain["high"]:
        return f"{text}, but with other images it might be otherwise: {within}, holds 0."
    return f"{text}, and {within}, lies on that side as a whole."


def signed_texts(gain: Mapping[str, Any], unit: str | None) -> tuple[str, str]:
    """A gain and its interval, with their signs also where they are above zero."""
    value, low, high = (_signed(gain[end], unit) for end in ("value", "low", "high"))
    return value, DASH if DASH in (low, high) else f"{low} to {high}"


def _signed(value: float | None, unit: str | None) -> str:
    if value is None:
        return DASH
    rounded = round(value, 4) or 0.0  # no zero has a sign
    return f"{'+' if rounded > 0 else ''}{number(rounded, unit)}"


def best_baseline(metric: str, known: Mapping[str, float]) -> str | None:
    """Name of the best of these baselines; None where a metric has no better or worse."""
    if not known or metric not in HIGHER_IS_BETTER | LOWER_IS_BETTER:
        return None
    return (max if metric in HIGHER_IS_BETTER else min)(known, key=lambda name: known[name])


def run_title(run: Mapping[str, Any], path_name: str) -> str:
    """Which training a record is of: `Fold 1, seed 2`."""
    wildcards = run.get("wildcards") or {}
    parts = [f"{key} {wildcards[key]}" for key in ("fold", "seed") if key in wildcards]
    return ("Training of " + ", ".join(parts)) if parts else path_name


def run_facts(run: Mapping[str, Any]) -> list[Fact]:
    """Device, time, versions and code of a run, then whatever else its record holds."""
    took = minutes(run)
    facts = [
        Fact("Machine", device(run)),
        Fact("Time", DASH if took is None else f"{took:.1f} minutes"),
        Fact("Started", str(run.get("started", DASH))),
        Fact("Ended", str(run.get("ended", DASH))),
        Fact("Code digest", str(run.get("code") or DASH)),
        Fact("Commit", str(run.get("git") or DASH)),
        Fact("Versions", _versions(run)),
    ]
    told = {"device", "machine", "seconds", "training_seconds", "started", "ended", "code", "git"}
    told |= {"packages", "versions", "python", "wildcards"}
    told |= {"params", "inputs", "outputs", "environment", "definitions"}
    return facts + flat({key: item for key, item in run.items() if key not in told})


def _versions(run: Mapping[str, Any]) -> str:
    packages = dict(run.get("packages") or run.get("versions") or {})
    if run.get("python"):
        packages = {"Python": run["python"], **packages}
    return ", ".join(f"{name} {version}" for name, version in packages.items()) or DASH


def flat(value: Mapping[str, Any], prefix: str = "") -> list[Fact]:
    """A nested record as lines: `training.loss` and its value."""
    return [Fact(key, text) for key, text in _flat(value, prefix)]


def _flat(value: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str]]:
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, Mapping):
            yield from _flat(item, f"{name}.")
        elif isinstance(item, bool):
            yield name, "yes" if item else "no"
        elif isinstance(item, Sequence) and not isinstance(item, str):
            yield name, ", ".join(str(part) for part in item) or DASH
        else:
            yield name, DASH if item is None else str(item)
