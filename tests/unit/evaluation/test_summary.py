"""Records with intervals and baselines."""

import numpy as np
import pandas as pd
import pytest

from coverslip.evaluation.per_image import AREA, MASK_SOURCES, Block, area_statistics
from coverslip.evaluation.summary import metric_records, stack
from coverslip.metrics.definitions import CONFLUENCY, GROUP_CONFLUENCY


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


def test_records_have_intervals_over_groups_and_baselines():
    true = np.random.default_rng(2).integers(0, 1000, 12)
    group = [f"g{number // 3}" for number in range(12)]
    records = metric_records(block(CONFLUENCY, true, true + 20, group), "test", [], 200)
    found = {record["name"]: record for record in records if record["run"] == "all"}
    bias = found["confluency_bias"]
    assert (bias["value"], bias["low"], bias["high"]) == (2, 2, 2)
    assert bias["unit"] == "percentage points" and bias["groups"] == 4 and bias["support"] == 12
    assert bias["function"] == "coverslip.metrics.confluency.error"
    assert bias["baselines"]["otsu of deviation"] == 0
    assert bias["baselines"]["all background"] == pytest.approx(-true.mean() / 10)
    low, high = bias["baseline_intervals"]["all background"]
    assert low < bias["baselines"]["all background"] < high
    # Paired: an error of 2 points everywhere differs by as much in every resample.
    gain = bias["gains"]["otsu of deviation"]
    assert (gain["value"], gain["low"], gain["high"]) == (2, 2, 2)
    nothing = bias["gains"]["all background"]
    assert (nothing["low"], nothing["high"]) == pytest.approx((2 - high, 2 - low), abs=1e-5)
    whole = found["confluency"]
    assert whole["unit"] == "%" and whole["low"] < whole["value"] < whole["high"]


def test_errors_of_groups():
    records = metric_records(
        block(GROUP_CONFLUENCY, [250, 250], [250, 400], ["a", "b"]), "test", [], 100
    )
    values = {record["name"]: record["value"] for record in records if record["run"] == "all"}
    assert values["confluency_group_bias"] == pytest.approx(7.5)
    assert values["confluency_group_mae"] == pytest.approx(7.5)
    assert values["confluency_group_rmse"] == pytest.approx(np.sqrt(15**2 / 2), abs=1e-6)
    assert {record["support_unit"] for record in records} == {"groups"}
    assert {record["support"] for record in records} == {2}


def test_one_group_has_a_reason_instead_of_an_interval():
    records = metric_records(block(CONFLUENCY, [1, 2], [1, 2], ["a", "a"]), "test", [], 100)
    assert {record["low"] for record in records} == {None}
    assert all("one group only" in record["interval_reason"] for record in records)


def test_seeds_must_have_the_same_images():
    both = block(CONFLUENCY, [1, 2], [1, 2], ["a", "b"], seeds=(1, 2))
    values, layout, units = stack(both, "group")
    assert values.shape[:3] == (2, 2, len(MASK_SOURCES)) and units.tolist() == ["a", "b"]
    assert layout.unpack(values)["confluency: images"].shape == (2, 2, len(MASK_SOURCES))
    with pytest.raises(ValueError, match="different images"):
        stack(both._replace(rows=both.rows[:3]), "group")
