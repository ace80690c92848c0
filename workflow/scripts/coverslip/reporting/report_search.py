"""What the report says of a search (`search/search.json`)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from coverslip.reporting.report_words import Fact

METRICS = {"loss": "loss", "accuracy": "accuracy", "iou": "IoU"}
"""Names of what trials are ranked by, for reading."""


def search_facts(summary: Path | None) -> list[Fact]:
    """What a search tried and chose, for the report; empty for a study without one."""
    if summary is None:
        return []
    told = json.loads(Path(summary).read_text(encoding="utf-8"))
    rungs = told["rungs"]
    steps = ", then ".join(f"{rung['trials']} to epoch {rung['epochs']}" for rung in rungs)
    facts = [
        Fact("Trials", steps),
        Fact("Ranked by", f"validation {METRICS[told['metric']]}"),
    ]
    for key, values in told["space"].items():
        facts.append(Fact(f"Tried: {key}", _range(values)))
    for fold, best in told["chosen"].items():
        where = f", fold {fold}" if len(told["chosen"]) > 1 else ""
        values = ", ".join(f"{key} = {value}" for key, value in best["values"].items())
        facts.append(
            Fact(f"Chosen{where}", f"{values} ({METRICS[told['metric']]} {best['score']:.4f})")
        )
    return facts


def _range(values: dict[str, Any]) -> str:
    if values["choices"] is not None:
        return ", ".join(map(str, values["choices"]))
    scale = ", on a logarithmic scale" if values["log"] else ""
    return f"{values['low']} to {values['high']}{scale}"
