"""Tools are compared on the same images; differences are paired over groups."""

import json
import math

import compared
import numpy as np
import pandas as pd
import pytest

from coverslip.evaluation.referee import (
    HEADLINE,
    clearly_worse,
    compare,
    image_scores,
    same_images,
    worst_images,
)
from coverslip.metrics.intervals import jackknife_interval
from coverslip.reporting.results import find, read_images, read_metrics


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("run")
    compared.results(where)
    return where


@pytest.fixture(scope="module")
def tables(folder):
    return {
        name: read_images(folder / "studies" / name / "images.csv")
        for name in ("weak", "good", "otsu")
    }


@pytest.fixture(scope="module")
def comparison(tables):
    return compare(tables)


def test_scores_are_those_of_the_studies(folder, comparison):
    assert comparison.studies[0] == "good"
    for name in comparison.studies:
        metrics = read_metrics(folder / "studies" / name / "metrics.json")
        for metric, scores in comparison.whole.scores.items():
            record = find(metrics, metric, "test")
            for key, value in zip(("value", "ci_low", "ci_high"), scores[name][:3], strict=True):
                assert record[key] == (
                    None if math.isnan(value) else pytest.approx(value, abs=1e-5)
                )


def test_differences_are_paired(tables, comparison):
    values, left_out, weights = [], [], None
    for name in ("good", "weak"):
        table = tables[name].assign(objects=lambda t: t["n_true"] + t["n_predicted"])
        sums = table.groupby("group")[["tp_50", "objects", "n_true"]].sum()
        total, weights = sums.sum(), sums["n_true"]
        values.append(2 * total["tp_50"] / total["objects"])
        rest = total - sums
        left_out.append(2 * rest["tp_50"] / rest["objects"])
    low, high = jackknife_interval(
        values[1] - values[0], (left_out[1] - left_out[0]).to_numpy(), weights.to_numpy()
    )
    score = comparison.whole.scores[HEADLINE]["weak"]
    assert score.difference == pytest.approx(values[1] - values[0])
    assert (score.difference_low, score.difference_high) == pytest.approx((low, high))
    assert clearly_worse(score) and not clearly_worse(comparison.whole.scores[HEADLINE]["good"])


def test_parts_add_up_to_the_whole(comparison):
    for by in ("modality", "group"):
        parts = [part for part in comparison.parts if part.by == by]
        assert sum(part.images for part in parts) == comparison.whole.images == compared.IMAGES
        assert sum(part.n_true for part in parts) == comparison.whole.n_true
    assert {part.name for part in comparison.parts if part.by == "modality"} == {
        "brightfield",
        "fluorescence",
    }


def test_few_groups_have_no_interval(tables):
    few = {n: t.assign(group=np.arange(len(t)) % 3) for n, t in tables.items()}
    score = compare(few).whole.scores[HEADLINE]["weak"]
    assert score.difference < 0 and math.isnan(score.difference_high)
    assert not clearly_worse(score)


def test_equal_tools_differ_by_nothing(tables):
    score = compare({"a": tables["good"], "b": tables["good"]}).whole.scores[HEADLINE]["b"]
    assert score[3:] == (0, 0, 0) and not clearly_worse(score)


def test_a_tool_of_one_seed_is_compared_with_each_of_several(tables):
    again = tables["weak"].assign(seed=2, tp_50=0, pq=0.0)
    several = pd.concat([tables["weak"], again])
    score = compare({"good": tables["good"], "weak": several}).whole.scores[HEADLINE]
    alone = compare({"good": tables["good"], "weak": tables["weak"]}).whole.scores[HEADLINE]
    assert score["good"].value == pytest.approx(alone["good"].value)
    assert score["weak"].value == pytest.approx(alone["weak"].value / 2)


def test_worst_images_are_the_same_for_all(comparison):
    ids = worst_images(comparison, 2)
    assert len(ids) == len(set(ids)) == 6
    scores = image_scores(comparison, "good").sort_values()
    assert scores[ids[0]] == scores.iloc[0] and scores[ids[1]] == scores.iloc[1]


def test_studies_of_other_images_are_apart(tables):
    other = tables["otsu"].iloc[1:]
    assert same_images({**tables, "otsu": other}) == [["weak", "good"], ["otsu"]]
    assert json.dumps(same_images({})) == "[]"
