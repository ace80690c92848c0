"""A stand-in for the object `snakemake` of a script, to run the script by hand in a debugger."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from coverslip.runtime.run_record import NOT_COMPARED, UNNAMED


class Named(list[Any]):
    """A list whose items have names, as Snakemake's inputs, outputs and parameters are."""

    def __init__(self, items: Mapping[str, Any]):
        lists = (item if isinstance(item, list) else [item] for item in items.values())
        super().__init__(each for found in lists for each in found)
        self.__dict__.update(items)

    def get(self, name: str, default: Any = None) -> Any:
        """Return the item of a name."""
        return self.__dict__.get(name, default)

    def items(self) -> Any:
        """Return names and items."""
        return {name: item for name, item in self.__dict__.items() if name != UNNAMED}.items()


def mock_snakemake(record: Path) -> SimpleNamespace:
    """Return what a job got from Snakemake, from its record.

    Args:
        record: `run.json` next to a result or, of a job that failed, next to its log.

    Examples:
        runpy.run_path("workflow/scripts/evaluate.py", {"snakemake": mock_snakemake(record)})
    """
    facts = json.loads(Path(record).read_text(encoding="utf-8"))
    job, inputs = facts["job"], {name: list(paths) for name, paths in facts["inputs"].items()}
    single = {name: paths[0] for name, paths in inputs.items() if name not in job["lists"]}
    return SimpleNamespace(
        rule=facts["rule"],
        wildcards=Named(facts["wildcards"]),
        params=Named(facts["params"] | {NOT_COMPARED: job[NOT_COMPARED]}),
        input=Named(inputs | single),
        output=Named(job["output"]),
        log=job["log"],
        threads=facts["threads"],
        resources={},
    )
