"""`results/metrics.csv`: the metrics of all studies of a run in one tidy table, a row a number.

For a spreadsheet, pandas or R; everything is also in the `metrics.json` of the studies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from coverslip.config.tasks import kind_of_result
from coverslip.evaluation.runs import run_name
from coverslip.files import atomic_write
from coverslip.reporting.results import (
    StudyInputs,
    best_baseline,
    key_result,
    read_images,
    read_metrics,
)

COLUMNS = (
    "study",
    "kind",
    "metric",
    "class",
    "subset",
    "run",
    "value",
    "ci_low",
    "ci_high",
    "unit",
    "n_groups",
    "n_images",
    "support",
    "support_unit",
    "group_values",
    "baseline",
    "baseline_value",
    "difference",
    "difference_ci_low",
    "difference_ci_high",
    "reported",
    "headline",
)
"""`kind` is `reproduced`, `random` or `grouped`; `run` is `all` or one training; `group_values` are
those of few groups, separated by spaces; `baseline` is the best one; `reported` was published;
`headline` is true for the main number of each study."""


def write(studies: Sequence[StudyInputs], output: Path) -> None:
    """Write the table of the studies of a run, in their order; empty cells have no value.

    Raises:
        CoverslipError: `metrics.json` or `images.csv` of a study is missing or malformed.
    """
    rows = [row for study in studies for row in _rows(study)]
    with atomic_write(output) as part:
        pd.DataFrame(rows, columns=COLUMNS).to_csv(part, index=False, lineterminator="\n")


def _rows(study: StudyInputs) -> Iterator[dict[str, Any]]:
    metrics = read_metrics(study.metrics)
    table = study.metrics.with_name("images.csv")
    images = _count_images(read_images(table)) if table.is_file() else {}
    reported = {
        (r["metric"], r["subset"]): r["value"] for r in study.study.get("reported_results") or []
    }
    main = key_result(study, metrics).record
    for record in metrics["metrics"]:
        run, subset = record["run"], record["subset"]
        best = best_baseline(record)
        difference = (record.get("difference_to_baseline") or {}).get(best) or {}
        of_images = record["support_unit"].startswith("images")
        counted = images.get((subset, run), record["support"] if of_images else None)
        yield {
            "study": study.name,
            "kind": kind_of_result(study.study, study.dataset.get("group_by")),
            "metric": record["name"],
            "class": record["class"],
            "subset": subset,
            "run": run,
            **{key: record[key] for key in ("value", "ci_low", "ci_high", "unit")},
            "n_groups": record["groups"],
            "n_images": counted,
            "support": record["support"],
            "support_unit": record["support_unit"],
            "group_values": " ".join(map(str, record.get("group_values") or ())),
            "baseline": best,
            "baseline_value": record["baselines"][best] if best else None,
            "difference": difference.get("value"),
            "difference_ci_low": difference.get("ci_low"),
            "difference_ci_high": difference.get("ci_high"),
            "reported": reported.get((record["name"], subset)) if run == "all" else None,
            "headline": record is main,
        }


def _count_images(table: pd.DataFrame) -> dict[tuple[str, str], int]:
    """Return how many images a subset has, in all runs together and in each."""
    counts = {(subset, "all"): part["id"].nunique() for subset, part in table.groupby("subset")}
    for (subset, fold, seed), part in table.groupby(["subset", "fold", "seed"]):
        counts[subset, run_name(fold, seed)] = len(part)
    return counts
