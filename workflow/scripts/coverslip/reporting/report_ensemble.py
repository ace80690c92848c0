"""What the report says of an ensemble beside its single networks (`ensemble/scores.json`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coverslip.errors import CoverslipError
from coverslip.reporting.report_words import (
    HIGHER_IS_BETTER,
    LOWER_IS_BETTER,
    compared,
    signed_texts,
)
from coverslip.reporting.results import (
    SUBSET_WORDS,
    SUBSETS,
    first_capital,
    interval_text,
    label,
    read_json,
    support_text,
    value_text,
)

FORMAT = 1
FEW_CLASSES = 2
"""With more classes than this, what is told of each of them is left to `scores.json`."""


def ensemble_scores(path: Path | None, main: Sequence[str]) -> dict[str, Any] | None:
    """Single networks against their ensemble, for the report; None for a study without one.

    Args:
        path: `scores.json` of the study, if it has any.
        main: names of the metrics that the study is told by; all others are left to the file.

    Returns:
        `lead` (a sentence on cost), `verdict` (one on the first metric), `settled`, and `lines`,
        each with `label`, `support`, and value and interval of `single`, `ensemble` and `gain`, as
        text.

    Raises:
        CoverslipError: the file is missing or has another format.
    """
    if path is None:
        return None
    told = read_json(path)
    if told.get("format") != FORMAT or not isinstance(told.get("metrics"), list):
        raise CoverslipError(f"{path}: not scores of format {FORMAT}; delete it and run again")
    chosen = _chosen(told["metrics"], main)
    seeds, folds = len(told["seeds"]), len(told["folds"])
    where = "" if folds == 1 else f", of each of {folds} folds for itself"
    subset = SUBSET_WORDS[chosen[0]["subset"]] if chosen else "test"
    return {
        "lead": f"The answers of the {seeds} networks that differ only in their seed are averaged"
        f"{where}, and scored on the same {subset} pictures as each of them. That costs "
        f"{told['cost']}.",
        "verdict": _verdict(chosen[0]) if chosen else "",
        "settled": told["settled"],
        "caption": f"On {subset} pictures, which no network was trained on"
        + (
            "; below each value its 95 % interval."
            if any(record["gain"]["low"] is not None for record in chosen)
            else "."
        ),
        "lines": [_line(record) for record in chosen],
    }


def _chosen(records: Sequence[Mapping[str, Any]], main: Sequence[str]) -> list[Mapping[str, Any]]:
    """The records of these metrics, in their order, of the first subset that has any."""
    several = len({record["class"] for record in records} - {None}) > FEW_CLASSES
    for subset in SUBSETS:
        of_subset = [r for r in records if r["subset"] == subset]
        found = [
            record
            for name in main
            for record in of_subset
            if record["name"] == name and (not several or record["class"] is None)
        ]
        if found:
            return found
    return []


def _line(record: Mapping[str, Any]) -> dict[str, Any]:
    unit = record["unit"]
    cells = {key: record[key] | {"unit": unit} for key in ("single", "ensemble")}
    shown = {key: (value_text(cell), interval_text(cell)) for key, cell in cells.items()}
    shown["gain"] = signed_texts(record["gain"], unit)
    return {
        "label": first_capital(label(record["name"], record["class"])),
        "support": support_text(record),
        **shown,
    }


def _verdict(record: Mapping[str, Any]) -> str:
    """Whether the ensemble is better by the metric that the study is told by first."""
    gain = record["gain"]
    if gain["value"] is None or record["name"] not in HIGHER_IS_BETTER | LOWER_IS_BETTER:
        return ""
    told = compared(record["name"], gain, record["unit"])
    return f"By {label(record['name'], record['class'])}, the ensemble is {told}"
