"""Splits: shares, strata, folds, and above all that no group crosses."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split
from split_files import run, write

from coverslip.config.sections import Split
from coverslip.data import splits
from coverslip.errors import CoverslipError


def check_folds(table: pd.DataFrame, ids: list[str], folds: int) -> None:
    """What holds for every split: each image once a fold, each subset there, tests disjoint."""
    assert list(table.columns) == ["id", "group", "stratum", "fold", "subset"]
    assert sorted(set(table["fold"])) == list(range(folds))
    for _, part in table.groupby("fold"):
        assert sorted(part["id"]) == ids
        assert {"train", "validation"} <= set(part["subset"])
    tested = Counter(table["id"][table["subset"] == "test"])
    if folds > 1:
        assert tested == dict.fromkeys(ids, 1), "each image is tested exactly once"


def crossing(table: pd.DataFrame) -> int:
    return int((table.groupby(["fold", "group"])["subset"].nunique() > 1).sum())


def test_grouped_keeps_groups_and_nears_the_shares(tmp_path: Path) -> None:
    sizes = [90, 86, 77, 76, 58, 38, 37, 33, 32, 26, 23, 17, 16, 15, 9, 8, 6, 4, 4, 3, 2, 2, 1, 1]
    groups = [f"g{number:02d}" for number, size in enumerate(sizes) for _ in range(size)]
    ids = write(tmp_path, groups)
    largest = set()
    for seed in range(6):
        table, summary = run(tmp_path, seed=seed)
        check_folds(table, ids, 1)
        assert crossing(table) == 0
        assert summary["leaking"] is False
        share = table["subset"].value_counts() / len(ids)
        assert share["test"] == pytest.approx(0.2, abs=0.02)
        assert share["validation"] == pytest.approx(0.16, abs=0.02)
        largest.add(table.set_index("group")["subset"].loc["g00"].iloc[0])
    assert len(largest) > 1, "the largest group must not always go to training"


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=4, max_size=14),
    folds=st.integers(1, 3),
    seed=st.integers(0, 99),
    method=st.sampled_from(["grouped", "random"]),
    stratify=st.sampled_from(["none", "modality", "class"]),
)
def test_invariants(tmp_path: Path, sizes, folds, seed, method, stratify) -> None:
    groups = [f"g{number}" for number, size in enumerate(sizes) for _ in range(size)]
    kinds = [("x", "y", "z")[int(name[1:]) % 3] for name in groups]
    ids = write(tmp_path, groups, modality=kinds, classes=kinds)
    if folds >= len(sizes) - 1:
        folds = 1
    config = {"folds": folds, "seed": seed, "method": method, "stratify": stratify}
    table, summary = run(tmp_path, **config)
    check_folds(table, ids, folds)
    assert "test" in set(table["subset"])
    assert summary["leaks"][0]["groups"] == crossing(table[table["fold"] == 0])
    if method == "grouped":
        assert crossing(table) == 0
    again, _ = run(tmp_path, **config)
    assert again.equals(table)


@pytest.mark.parametrize(("sizes", "folds"), [([1, 1, 1, 3], 2), ([40, 1, 1, 1], 1)])
def test_two_groups_are_left_for_training_and_validation(tmp_path: Path, sizes, folds) -> None:
    """Also where the sizes alone would leave one."""
    groups = [f"g{number}" for number, size in enumerate(sizes) for _ in range(size)]
    ids = write(tmp_path, groups)
    for seed in range(5):
        table, _ = run(tmp_path, method="grouped", folds=folds, seed=seed)
        check_folds(table, ids, folds)
        assert crossing(table) == 0


def test_random_shares_are_exact_in_each_stratum(tmp_path: Path) -> None:
    classes = ["a"] * 100 + ["b"] * 50 + ["c"] * 10
    write(tmp_path, [str(i) for i in range(160)], classes=classes)
    table, _ = run(tmp_path, method="random", stratify="class")
    assert table["subset"].value_counts().to_dict() == {"train": 102, "test": 32, "validation": 26}
    tested = table[table["subset"] == "test"]["stratum"].value_counts()
    assert abs(tested["a"] - 20) <= 1
    assert abs(tested["b"] - 10) <= 1
    assert abs(tested["c"] - 2) <= 1


def test_random_depends_on_the_seed_only(tmp_path: Path) -> None:
    write(tmp_path, [str(i) for i in range(40)])
    one, _ = run(tmp_path, method="random", seed=1)
    two, _ = run(tmp_path, method="random", seed=2)
    assert not one["subset"].equals(two["subset"])


def test_grouped_and_stratified_by_modality(tmp_path: Path) -> None:
    groups = [f"g{number:02d}" for number in range(30) for _ in range(1 + number % 4)]
    modality = ["histology" if int(name[1:]) % 5 == 0 else "fluorescence" for name in groups]
    write(tmp_path, groups, modality=modality)
    shares = []
    for seed in range(5):
        table, _ = run(tmp_path, folds=3, stratify="modality", seed=seed)
        tested = table[table["subset"] == "test"]
        share = tested.groupby("fold")["stratum"].apply(lambda s: (s == "histology").mean())
        shares.append(share.max() - share.min())
    assert np.mean(shares) < 0.12


def test_listed_follows_the_archive(tmp_path: Path) -> None:
    ids = write(tmp_path, [str(i) for i in range(50)])
    table, _ = run(tmp_path, method="archive_order", test=0.0)
    subset = table.set_index("id")["subset"]
    assert (subset[ids[:10]] == "validation").all(), "the archive's order is reversed here"
    assert (subset[ids[10:]] == "train").all()
    table, _ = run(tmp_path, method="archive_order", test=0.1)
    subset = table.set_index("id")["subset"]
    assert (subset[ids[:5]] == "test").all()
    assert (subset[ids[5:14]] == "validation").all()
    assert (subset[ids[14:]] == "train").all()


def test_listed_folds_are_blocks(tmp_path: Path) -> None:
    ids = write(tmp_path, [str(i) for i in range(12)])
    table, _ = run(tmp_path, method="archive_order", folds=3)
    check_folds(table, ids, 3)
    tested = table[table["subset"] == "test"].groupby("fold")["id"].apply(list)
    assert tested.tolist() == [ids[8:], ids[4:8], ids[:4]]


def test_no_test_set_when_asked_for_none(tmp_path: Path) -> None:
    write(tmp_path, [str(i % 6) for i in range(30)])
    for method in ("random", "grouped"):
        table, _ = run(tmp_path, method=method, test=0.0)
        assert set(table["subset"]) == {"train", "validation"}


@pytest.mark.parametrize(
    ("groups", "config", "said"),
    [
        (["a", "a", "b"], {}, "1 groups cannot be cut into 2 parts"),
        (["a", "a", "b", "c"], {"folds": 4}, "3 groups cannot be cut into 4 parts.*fewer folds"),
        (["a", "b"], {"method": "random"}, "1 images cannot be cut into 2 parts.*more images"),
    ],
)
def test_too_few(tmp_path: Path, groups, config, said) -> None:
    write(tmp_path, groups)
    with pytest.raises(CoverslipError, match=said):
        run(tmp_path, **config)
    assert not (tmp_path / "out").exists()


def test_a_leak_is_refused_unless_as_published(tmp_path: Path) -> None:
    write(
        tmp_path,
        ["g0", "g1", "g2", "g3", "g4", "g4", "g5", "g6", "g7", "g8"],
        pairs=(("0004", "0005", "near"), ("0007", "0008", "abutting"), ("0001", "0002", "exact")),
    )
    # The archive's order is reversed: test 0000 0001, validation 0002 0003, train the others.
    with pytest.raises(CoverslipError, match="1 pairs of duplicates .* 0001 = 0002: use method"):
        run(tmp_path, method="archive_order")
    assert not (tmp_path / "out").exists()
    table, summary = run(tmp_path, True, method="archive_order")
    assert summary["leaking"] is True
    assert summary["leaks"][0] == {
        "groups": 0,
        "pairs": 1,
        "exact": 1,
        "near": 0,
        "abutting": 0,
        "overlap": 0,
        "relatives": 0.0,
        "named groups": [],
        "named pairs": ["0001 = 0002"],
    }


def test_a_random_split_tells_its_leaks_loudly(tmp_path: Path, caplog) -> None:
    write(tmp_path, ["a"] * 10 + ["b"] * 10, pairs=(("0000", "0001", "near"),))
    with caplog.at_level("WARNING", logger="coverslip"):
        _, summary = run(tmp_path, method="random")
    assert summary["leaks"][0]["groups"] == 2
    assert summary["leaks"][0]["named groups"] == ["a", "b"]
    assert "2 groups and" in caplog.text
    assert "too good" in caplog.text


def given_file(folder: Path, rows: list[tuple[str, str, str]]) -> str:
    pd.DataFrame(rows, columns=["id", "fold", "subset"]).to_csv(folder / "own.csv", index=False)
    return str(folder / "own.csv")


def test_a_file_is_taken_as_it_is(tmp_path: Path) -> None:
    ids = write(tmp_path, ["a", "b", "c", "d"])
    first = ["train", "train", "validation", "test"]
    rows = [(name, "0", s) for name, s in zip(ids, first, strict=True)]
    rows += [(name, "1", s) for name, s in zip(ids, reversed(first), strict=True)]
    table, summary = run(tmp_path, method="file", folds=2, file=given_file(tmp_path, rows[::-1]))
    check = table.set_index(["fold", "id"])["subset"]
    assert check[0][ids].tolist() == first
    assert check[1][ids].tolist() == first[::-1]
    assert summary["counts"][2]["images"] == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: [*r, ("nobody", "0", "train")], "not in the dataset: nobody: correct"),
        (lambda r: r[1:], "missing in fold 0: 0000"),
        (lambda r: [*r, r[0]], "twice in a fold: 0000"),
        (
            lambda r: [(i, f, s.replace("test", "tset")) for i, f, s in r],
            "subset 'tset' is unknown",
        ),
        (lambda r: [(i, "1", s) for i, _, s in r], "folds are 1 but the study has 1: number them"),
        (lambda r: [(i, f, "train") for i, f, _ in r], "fold 0 has no image for validation"),
    ],
)
def test_a_file_that_does_not_fit_is_named(tmp_path: Path, change, said) -> None:
    ids = write(tmp_path, ["a", "b", "c", "d"])
    subsets = ["train", "train", "validation", "test"]
    rows = [(name, "0", s) for name, s in zip(ids, subsets, strict=True)]
    with pytest.raises(CoverslipError, match=f"own.csv.*{said}"):
        run(tmp_path, method="file", file=given_file(tmp_path, change(rows)))


def test_a_file_that_is_missing_or_not_named(tmp_path: Path) -> None:
    write(tmp_path, ["a", "b", "c"])
    with pytest.raises(CoverslipError, match="set split/file"):
        run(tmp_path, method="file")
    with pytest.raises(CoverslipError, match="none.csv: not a readable csv"):
        run(tmp_path, method="file", file=str(tmp_path / "none.csv"))
    (tmp_path / "bad.csv").write_text("name,subset\na,train\n")
    with pytest.raises(CoverslipError, match="bad.csv: column id is missing"):
        run(tmp_path, method="file", file=str(tmp_path / "bad.csv"))


def test_stratify_by_class_needs_classes(tmp_path: Path) -> None:
    write(tmp_path, ["a", "b", "c"])
    with pytest.raises(CoverslipError, match="stratify is 'class' but image 0000 has none"):
        run(tmp_path, stratify="class")


def test_groups_of_another_dataset_are_refused(tmp_path: Path) -> None:
    write(tmp_path, ["a", "b", "c"])
    table = pd.read_csv(tmp_path / "groups.csv", dtype=str)
    table.iloc[:2].to_csv(tmp_path / "groups.csv", index=False)
    with pytest.raises(CoverslipError, match="other images than in"):
        run(tmp_path)


def test_many_images_are_split_in_seconds() -> None:
    rng = np.random.default_rng(0)
    strata = rng.integers(0, 3, 20_000)
    groups = rng.integers(0, 5_000, 20_000).astype(str)
    part = splits.assign_groups(groups, strata, [0.8, 0.2], np.random.default_rng(1), [1, 1])
    assert np.mean(part) == pytest.approx(0.2, abs=1e-3)


def subsets(table: pd.DataFrame) -> dict[str, list[str]]:
    """Ids of each subset in the order of the table."""
    return {name: part["id"].tolist() for name, part in table.groupby("subset")}


def test_train_test_split_is_that_of_sklearn(tmp_path):
    ids = write(tmp_path, [f"g{number}" for number in range(103)])[::-1]  # order of the archive
    config = {"method": "train_test_split", "test": 0.1, "validation": 0.2, "seed": 12345}
    found = subsets(run(tmp_path, True, **config)[0])
    rest, test = train_test_split(ids, test_size=0.1, random_state=12345)
    train, validation = train_test_split(rest, test_size=0.2, random_state=12345)
    assert {name: set(part) for name, part in found.items()} == {
        "train": set(train),
        "validation": set(validation),
        "test": set(test),
    }
    last = subsets(run(tmp_path, True, **config, validation_method="last")[0])
    cut = int(len(rest) * 0.8)
    assert set(last["train"]) == set(rest[:cut]) and set(last["validation"]) == set(rest[cut:])
    alone = subsets(run(tmp_path, True, **(config | {"validation": 0}))[0])
    assert set(alone["train"]) == set(rest) and "validation" not in alone


def test_validation_by_sklearn_beside_an_official_test_folder(tmp_path):
    ids = write(tmp_path, [f"g{number}" for number in range(60)])
    table = pd.read_csv(tmp_path / "manifest.csv", dtype=str, keep_default_na=False)
    table["member"] = [f"{'test' if n < 20 else 'train'}/{n:02d}" for n in range(60)]
    table.to_csv(tmp_path / "manifest.csv", index=False)
    config = {"method": "official", "test_folder": "test", "validation": 0.05, "seed": 2}
    found = subsets(run(tmp_path, **config, validation_method="train_test_split")[0])
    train, validation = train_test_split(ids[20:], test_size=0.05, random_state=2)
    assert set(found["test"]) == set(ids[:20])
    assert set(found["train"]) == set(train) and set(found["validation"]) == set(validation)


def test_a_split_of_patches_leaves_remainders_out(tmp_path):
    write(tmp_path, ["g", "h", "h"])
    table = pd.read_csv(tmp_path / "manifest.csv", dtype=str, keep_default_na=False)
    table["height"], table["width"] = ["520", "300", "100"], ["704", "256", "900"]
    table.to_csv(tmp_path / "manifest.csv", index=False)
    names = [tmp_path / name for name in ("groups.csv", "manifest.csv", "duplicates.csv")]
    out = [tmp_path / "split.csv", tmp_path / "split.json"]
    config = Split(method="train_test_split", unit="patch", test=0.4, validation=0, seed=0)
    splits.split(*names, config, True, *out, patch=256)
    found = pd.read_csv(out[0], dtype={"id": str})
    assert (found["y"].dtype, found["x"].dtype) == (int, int)
    places = [("0000", y, x) for y in (0, 256) for x in (0, 256)]
    expected = [("0001", 0, 0), *places]  # order of the archive
    rows = list(found[["id", "y", "x"]].itertuples(index=False, name=None))
    assert sorted(rows) == sorted(expected)
    _, test = train_test_split(expected, test_size=0.4, random_state=0)
    tested = found[found["subset"] == "test"][["id", "y", "x"]]
    assert sorted(tested.itertuples(index=False, name=None)) == sorted(test)
    assert json.loads(out[1].read_text())["leaking"]
