"""Tables of the report: datasets, splits, metrics, ensembles, searches and runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coverslip.errors import CoverslipError
from coverslip.reporting.results import (
    DASH,
    HIGHER_IS_BETTER,
    IMPORT,
    LOWER_IS_BETTER,
    SHOWN,
    SUBSET_WORDS,
    SUBSETS,
    baseline_label,
    baseline_names,
    baseline_text,
    device,
    first_capital,
    interval_text,
    label,
    limits,
    minutes,
    number,
    plural,
    read_json,
    signed_texts,
    support_text,
    value_text,
)

MOST_KINDS = 4
"""Kinds of a property that are listed; more are counted."""

GROUPS = {
    "image": "each image on its own, duplicates together",
    "filename": "read from the file names",
    "acquisition": "derived from size, modality and similarity",
    "metadata": "wells, read from the file names",
    "overlap": "images that share an area",
}

SPLITS = {
    "random": "random, image by image",
    "grouped": "whole groups: images acquired together stay together",
    "archive_order": "in the order of the archive",
    "official": "the archive's own test folder, validation by whole groups",
    "file": "from a table",
}


MODALITIES = {"brightfield": "transmitted light"}
"""Modalities in words: of grey bright images it is not known whether they are phase contrast."""


@dataclass(frozen=True)
class Fact:
    """A line of a list of facts."""

    label: str
    text: str
    bad: bool = False
    """Shown in red."""


def dataset_sentence(report: Mapping[str, Any]) -> str:
    """Return a dataset in one sentence: images, kinds, objects, groups, as far as counted."""
    parts = [plural(report.get("images") or 0, "image")]
    if report.get("modalities"):
        parts[0] += f" ({_kinds(report['modalities'], MODALITIES)})"
    total = (report.get("objects") or {}).get("total")
    if total:
        parts.append(f"{plural(total, 'object')} with an annotated contour")
    groups = (report.get("groups") or {}).get("count")
    if groups:
        parts.append(f"{plural(groups, 'group')} of images acquired together")
    return "; ".join(parts) + "."


def data_facts(report: Mapping[str, Any], names: Mapping[str, str] | None = None) -> list[Fact]:
    """Return what the check of a dataset counted; `names` are those of the classes, by label."""
    facts = [Fact("Images", number(report.get("images"), "count"))]
    for key, name in (
        ("modalities", "Modality"),
        ("classes", "Classes"),
        ("sizes", "Height x width"),
        ("dtypes", "Data type"),
        ("channels", "Channels"),
    ):
        if report.get(key):
            words = {"classes": names, "modalities": MODALITIES}.get(key)
            facts.append(Fact(name, _kinds(report[key], words)))
    objects = report.get("objects") or {}
    masked = bool(objects.get("total")) or not report.get("classes")
    if objects.get("total"):
        text = f"{number(objects['total'], 'count')}; per image {_spread(objects)}"
        if objects.get("images without"):
            text += f"; {plural(objects['images without'], 'image')} without any"
        facts.append(Fact("Objects", text))
    if report.get("foreground") and masked:
        facts.append(Fact("Foreground", f"{_spread(report['foreground'], percent=True)}"))
    if report.get("diameter") and masked:
        facts.append(Fact("Diameter of objects", f"{_spread(report['diameter'])} px"))
    groups = report.get("groups") or {}
    if groups:
        how = GROUPS.get(str(groups.get("method")), str(groups.get("method", DASH)))
        text = f"{number(groups.get('count'), 'count')} ({how})"
        if groups.get("max"):
            text += f"; the largest has {plural(int(groups['max']), 'image')}"
        facts.append(Fact("Groups", text))
    for key, name in (("duplicates", "Pairs of duplicates"), ("masks", "Problems of masks")):
        counts = {kind: count for kind, count in (report.get(key) or {}).items() if count}
        if counts and (key == "duplicates" or masked):
            facts.append(Fact(name, _kinds(counts)))
    return facts


def split_facts(split: Mapping[str, Any]) -> list[Fact]:
    """Return how images were split, the sizes of the subsets, and the leakage between them."""
    method = str(split.get("method") or DASH)
    how = SPLITS.get(method, method)
    if split.get("stratify") not in (None, "none"):
        how += f", stratified by {split['stratify']}"
    facts = [Fact("Split", how), Fact("Seed", number(split.get("seed")))]
    several = (split.get("folds") or 1) > 1
    for count in split.get("counts") or []:
        name = SUBSET_WORDS.get(count["subset"], count["subset"]).capitalize()
        text = plural(count["images"], "image")
        if count.get("groups") is not None:
            text += f", {plural(count['groups'], 'group')}"
        facts.append(Fact(f"Fold {count['fold']}, {name.lower()}" if several else name, text))
    if split.get("unlabelled"):
        facts.append(Fact("Without a class", plural(split["unlabelled"], "image")))
    leaks = split.get("leaks") or []
    for fold, leak in enumerate(leaks):
        facts.append(_leak(f"Leakage, fold {fold}" if len(leaks) > 1 else "Leakage", leak))
    return facts


def _leak(label: str, leak: Mapping[str, Any]) -> Fact:
    text = leak_text(leak)
    if not text:
        return Fact(label, "none: no group and no pair of duplicates is in two subsets")
    return Fact(label, text, bad=True)


def leak_text(leak: Mapping[str, Any]) -> str:
    """Return what is in two subsets at once, in a sentence; empty where nothing is."""
    groups, pairs = leak.get("groups") or 0, leak.get("pairs") or 0
    if not groups and not pairs:
        return ""
    text = f"{plural(groups, 'group')} and {plural(pairs, 'pair')} of duplicates are in two "
    text += "subsets, so the metrics are too optimistic"
    if leak.get("relatives"):
        part = f"{100 * leak['relatives']:.0f} %"
        text += f"; {part} of the test images have one of their group in training"
    return text


def _kinds(counts: Mapping[str, Any], names: Mapping[str, str] | None = None) -> str:
    """Return `fluorescence: 541, histology: 108`; kinds beyond the first few are counted."""
    kinds = [((names or {}).get(kind, kind), count) for kind, count in counts.items()]
    text = ", ".join(f"{kind}: {number(count, 'count')}" for kind, count in kinds[:MOST_KINDS])
    more = len(kinds) - MOST_KINDS
    return text + (f" and {more} more" if more > 0 else "")


def _spread(values: Mapping[str, Any], percent: bool = False) -> str:
    """Return `median 32 (5th to 95th percentile: 5 to 120)`."""

    def text(value: Any) -> str:
        if value is None:
            return DASH
        if percent:
            return f"{100 * value:.1f} %"
        return f"{value:.3g}" if value < 1000 else number(value, "count")

    low, middle, high = (text(values.get(key)) for key in ("p5", "median", "p95"))
    return f"median {middle} (5th to 95th percentile: {low} to {high})"


# --- An ensemble and its single networks (`ensemble/scores.json`)

FORMAT = 2

FEW_CLASSES = 2
"""With more classes than this, what is computed for each of them has a table of its own."""


def ensemble_scores(path: Path | None, main: Sequence[str]) -> dict[str, Any] | None:
    """Return single networks against their ensemble; None for a study without one.

    Args:
        path: `scores.json` of the study, if it has any.
        main: names of the metrics that are shown; all others are in the file.

    Returns:
        `lead` (a sentence on cost), `verdict` (one on the first metric), `settled`, `caption` and
        `lines`, each with `label`, `support`, and value and CI of `single`, `ensemble` and
        `difference`.

    Raises:
        CoverslipError: the file is missing or has another format.
    """
    if path is None:
        return None
    scores = read_json(path)
    if scores.get("format") != FORMAT or not isinstance(scores.get("metrics"), list):
        raise CoverslipError(f"{path}: not scores of format {FORMAT}; delete it and run again")
    chosen = _chosen(scores["metrics"], main)
    seeds, folds = len(scores["seeds"]), len(scores["folds"])
    where = "" if folds == 1 else f", for each of {folds} folds,"
    subset = SUBSET_WORDS[chosen[0]["subset"]] if chosen else "test"
    return {
        "lead": f"The outputs of {seeds} networks that differ only in their seed are averaged"
        f"{where} and scored on the same {subset} images as each of them. Cost: {scores['cost']}.",
        "verdict": _verdict(chosen[0]) if chosen else "",
        "settled": scores["settled"],
        "caption": f"On {subset} images, which no network was trained on.",
        "lines": [_ensemble_line(record) for record in chosen],
    }


def _chosen(records: Sequence[Mapping[str, Any]], main: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return the records of these metrics, in their order, of the first subset that has any."""
    several = len({record["class"] for record in records} - {None}) > FEW_CLASSES
    for subset in SUBSETS:
        of_subset = [r for r in records if r["subset"] == subset]
        chosen = [
            record
            for name in main
            for record in of_subset
            if record["name"] == name and (not several or record["class"] is None)
        ]
        if chosen:
            return chosen
    return []


def _ensemble_line(record: Mapping[str, Any]) -> dict[str, Any]:
    cells = {
        key: {"unit": record["unit"], "groups": record["groups"], **record[key]}
        for key in ("single", "ensemble", "difference")
    }
    shown = {
        key: (value_text(cells[key]), interval_text(cells[key])) for key in ("single", "ensemble")
    }
    shown["difference"] = signed_texts(cells["difference"], cells["ensemble"])
    return {
        "label": first_capital(label(record["name"], record["class"])),
        "support": support_text(record),
        **shown,
    }


def _verdict(record: Mapping[str, Any]) -> str:
    """Return whether the ensemble is better by the first metric, as far as its CI supports it."""
    difference = {"unit": record["unit"], "groups": record["groups"], **record["difference"]}
    if not difference["value"] or record["name"] not in HIGHER_IS_BETTER | LOWER_IS_BETTER:
        return ""
    better = (difference["value"] > 0) == (record["name"] in HIGHER_IS_BETTER)
    value, within = signed_texts(difference, difference)
    text = f"{first_capital(label(record['name'], record['class']))} of the ensemble is "
    text += f"{'better' if better else 'worse'}: {value}"
    ends = limits(difference)
    if ends is None:
        return f"{text} ({plural(record['groups'], 'group')}, too few for a CI)."
    text += f", 95 % CI {within.strip('()')}"
    return f"{text}; the CI includes 0." if ends[0] <= 0 <= ends[1] else f"{text}."


# --- A search (`search/search.json`)

METRICS = {"loss": "loss", "accuracy": "accuracy", "iou": "IoU"}
"""Names of what trials are ranked by, for reading."""


def search_facts(summary: Path | None) -> list[Fact]:
    """Return what a search tried and chose; empty for a study without one."""
    if summary is None:
        return []
    search = read_json(summary)
    rungs = [f"{rung['trials']} to epoch {rung['epochs']}" for rung in search["rungs"]]
    facts = [
        Fact("Trials", ", then ".join(rungs)),
        Fact("Ranked by", f"validation {METRICS[search['metric']]}"),
    ]
    for key, values in search["space"].items():
        facts.append(Fact(f"Tried: {key}", _range(values)))
    for fold, best in search["chosen"].items():
        where = f", fold {fold}" if len(search["chosen"]) > 1 else ""
        values = ", ".join(f"{key} = {value}" for key, value in best["values"].items())
        facts.append(
            Fact(f"Chosen{where}", f"{values} ({METRICS[search['metric']]} {best['score']:.4f})")
        )
    return facts


def _range(values: Mapping[str, Any]) -> str:
    if values["choices"] is not None:
        return ", ".join(map(str, values["choices"]))
    scale = ", on a logarithmic scale" if values["log"] else ""
    return f"{values['low']} to {values['high']}{scale}"


# --- All metrics of one study


def main_metrics(section: Mapping[str, Any]) -> list[str]:
    """Return the metrics that are shown: those of the task, and what was published."""
    published = [figure["metric"] for figure in section.get("reported_results") or []]
    return list(dict.fromkeys([*SHOWN[section.get("task") or "segmentation"], *published]))


def score_tables(metrics: Mapping[str, Any], main: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the tables of metrics that can be unfolded: a subset each, classes, single trainings.

    The metrics `main` of the test images are left out: they are shown already.
    """
    records = metrics["metrics"]
    whole = [r for r in records if r.get("run", "all") == "all"]
    single = [r for r in records if r.get("run", "all") != "all"]
    if not whole:
        whole, single = single, []
    tables: list[dict[str, Any]] = []
    several = len(metrics.get("classes") or ()) > FEW_CLASSES
    for subset in SUBSETS:
        of_subset = [r for r in whole if r["subset"] == subset]
        name = f"metrics on {SUBSET_WORDS[subset]} images"
        rest = [r for r in of_subset if not several or r.get("class") is None]
        shown = [r for r in rest if subset == SUBSETS[0] and r["name"] in main]
        rest = [r for r in rest if r not in shown]
        if rest:
            title = f"All other {name}" if shown else first_capital(name)
            tables.append(_table(rest, title, SCOPES[subset]))
        of_classes = [r for r in of_subset if several and r.get("class") is not None]
        if of_classes:
            tables.append(_table(of_classes, f"Each class: {name}", SCOPES[subset]))
    if len({r["run"] for r in single}) > 1:
        tables.append(_table(single, "Each training", "One line a training."))
    return tables


SCOPES = {
    "test": "Test images: not used for training or for any choice in it.",
    "validation": "Validation images: the epoch and the threshold were chosen on them.",
    "train": "Training images: much better numbers than on test images show that a model overfits.",
}


def _table(records: Sequence[Mapping[str, Any]], summary: str, caption: str) -> dict[str, Any]:
    names = baseline_names(records)
    lines = []
    single = any(r.get("run", "all") != "all" for r in records)
    for record in records:
        name = label(record["name"], record.get("class"))
        if single:
            name += f", {record['run']}, {SUBSET_WORDS[record['subset']]}"
        interval = interval_text(record)
        reason = record.get("interval_reason") or ""
        lines.append(
            {
                "label": first_capital(name),
                "definition": record.get("definition") or "",
                "value": value_text(record),
                "interval": reason if interval == DASH and reason else interval,
                "baselines": [baseline_text(record, n) for n in names],
                "support": support_text(record),
            }
        )
    titles = [first_capital(baseline_label(name)) for name in names]
    return {"summary": summary, "caption": caption, "baselines": titles, "lines": lines}


# --- Runs and settings


def run_title(run: Mapping[str, Any], path_name: str) -> str:
    """Return which training a record is of: `Training of fold 1, seed 2`."""
    wildcards = run.get("wildcards") or {}
    if run.get("rule") == IMPORT:
        return f"Label images of fold {wildcards.get('fold')}"
    parts = [f"{key} {wildcards[key]}" for key in ("fold", "seed") if key in wildcards]
    return ("Training of " + ", ".join(parts)) if parts else path_name


def run_facts(run: Mapping[str, Any]) -> list[Fact]:
    """Return machine, time, versions and code of a run, then whatever else its record has."""
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
    shown = {"device", "machine", "seconds", "training_seconds", "started", "ended", "code", "git"}
    shown |= {"packages", "versions", "python", "wildcards"}
    shown |= {"params", "inputs", "outputs", "environment", "definitions"}
    return facts + flat({key: item for key, item in run.items() if key not in shown})


def _versions(run: Mapping[str, Any]) -> str:
    packages = dict(run.get("packages") or run.get("versions") or {})
    if run.get("python"):
        packages = {"Python": run["python"], **packages}
    return ", ".join(f"{name} {version}" for name, version in packages.items()) or DASH


def flat(value: Mapping[str, Any], prefix: str = "") -> list[Fact]:
    """Return a nested record as lines: `training.loss` and its value."""
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
