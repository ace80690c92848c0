"""`docs/results.md`: the table of results in Markdown, written from a run.

Benchmarks that compare a study with others print a part of their own, which can be appended.

Run as `make results`, or `python benchmarks/results_page.py --help`.
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

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

from coverslip.config import validate
from coverslip.errors import CoverslipError
from coverslip.evaluation.runs import fold_and_seed
from coverslip.files import WORKFLOW, atomic_write
from coverslip.metrics.intervals import MIN_GROUPS
from coverslip.reporting.results import (
    DASH,
    HEADLINES,
    KINDS,
    Comparison,
    Result,
    StudyInputs,
    baseline_label,
    baseline_text,
    collect,
    comparisons,
    device,
    find,
    first_capital,
    interval_text,
    label,
    minutes,
    number,
    plural,
    read_json,
    read_metrics,
    results,
    value_text,
)
from coverslip.reporting.tables import ensemble_scores, main_metrics
from coverslip.runtime.run_record import git_state


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, without a line end at its end; empty cells get a dash."""
    rows = [head, ["---"] * len(head), *lines]
    cells = [[(cell or DASH).replace("|", r"\|") for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


# --- By fold, by modality, and ensembles of several seeds

MAIN = "mean_ap"

SCORES = (
    MAIN,
    "ap50_pooled",
    "mean_matched_iou",
    "split_rate",
    "merge_rate",
    "missed_rate",
    "spurious_rate",
)
"""Metrics of objects that are shown by modality; the first with its CI."""

PEER = "otsu watershed"

MEAN = """Networks that differ only in their seed, and the mean of their outputs, on the same
images. Each further network costs a training, and a prediction of each image.
"""


def detail(studies: Sequence[StudyInputs], metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return these parts in Markdown, without empty ones.

    Args:
        studies: in the order of the config.
        metrics: `metrics.json` of each study, by its name.
    """
    folds = [line for study in studies for line in _folds(study, metrics[study.name])]
    modalities = [line for s in studies for line in _modalities(s, metrics[s.name])]
    parts = []
    if folds:
        width = max(len(line) for line in folds)
        head = ["Study", "Metric", *(f"Fold {fold}" for fold in range(width - 2))]
        filled = [line + [""] * (width - len(line)) for line in folds]
        parts += ["\n## Fold by fold\n", "On the test images of each fold.\n"]
        parts += [table(head, filled)]
    if modalities:
        titles = [first_capital(label(name)) for name in SCORES]
        head = ["Study", "Modality", "Computed on", "Objects", titles[0], "95 % CI"]
        head += [first_capital(baseline_label(PEER)), *titles[1:]]
        parts += ["\n## Objects by modality\n", "On test images.\n", table(head, modalities)]
    means = [line for study in studies for line in _mean_of_seeds(study)]
    if means:
        head = ["Study", "Metric", "Computed on", "Single networks", "95 % CI", "Ensemble"]
        head += ["95 % CI", "Difference", "95 % CI"]
        parts += ["\n## Ensembles of several seeds\n", MEAN, table(head, means)]
    return parts


def _folds(study: StudyInputs, metrics: Mapping[str, Any]) -> list[list[str]]:
    """Return a line a metric of a study of several folds; of several seeds the first."""
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
    for name in HEADLINES[study.task]:
        values = [find(of_fold, name, "test") for of_fold in alone.values()]
        if any(values):
            lines.append([f"`{study.name}`", label(name), *map(value_text, values)])
    return lines


def _mean_of_seeds(study: StudyInputs) -> list[list[str]]:
    """Return a line a metric of a study whose ensemble is scored."""
    scores = ensemble_scores(study.ensemble, main_metrics(study.study))
    return [
        [f"`{study.name}`", line["label"], line["support"]]
        + [text for key in ("single", "ensemble", "difference") for text in line[key]]
        for line in (scores["lines"] if scores else [])
    ]


def _modalities(study: StudyInputs, metrics: Mapping[str, Any]) -> list[list[str]]:
    lines = []
    for record in (metrics.get("instances") or {}).get("modality", []):
        if record["subset"] != "test":
            continue
        scores = record["scores"]
        main = {**scores[MAIN], "groups": record["groups"]}
        lines.append(
            [
                f"`{study.name}`",
                record["modality"] or "unknown",
                f"{number(record['images'], 'count')} images, {plural(record['groups'], 'group')}",
                number(record["n_true"], "count"),
                value_text(main),
                interval_text(main) if record["groups"] >= MIN_GROUPS else DASH,
                baseline_text(main, PEER),
                *(value_text(scores.get(name)) for name in SCORES[1:]),
            ]
        )
    return lines


# --- The table of results

SCHEMA = WORKFLOW / "schemas" / "config.schema.json"

HEAD = """# Results

Written by a command from the `metrics.json` and `run.json` of a run; do not edit it by hand:

```
{command}
```

{code}

Numbers are on test images, unless another subset is named. The 95 % CI is over groups of images
([method](method.md#confidence-intervals)); with fewer than five groups the value of each group is
given instead. The baselines are simple methods on the same images; the difference to the best of
them has a CI of its own. A {dash} marks what was not published or not computed.
"""

KINDS_TEXT = """## Published, reproduced, and on new groups

*Reproduced*: the published protocol, repeated. *Random split*: test images at random, so that
images of one group are in training and test, and the score is too high for new data. *Held-out
groups*: no group is in training and test. In brackets: 95 % CI and number of groups, or the values
of few groups.
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
            them.

    Raises:
        CoverslipError: a file of a run is missing or malformed.
    """
    metrics = {study.name: read_metrics(study.metrics) for study in studies}
    runs = {study.name: [read_json(path) for path in study.runs] for study in studies}
    lines = [line for study in studies for line in results(study, metrics[study.name])]
    parts = [HEAD.format(command=command, dash=DASH, code=_code(runs))]
    compared = comparisons(studies, metrics)
    if compared:
        parts += [KINDS_TEXT, _comparisons(compared)]
        parts += _sources(studies)
    parts += ["\n## All studies\n", _results(lines, runs)]
    if left:
        parts.append(f"\nNot run: {', '.join(f'`{name}`' for name in left)}.")
    parts += detail(studies, metrics)
    parts += [f"\n{part.strip()}" for part in appended]
    parts += _about(studies, runs)
    with atomic_write(output) as part:
        part.write_text("\n".join(parts), encoding="utf-8")


def _code(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return which commit wrote the page, and which ones the trainings ran at."""
    records = [run for of_study in runs.values() for run in of_study]
    trained = sorted({str(run["git"]) for run in records if run.get("git")})
    codes = sorted({str(run["code"]) for run in records if run.get("code")})
    now = git_state() or "unknown"
    text = f"Written at commit `{now}`"
    if trained == [now]:
        text += ", at which all models were trained"
    elif trained:
        text += f"; trained at {', '.join(f'`{commit}`' for commit in trained)}"
    return f"{text}. Code fingerprints: {', '.join(f'`{code}`' for code in codes) or DASH}."


def _comparisons(lines: Sequence[Comparison]) -> str:
    head = ["Studies", "Metric", "Published", *KINDS.values()]
    cells = [
        [
            ", ".join(f"`{study.name}`" for study in line.studies),
            line.first.label,
            line.published,
            *(line.cell(kind) for kind in KINDS),
        ]
        for line in lines
    ]
    return table(head, cells)


def _sources(studies: Sequence[StudyInputs]) -> list[str]:
    """Return where the published figures are from, and what differs in random splits."""
    cited: dict[str, list[str]] = {}
    for study in studies:
        if study.study.get("reported_results"):
            source = study.study.get("source") or "no source is stated"
            cited.setdefault(" ".join(str(source).split()), []).append(f"`{study.name}`")
    text = [f"- {', '.join(names)}: {source}." for source, names in cited.items()]
    return ["\nPublished figures are from:\n", *text] if text else []


def _results(lines: Sequence[Result], runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    head = ["Study", "Kind", "Metric", "Value", "95 % CI, or values of few groups"]
    head += ["Computed on", "Best baseline", "Difference", "Training, minutes"]
    cells = [
        [
            f"`{line.study.name}`",
            line.study.kind,
            line.label,
            line.value,
            line.interval,
            line.support,
            " ".join(line.baseline).strip(),
            line.difference,
            _total_minutes(runs[line.study.name]),
        ]
        for line in lines
    ]
    return table(head, cells)


def _total_minutes(runs: Sequence[Mapping[str, Any]]) -> str:
    times = [took for took in (minutes(run) for run in runs) if took is not None]
    return f"{sum(times):.1f}" if times else DASH


def _about(
    studies: Sequence[StudyInputs], runs: Mapping[str, Sequence[Mapping[str, Any]]]
) -> list[str]:
    """Return what each study is, and on which machine it was trained."""
    head = [
        "Study",
        "Title",
        "Kind",
        "Trainings",
        "Minutes in total",
        "Machine",
        "Started",
        "Code",
    ]
    lines = [
        [
            f"`{study.name}`",
            study.study["title"],
            study.kind,
            str(len(runs[study.name])),
            _total_minutes(runs[study.name]),
            _distinct(device(run) for run in runs[study.name]),
            min((str(run["started"]) for run in runs[study.name] if "started" in run), default=""),
            _distinct(f"`{run['code']}`" for run in runs[study.name] if run.get("code")),
        ]
        for study in studies
    ]
    text = ["\n## Trainings\n", table(head, lines)]
    issues = {study.name: study.issues for study in studies if study.issues}
    if issues:
        text.append("\n## Known issues and limitations\n")
        text += [f"- `{name}`: {' '.join(texts)}" for name, texts in issues.items()]
    text.append("\n## Data\n")
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
        prog="python benchmarks/results_page.py",
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
