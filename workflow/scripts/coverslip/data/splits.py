"""Which images are for training, validation and test, and what leaks between them.

Units are assigned to subsets: images (`random`), whole groups (`grouped`), places in the archive
(`archive_order`), its own folder of test images (`official`) or rows of a table (`file`). With k
folds the units are cut into k parts, fold f tests on part f, and validation is drawn from the rest
by the same method (`official`: by whole groups).

Images without a class cannot be learned nor scored by a classification; they are the subset
`unlabelled` of every fold.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from coverslip.config.sections import Split
from coverslip.data import tables as manifests
from coverslip.errors import CoverslipError
from coverslip.files import atomic_write, write_json

SUBSETS = ("train", "validation", "test")


def read(frame: pd.DataFrame, config: Split) -> list[np.ndarray]:
    """For each fold the subset of each image, from the csv file of the config."""
    if not config.file:
        raise CoverslipError("split: method is 'file' but no file is named: set split/file")
    path = Path(config.file)
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise CoverslipError(
            f"{path}: not a readable csv ({error}): give a csv with the columns id, fold, subset"
        ) from error
    missing = [name for name in ("id", "fold", "subset") if name not in table.columns]
    if missing:
        raise CoverslipError(f"{path}: column {missing[0]} is missing: give id, fold, subset")
    wrong = sorted(set(table["subset"]) - set(SUBSETS))
    if wrong:
        raise CoverslipError(f"{path}: subset '{wrong[0]}' is unknown: use {', '.join(SUBSETS)}")
    _refuse(path, sorted(set(table["id"]) - set(frame.index)), "not in the dataset")
    twice = table["id"][table.duplicated(["id", "fold"])]
    _refuse(path, sorted(set(twice)), "twice in a fold")
    expected = [str(fold) for fold in range(config.folds)]
    if sorted(set(table["fold"])) != sorted(expected):
        raise CoverslipError(
            f"{path}: folds are {', '.join(sorted(set(table['fold'])))} but the study has "
            f"{config.folds}: number them from 0 and set split/folds to their count"
        )
    folds = []
    for fold in expected:
        subset = table[table["fold"] == fold].set_index("id")["subset"]
        _refuse(path, sorted(set(frame.index) - set(subset.index)), f"missing in fold {fold}")
        for name in ("train", "validation"):
            if not (subset == name).any():
                raise CoverslipError(f"{path}: fold {fold} has no image for {name}: add some")
        folds.append(subset[frame.index].to_numpy(dtype=object))
    return folds


def _refuse(path: Path, ids: Sequence[str], what: str) -> None:
    if ids:
        named = ", ".join(ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
        raise CoverslipError(f"{path}: images {what}: {named}: correct these rows")


# --- Which images are for training, validation and test, and what leaks between them

LOG = logging.getLogger("coverslip")

UNLABELLED = "unlabelled"

KINDS = ("exact", "near", "abutting", "overlap")

COLUMNS = ["id", "group", "stratum", "fold", "subset"]

PLACE = list(manifests.PLACE_COLUMNS)

TRIES = 200
"""Random orders that `assign_groups` tries."""

TRIED_UNITS = 40_000
"""With many groups fewer orders are tried: about so many assignments in all."""

NAMED = 20
"""So many groups and pairs are named in the summary."""


def split(
    groups: Path,
    manifest: Path,
    duplicates: Path,
    config: Split,
    reproduction: bool,
    table: Path,
    summary: Path,
    task: str = "segmentation",
    patch: int | None = None,
) -> None:
    """Write the split of a study.

    Args:
        groups, duplicates: csv files of `coverslip.data.group_images`. manifest: of the dataset.
        config: method, folds, shares, stratification, seed.
        reproduction: whether the study repeats a published protocol.
        table: csv to write: id, group, stratum, fold, subset; one row an image and fold; stratum
            is the class with `stratify: class`, else the modality.
        summary: json to write: settings, counts, and the leaks by fold: groups and pairs of
            duplicates that are in two subsets.
        task: `segmentation` or `classification`.
        patch: for `unit: patch`, its side in pixels; the table then has its corner, y and x.

    Raises:
        CoverslipError: too few images or groups; a file that does not fit; a leak, unless the
            study is a reproduction or the method `random` (then a warning is logged). After a leak
            the two files are not written.
    """
    everything = _frame(groups, manifest, config, task)
    frame = everything[everything["labelled"]]
    if config.unit == "patch" and patch is not None:
        frame = _patches(frame, manifest, patch)
    folds = read(frame, config) if config.method == "file" else _draw(frame, config)
    rows = [frame.assign(fold=fold, subset=subset) for fold, subset in enumerate(folds)]
    other = everything[~everything["labelled"]]
    unlabelled = range(len(folds) if len(other) else 0)  # an empty table would lose its types
    rows += [other.assign(fold=fold, subset=UNLABELLED) for fold in unlabelled]
    result = pd.concat(rows).sort_index(kind="stable").sort_values("fold", kind="stable")
    columns = [*COLUMNS, *(name for name in PLACE if name in frame)]
    result = result.rename_axis("id").reset_index()[columns]
    pairs = pd.read_csv(duplicates, dtype={"a": str, "b": str}, keep_default_na=False)
    pairs = pairs[pairs["a"].isin(frame.index) & pairs["b"].isin(frame.index)]
    leaks = [leakage_report(frame["group"], subset, pairs) for subset in folds]
    _judge(leaks, config, reproduction)
    with atomic_write(table) as part:
        result.to_csv(part, index=False, lineterminator="\n")
    summary.parent.mkdir(parents=True, exist_ok=True)
    write_json(summary, _summary(frame, folds, leaks, config, reproduction, len(other)))


def _frame(groups: Path, manifest: Path, config: Split, task: str) -> pd.DataFrame:
    """Images by id, in the order of the archive, with group, stratum, labelled and member."""
    known = manifests.read_manifest(manifest)
    texts = manifests.read_groups(groups)
    if sorted(texts.index) != sorted(known.index):
        raise CoverslipError(f"{groups}: other images than in {manifest}: remove it and run again")
    labelled = (known["class"] != "") | (task != "classification")
    if not labelled.any():
        raise CoverslipError(f"{manifest}: no image has a class: correct the format or labels")
    if config.stratify == "class" and (known["class"][labelled] == "").any():
        name = known.index[known["class"] == ""][0]
        raise CoverslipError(
            f"{manifest}: stratify is 'class' but image {name} has none: set stratify to none or "
            "modality"
        )
    order = known.sort_values("member", kind="stable").index
    stratum = known["class"] if config.stratify == "class" else texts["modality"]
    return pd.DataFrame(
        {
            "group": texts["group"][order],
            "stratum": stratum[order],
            "labelled": labelled[order],
            "member": known["member"][order],
        },
        index=order,
    )


def _patches(frame: pd.DataFrame, manifest: Path, patch: int) -> pd.DataFrame:
    """Rows of images as rows of their patches, side by side without remainders."""
    sizes = manifests.read_manifest(manifest).loc[frame.index, ["height", "width"]]
    places = [
        (id, y, x)
        for id, height, width in sizes.itertuples(name=None)
        for y in range(0, height - patch + 1, patch)
        for x in range(0, width - patch + 1, patch)
    ]
    table = pd.DataFrame(places, columns=["id", *PLACE]).set_index("id")
    return table.join(frame)[[*frame.columns, *PLACE]]


def _draw(frame: pd.DataFrame, config: Split) -> list[np.ndarray]:
    """For each fold the subset of each image (str), by the method of the config."""
    strata = frame["stratum"] if config.stratify != "none" else frame["stratum"].map(lambda _: "")
    codes = np.unique(strata, return_inverse=True)[1]
    groups = frame["group"].to_numpy()

    def parts(rows: np.ndarray, shares: Sequence[float], step: int, least=(1, 1)) -> np.ndarray:
        rng = np.random.default_rng([config.seed, step])
        if config.method == "archive_order":
            return assign_in_order(len(rows), shares)
        if config.method == "random":
            return assign_images(codes[rows], shares, rng)
        return assign_groups(groups[rows], codes[rows], shares, rng, least)

    everything = shuffled = np.arange(len(frame))
    folds = []
    learned = 1 + (config.validation > 0)  # what is not tested is cut into so many parts again
    if config.method == "official":
        held = [_in_folder(frame["member"], config.test_folder)]
    elif config.method == "train_test_split":
        shuffled, test = sklearn_split(everything, config.test, config.seed)
        held = [np.isin(everything, test)]
    elif config.folds == 1:
        part = parts(everything, [1 - config.test, config.test], 0, (learned, 1))
        held = [part == 1]
    else:
        least = [learned if config.folds == 2 else 1] * config.folds
        part = parts(everything, [1 / config.folds] * config.folds, 0, least)
        held = [part == fold for fold in range(config.folds)]
    for fold, test in enumerate(held):
        subset = np.full(len(frame), "test", dtype=object)
        rest = shuffled if config.method == "train_test_split" else np.flatnonzero(~test)
        if config.validation_method == "last":
            drawn = np.arange(len(rest)) >= int(len(rest) * (1 - config.validation))
        elif config.validation and "train_test_split" in (config.method, config.validation_method):
            drawn = np.isin(rest, sklearn_split(rest, config.validation, config.seed)[1])
        else:
            drawn = parts(rest, [1 - config.validation, config.validation], fold + 1)
        subset[rest] = np.where(drawn == 1, "validation", "train")
        folds.append(subset)
    return folds


def sklearn_split(rows: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split rows by scikit-learn's `train_test_split`; both parts keep its shuffled order."""
    from sklearn.model_selection import train_test_split

    _enough(len(rows), [1 - share, share], "images")
    return tuple(train_test_split(rows, test_size=share, random_state=seed))


def _in_folder(members: pd.Series, folder: str | None) -> np.ndarray:
    """Return whether each image is in a folder of this name, bool; some do and some do not."""
    inside = members.map(lambda member: folder in PurePosixPath(member).parent.parts).to_numpy(bool)
    if inside.all() or not inside.any():
        what = "all images are" if inside.all() else "no image is"
        raise CoverslipError(
            f"split: {what} in a folder called '{folder}', such as {members.iloc[0]}: fix "
            "split.test_folder"
        )
    return inside


def assign_in_order(count: int, shares: Sequence[float]) -> np.ndarray:
    """Contiguous parts in order: int64 part of each of `count` units; every part gets a unit."""
    _enough(count, shares, "images")
    wanted = [number for number, share in enumerate(shares) if share > 0]
    cuts = np.rint(np.cumsum([shares[number] for number in wanted])[:-1] * count).astype(int)
    for place in range(len(cuts)):
        lowest = 1 if place == 0 else cuts[place - 1] + 1
        cuts[place] = np.clip(cuts[place], lowest, count - len(cuts) + place)
    return np.array(wanted)[np.searchsorted(cuts, np.arange(count), side="right")]


def assign_images(
    strata: np.ndarray, shares: Sequence[float], rng: np.random.Generator
) -> np.ndarray:
    """Images at random, each stratum with like shares.

    The images are shuffled, sorted by stratum and dealt one by one to the part that lacks most,
    so that the counts of the whole and of each stratum differ from their shares by about one.

    Args:
        strata: N int, stratum of each image. shares: of the parts, sum 1.

    Returns:
        N int64, the part of each image; every part with a share gets one.
    """
    count = len(strata)
    _enough(count, shares, "images")
    order = rng.permutation(count)
    order = order[np.argsort(strata[order], kind="stable")]
    wanted = np.asarray(shares, np.float64)
    given = np.zeros(len(wanted))
    part = np.empty(count, np.int64)
    for place, image in enumerate(order):
        empty = np.flatnonzero((given == 0) & (wanted > 0))
        lack = wanted * (place + 1) - given
        chosen = empty[lack[empty].argmax()] if count - place <= len(empty) else lack.argmax()
        part[image] = chosen
        given[chosen] += 1
    return part


def assign_groups(
    groups: np.ndarray,
    strata: np.ndarray,
    shares: Sequence[float],
    rng: np.random.Generator,
    least: Sequence[int],
) -> np.ndarray:
    """Whole groups at random, so that the counts of images come near the shares.

    A greedy assignment in random order: each group goes to the part where the sum of squares of
    what is lacking, over parts and strata, falls most. (scikit-learn's StratifiedGroupKFold goes by
    size instead, so that the largest groups always end in one place.) Of `TRIES` orders the one
    that ends nearest to the shares is kept.

    Args:
        groups: N, group of each image. strata: N int, stratum. shares: of the parts, sum 1.
        least: groups that each part with a share gets, if there are so many; else one.

    Returns:
        N int64, the part of each image.
    """
    names, owner = np.unique(groups.astype(str), return_inverse=True)
    _enough(len(names), shares, "groups")
    wanted = np.asarray(least if sum(least) <= len(names) else [1] * len(least))
    wanted[np.asarray(shares) == 0] = 0
    counts = np.zeros((len(names), int(strata.max()) + 1))
    np.add.at(counts, (owner, strata), 1)
    if counts.shape[1] > 1:
        # The whole counts as much as all strata together.
        counts = np.hstack([counts, counts.sum(axis=1, keepdims=True)])
    totals = counts.sum(axis=0)
    counts = counts / np.where(totals > 0, totals, 1)
    weight = np.ones(counts.shape[1])
    weight[-1] = max(1, counts.shape[1] - 1)
    goal = np.asarray(shares)[:, None] * (totals > 0)
    best, best_cost = np.empty(0, np.int64), np.inf
    for _ in range(max(1, min(TRIES, TRIED_UNITS // len(names)))):
        part, lack = _greedy(counts, goal, weight, rng.permutation(len(names)), wanted)
        cost = float((weight * lack**2).sum())
        if cost < best_cost - 1e-12:
            best, best_cost = part, cost
    return best[owner]


def _greedy(
    counts: np.ndarray, goal: np.ndarray, weight: np.ndarray, order: np.ndarray, least: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Part of each group and what each part lacks at the end, for one order of the groups."""
    lack = goal.copy()
    part = np.full(len(counts), -1)
    short = least.copy()
    for place, group in enumerate(order):
        # Adding c to a part changes its sum of squares by c² - 2 c lack.
        cost = (weight * (counts[group] ** 2 - 2 * counts[group] * lack)).sum(axis=1)
        forced = len(order) - place <= short.sum()
        cost[(short if forced else least) == 0] = np.inf
        chosen = int(cost.argmin())
        part[group] = chosen
        lack[chosen] -= counts[group]
        short[chosen] = max(short[chosen] - 1, 0)
    return part, lack


def _enough(units: int, shares: Sequence[float], what: str) -> None:
    needed = sum(share > 0 for share in shares)
    if units < needed:
        fix = "give more images or ask for fewer folds"
        if what == "groups":
            fix += ", or set groups of the dataset to a finer rule"
        raise CoverslipError(
            f"split: {units} {what} cannot be cut into {needed} parts, each of at least one: {fix}"
        )


def leakage_report(groups: pd.Series, subset: np.ndarray, pairs: pd.DataFrame) -> dict[str, Any]:
    """Return what is in two subsets of one fold.

    Args:
        groups: group by id. subset: of each id, in the same order.
        pairs: duplicates with the columns a, b, kind.

    Returns:
        `groups` and `pairs` (numbers), numbers by kind of pair, the first names of both, and
        `relatives`, the share of the test images that have one of their group in training.
    """
    where = dict(zip(groups.index, subset, strict=True))
    homes = defaultdict(set)
    for group, home in zip(groups, subset, strict=True):
        homes[group].add(home)
    torn = sorted(group for group, found in homes.items() if len(found) > 1)
    apart = [where[a] != where[b] for a, b in zip(pairs["a"], pairs["b"], strict=True)]
    crossing = pairs[np.array(apart, bool)]
    kinds = {kind: int((crossing["kind"] == kind).sum()) for kind in KINDS}
    tested = groups.index[subset == "test"]
    known = set(groups[subset == "train"])
    relatives = groups[groups.index.isin(tested)].groupby(level=0).first().isin(known).to_list()
    examples = [f"{a} = {b}" for a, b in zip(crossing["a"], crossing["b"], strict=True)]
    return {
        "groups": len(torn),
        "pairs": len(crossing),
        **kinds,
        "relatives": round(float(np.mean(relatives)), 4) if relatives else 0.0,
        "named groups": torn[:NAMED],
        "named pairs": examples[:NAMED],
    }


def _judge(leaks: list[dict[str, Any]], config: Split, reproduction: bool) -> None:
    """Reject a split that leaks, or log a warning where the study asked for it."""
    worst = max(leaks, key=lambda found: (found["groups"], found["pairs"]))
    if not worst["groups"] and not worst["pairs"]:
        return
    named = ", ".join((worst["named groups"] + worst["named pairs"])[:3])
    text = (
        f"split ({config.method}): {worst['groups']} groups and {worst['pairs']} pairs of "
        f"duplicates are in two subsets, such as {named}"
    )
    if not reproduction and config.method != "random":
        fix = "correct the file" if config.method == "file" else "use method grouped"
        raise CoverslipError(f"{text}: {fix}, or name the published study by `reproduces`")
    LOG.warning("%s: the scores of this study are too good", text)


def _summary(
    frame: pd.DataFrame,
    folds: list[np.ndarray],
    leaks: list[dict[str, Any]],
    config: Split,
    reproduction: bool,
    unlabelled: int,
) -> dict[str, Any]:
    """Return the content of `split.json`."""
    counts = []
    for fold, subset in enumerate(folds):
        for name in SUBSETS:
            chosen = frame[subset == name]
            strata = chosen["stratum"].value_counts().sort_index()
            counts.append(
                {
                    "fold": fold,
                    "subset": name,
                    "images": len(chosen),
                    "share": round(len(chosen) / len(frame), 4),
                    "groups": int(chosen["group"].nunique()),
                    "strata": {stratum: int(count) for stratum, count in strata.items()},
                }
            )
    return {
        "format": 1,
        "method": config.method,
        "reproduction": reproduction,
        "folds": config.folds,
        "seed": config.seed,
        "stratify": config.stratify,
        "images": len(frame),
        "unlabelled": unlabelled,
        "groups": int(frame["group"].nunique()),
        "counts": counts,
        "leaking": any(found["groups"] or found["pairs"] for found in leaks),
        "leaks": leaks,
    }
