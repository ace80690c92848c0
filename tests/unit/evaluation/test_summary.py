"""Records with intervals and baselines."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from coverslip.evaluation.per_image import (
    AREA,
    MASK_SOURCES,
    Block,
    area_statistics,
    class_statistics,
    probability_columns,
)
from coverslip.evaluation.summary import metric_records, stack
from coverslip.metrics.definitions import CLASSIFICATION, CONFLUENCY, GROUP_CONFLUENCY
from coverslip.metrics.metric import expand_classes


def block(metrics, true, predicted, group, seeds=(1,)):
    """Confluency of images with a field of 1000 pixels, the same for all seeds."""
    count = len(true)
    rows = pd.DataFrame({"id": [f"p{number:02d}" for number in range(count)], "group": group})
    rows = rows.assign(fold=0, fov_area_px=1000, fov_true_px=true)
    rows[f"model: {AREA}"] = predicted
    rows[[f"{source}: {AREA}" for source in MASK_SOURCES[1:]]] = 0
    rows[f"otsu of deviation: {AREA}"] = true
    rows = pd.concat([rows.assign(seed=seed) for seed in seeds], ignore_index=True)
    sources = {
        source: lambda part, source=source: area_statistics(part, source) for source in MASK_SOURCES
    }
    return Block(list(metrics), sources, rows)


def records_of(records):
    return {record["name"]: record for record in records if record["run"] == "all"}


def test_records_have_intervals_over_groups_and_baselines():
    true = np.random.default_rng(2).integers(0, 1000, 18)
    group = [f"g{number // 3}" for number in range(18)]
    found = records_of(metric_records(block(CONFLUENCY, true, true + 20, group), "test", []))
    bias = found["confluency_bias"]
    assert (bias["value"], bias["ci_low"], bias["ci_high"]) == (2, 2, 2)
    assert bias["unit"] == "percentage points" and bias["groups"] == 6 and bias["support"] == 18
    assert bias["function"] == "coverslip.metrics.confluency.error"
    assert bias["baselines"]["otsu of deviation"] == 0
    assert bias["baselines"]["all background"] == pytest.approx(-true.mean() / 10)
    low, high = bias["baseline_intervals"]["all background"]
    assert low < bias["baselines"]["all background"] < high
    # The same groups are left out for both: an error of 2 points everywhere differs by 2 always.
    same = bias["difference_to_baseline"]["otsu of deviation"]
    assert (same["value"], same["ci_low"], same["ci_high"]) == (2, 2, 2)
    other = bias["difference_to_baseline"]["all background"]
    assert (other["ci_low"], other["ci_high"]) == pytest.approx((2 - high, 2 - low), abs=1e-5)
    whole = found["confluency"]
    assert whole["unit"] == "%" and 0 < whole["ci_low"] < whole["value"] < whole["ci_high"] < 100


def test_few_groups_have_their_values_instead_of_an_interval():
    group = ["a", "a", "b", "c", "d"]
    found = records_of(metric_records(block(CONFLUENCY, [0] * 5, [10] * 5, group), "test", []))
    record = found["confluency_bias"]
    assert record["ci_low"] is None and "fewer than 5 groups" in record["interval_reason"]
    assert record["group_values"] == [1, 1, 1, 1]
    assert record["difference_to_baseline"]["otsu of deviation"]["ci_low"] is None


def test_groups_are_those_that_a_metric_is_computed_on():
    """A class in two of six wells has no interval, though accuracy has one."""
    classes, images = 3, 12
    truth = np.array([0, 0, 0, 0] + [1, 2] * 4)
    rows = pd.DataFrame({"id": [f"{n:02d}" for n in range(images)], "truth": truth})
    rows = rows.assign(group=[f"well{n // 2}" for n in range(images)], fold=0, seed=1)
    probabilities = np.random.default_rng(3).dirichlet([1, 1, 1], images)
    for name in ("raw", "calibrated", "majority class", "brightness"):
        rows[probability_columns(name, classes)] = probabilities
    sources = {"model": partial(class_statistics, source="model", classes=classes)}
    metrics = expand_classes(CLASSIFICATION, classes)
    records = metric_records(Block(metrics, sources, rows), "test", list("abc"))
    of = {(r["name"], r["class"]): r for r in records if r["run"] == "all"}
    assert of["accuracy", None]["groups"] == 6 and of["accuracy", None]["ci_low"] is not None
    assert of["recall", "a"]["groups"] == 2 and of["recall", "a"]["ci_low"] is None
    assert len(of["recall", "a"]["group_values"]) == 2


def test_errors_of_groups():
    records = metric_records(
        block(GROUP_CONFLUENCY, [250, 250], [250, 400], ["a", "b"]), "test", []
    )
    values = {record["name"]: record["value"] for record in records if record["run"] == "all"}
    assert values["confluency_group_bias"] == pytest.approx(7.5)
    assert values["confluency_group_mae"] == pytest.approx(7.5)
    assert values["confluency_group_rmse"] == pytest.approx(np.sqrt(15**2 / 2), abs=1e-6)
    assert {record["support_unit"] for record in records} == {"groups"}
    assert {record["support"] for record in records} == {2}


def test_one_group_has_a_reason_instead_of_an_interval():
    records = metric_records(block(CONFLUENCY, [1, 2], [1, 2], ["a", "a"]), "test", [])
    assert {record["ci_low"] for record in records} == {None}
    assert all("fewer than 5 groups" in record["interval_reason"] for record in records)


def test_seeds_must_have_the_same_images():
    both = block(CONFLUENCY, [1, 2], [1, 2], ["a", "b"], seeds=(1, 2))
    values, layout, units = stack(both, "group")
    assert values.shape[:3] == (2, 2, len(MASK_SOURCES)) and units.tolist() == ["a", "b"]
    assert layout.unpack(values)["confluency: images"].shape == (2, 2, len(MASK_SOURCES))
    with pytest.raises(ValueError, match="different images"):
        stack(both._replace(rows=both.rows[:3]), "group")
