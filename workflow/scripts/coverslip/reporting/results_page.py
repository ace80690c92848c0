"""`docs/results.md`: the table of studies in Markdown, written from a run, never typed.

Benchmarks that compare a study with others print a part of their own, which can be appended.

Run as `python -m coverslip.reporting.results_page --help`.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from snakemake.utils import update_config

from coverslip.config import validate
from coverslip.config.tasks import kind_of_result
from coverslip.errors import CoverslipError
from coverslip.evaluation.runs import fold_and_seed
from coverslip.files import WORKFLOW, atomic_write
from coverslip.reporting.results import (
    DASH,
    HEADLINES,
    KINDS,
    SUBSET_WORDS,
    Row,
    StudyInputs,
    baseline_label,
    baseline_names,
    baseline_text,
    collect,
    device,
    find,
    first_capital,
    interval_text,
    label,
    minutes,
    number,
    read_json,
    read_metrics,
    rows,
    value_text,
)
from coverslip.reporting.tables import ensemble_scores, main_metrics
from coverslip.reporting.text import gain_texts


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, without a line end at its end; empty cells get a dash."""
    rows = [head, ["---"] * len(head), *lines]
    cells = [[(cell or DASH).replace("|", r"\|") for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


# --- The parts of the page of results that look closer: by fold, by group, and the mean of seeds

MAIN = "mean_ap"

SCORES = (
    MAIN,
    "ap50_pooled",
    "mean_matched_iou",
    "split_rate",
    "merge_rate",
    "missed_rate",
    "invented_rate",
)
"""Scores of instances that are told by modality and by group; the first with its interval. The
others tell where the loss lies: in outlines, pieces, joined, missed and invented objects."""

PEER = "otsu watershed"

GROUPS = """On test images. Intervals of a modality are over its groups, those of a group over its
images.
"""

MEAN = """Networks that differ only in their seed, and the mean of their answers, scored on the same
images; the gain by the paired bootstrap over groups. Each further network costs a training, and a
prediction of each image.
"""


def detail(studies: Sequence[StudyInputs], metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Markdown of the parts, without those that have nothing to tell.

    Args:
        studies: in the order of the config.
        metrics: what `metrics.json` of each study holds, by its name.
    """
    folds = [line for study in studies for line in _folds(study, metrics[study.name])]
    groups = [line for study in studies for line in _groups(study, metrics[study.name])]
    parts = []
    if folds:
        width = max(len(line) for line in folds)
        head = ["Study", "Metric", *(f"Fold {fold}" for fold in range(width - 2))]
        filled = [line + [""] * (width - len(line)) for line in folds]
        parts += ["\n## Fold by fold\n", "On the test images of each fold.\n"]
        parts += [table(head, filled)]
    if groups:
        titles = [first_capital(label(name)) for name in SCORES]
        head = ["Study", "Modality or group", "Images", "Objects", titles[0], "95 % interval"]
        head += [f"The same of {baseline_label(PEER)}", *titles[1:]]
        parts += ["\n## Objects by modality and by group\n", GROUPS, table(head, groups)]
    means = [line for study in studies for line in _mean_of_seeds(study)]
    if means:
        head = ["Study", "Metric", "Of", "Single networks", "95 % interval", "Their mean"]
        head += ["95 % interval", "Gain", "95 % interval"]
        parts += ["\n## The mean of several seeds\n", MEAN, table(head, means)]
    return parts


def _folds(study: StudyInputs, metrics: Mapping[str, Any]) -> list[list[str]]:
    """A line a metric of a study of several folds; of several seeds the first."""
    records = metrics["metrics"]
    runs = sorted({r["run"] for r in records} - {"all"}, key=fold_and_seed)
    first = {fold_and_seed(run)[0]: run for run in reversed(runs)}
    if len(first) < 2:
        return []
    alone = {
        fold: {**metrics, "metrics": [r for r in records if r["run"] == first[fold]]}
        for fold in sorted(first)
    }
    lines = []
    for name in HEADLINES[study.study.get("task") or "segmentation"]:
        found = [find(of_fold, name, "test") for of_fold in alone.values()]
        if any(found):
            lines.append([f"`{study.name}`", label(name), *map(value_text, found)])
    return lines


def _mean_of_seeds(study: StudyInputs) -> list[list[str]]:
    """A line a metric of a study whose ensemble is scored."""
    told = ensemble_scores(study.ensemble, main_metrics(study.study))
    return [
        [f"`{study.name}`", line["label"], line["support"]]
        + [text for key in ("single", "ensemble", "gain") for text in line[key]]
        for line in (told["lines"] if told else [])
    ]


def _groups(study: StudyInputs, metrics: Mapping[str, Any]) -> list[list[str]]:
    lines = []
    for by in ("modality", "group"):
        for record in (metrics.get("instances") or {}).get(by, []):
            if record["subset"] != "test":
                continue
            scores = record["scores"]
            main = scores[MAIN]
            lines.append(
                [
                    f"`{study.name}`",
                    f"all {record[by]}" if by == "modality" else record[by],
                    number(record["images"], "count"),
                    number(record["n_true"], "count"),
                    value_text(main),
                    interval_text(main),
                    baseline_text(main, PEER),
                    *(value_text(scores.get(name)) for name in SCORES[1:]),
                ]
            )
    return lines


# --- `docs/results.md`: the table of studies in Markdown, written from a run, never typed

SCHEMA = WORKFLOW / "schemas" / "config.schema.json"

HEAD = """# Results

Written by a command from the `metrics.json` and `run.json` of a run; do not edit it by hand:

```
{command}
```

Each line is one number: what was published, what the same protocol gives here, and what the honest
protocol gives (whole groups held out where the study says so; on test images). The interval is a
95 % bootstrap interval over groups of the honest figure, or of ours as published where no honest
one stands beside it (marked \\*), over as many groups as told; where they are few it is too narrow.
The baselines, which need no learning, are of the same images; the difference from the best of
them has its own interval, for which the same groups are drawn for both. A {dash} stands for what
was not published, not asked or not run.
"""


def write(
    studies: Sequence[StudyInputs],
    command: str,
    output: Path,
    left: Sequence[str] = (),
    appended: Sequence[str] = (),
) -> None:
    """Write the page of results of the studies of a run.

    Args:
        studies: in the order of the config; only their sections, `metrics.json` and `run.json`
            are read.
        command: the command that makes the page, shown in it.
        output: the Markdown file.
        left: studies of the config that were not run; they are named.
        appended: further parts of the page in Markdown, with their headings, as benchmarks print
            them; they stand before what is told of the trainings.

    Raises:
        CoverslipError: a file of a run is missing or malformed.
    """
    metrics = {study.name: read_metrics(study.metrics) for study in studies}
    runs = {study.name: [read_json(path) for path in study.runs] for study in studies}
    parts = [HEAD.format(command=command, dash=DASH), _results(rows(studies, metrics), runs)]
    if left:
        parts.append(f"\nNot run: {', '.join(f'`{name}`' for name in left)}.")
    parts += detail(studies, metrics)
    parts += [f"\n{part.strip()}" for part in appended]
    parts += _about(studies, runs)
    with atomic_write(output) as part:
        part.write_text("\n".join(parts), encoding="utf-8")


def _results(found: Sequence[Row], runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    names = baseline_names(row.ours for row in found)
    head = ["Study", "Metric", "Published", "Ours, as published", "Ours, honest", "95 % interval"]
    head += ["Groups", "Less the best baseline"]
    head += [first_capital(baseline_label(name)) for name in names] + ["Training, minutes"]
    lines = []
    for row in found:
        star = "" if row.honest or not row.ours else r" \*"
        interval = interval_text(row.ours)
        value, within = gain_texts(row.metric, row.ours)
        lines.append(
            [
                _studies_of(row),
                label(row.metric, row.class_name),
                _with_subset(number(row.published), row.published is not None and row.subset),
                _with_subset(value_text(row.repeated), row.repeated and row.repeated["subset"]),
                _with_subset(value_text(row.honest), row.honest and row.honest["subset"]),
                interval + (star if interval != DASH else ""),
                str(row.ours["groups"]) if row.ours and interval != DASH else DASH,
                value if within == DASH else f"{value} ({within})",
                *(baseline_text(row.ours, name) for name in names),
                _minutes_of(row, runs),
            ]
        )
    return table(head, lines)


def _studies_of(row: Row) -> str:
    if row.repeated_name in (None, row.name):
        return f"`{row.name}`"
    return f"`{row.repeated_name}`, beside it `{row.name}`"


def _with_subset(text: str, subset: Any) -> str:
    return f"{text} ({SUBSET_WORDS[subset]})" if subset and text != DASH else text


def _minutes_of(row: Row, runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    names = [row.repeated_name] if row.repeated_name not in (None, row.name) else []
    return " / ".join(_total_minutes(runs[name]) for name in [*names, row.name])


def _total_minutes(runs: Sequence[Mapping[str, Any]]) -> str:
    known = [took for took in (minutes(run) for run in runs) if took is not None]
    return f"{sum(known):.1f}" if known else DASH


def _about(
    studies: Sequence[StudyInputs], runs: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[str]:
    """What each study is, and on which machine it was trained."""
    head = [
        "Study",
        "Title",
        "Kind",
        "Trainings",
        "Minutes in all",
        "Machine",
        "Started",
        "Code",
    ]
    lines = [
        [
            f"`{study.name}`",
            study.study["title"],
            KINDS[kind_of_result(study.study)],
            str(len(runs[study.name])),
            _total_minutes(runs[study.name]),
            _distinct(device(run) for run in runs[study.name]),
            min((str(run["started"]) for run in runs[study.name] if "started" in run), default=""),
            _distinct(f"`{run['code']}`" for run in runs[study.name] if run.get("code")),
        ]
        for study in studies
    ]
    text = ["\n## The trainings\n", table(head, lines)]
    known = {study.name: study.study.get("known_issues") or [] for study in studies}
    if any(known.values()):
        text.append("\n## What to keep in mind\n")
        text += [f"- `{name}`: {' '.join(issues)}" for name, issues in known.items() if issues]
    text.append("\n## The data\n")
    datasets = {study.study["dataset"]: study.dataset for study in studies}
    for name, dataset in datasets.items():
        citation = f" {dataset['citation']}" if dataset.get("citation") else ""
        text.append(
            f"- `{name}`: {dataset['title']}. Licence: {dataset.get('licence', 'not stated')}."
            f"{citation}"
        )
    return [*text, ""]


def _distinct(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the page of a run from its config and its folder of results."""
    parser = argparse.ArgumentParser(
        prog="python -m coverslip.reporting.results_page",
        description="Write the table of studies from a run.",
    )
    parser.add_argument(
        "--configfile",
        type=Path,
        required=True,
        nargs="+",
        help="configs of the run, in order",
    )
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the run")
    parser.add_argument("--output", type=Path, default=Path("docs/results.md"))
    parser.add_argument(
        "--append",
        type=Path,
        default=[],
        nargs="+",
        help="further parts of the page, in Markdown, as benchmarks/peers.py prints them",
    )
    parser.add_argument("--command", help="the command to show in the page; by default this one")
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = parser.parse_args(given)
    command = options.command or f"{parser.prog} {shlex.join(given)}"
    try:
        given_config: dict[str, Any] = {}
        for configfile in options.configfile:
            update_config(given_config, yaml.safe_load(configfile.read_text(encoding="utf-8")))
        config = validate.resolve(given_config, SCHEMA)
        studies = collect(config, validate.chosen_studies(config), root=options.results)
        ran = [study for study in studies if study.metrics.is_file()]
        left = [study.name for study in studies if study not in ran] if ran else []
        appended = [path.read_text(encoding="utf-8") for path in options.append]
        write(ran or studies, command, options.output, left, appended)
    except (CoverslipError, OSError) as error:
        sys.exit(f"coverslip: {error}")


if __name__ == "__main__":
    main()
