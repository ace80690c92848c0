"""Confluency of the field of view, and its error in percentage points."""

import numpy as np
import pandas as pd
import pytest

from coverslip.evaluation import confluency
from coverslip.evaluation.summary import metric_records
from coverslip.imaging.field_of_view import field_of_view
from coverslip.metrics import baselines

RNG = np.random.default_rng(2)


def rough(shape, covered, seed=1):
    """A smooth ground, with rough texture where it is covered, of one mean brightness."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1, shape) * np.where(covered, 30, 2)
    return np.clip(np.rint(130 + noise), 1, 255).astype(np.uint8)[:, :, np.newaxis]


def rows(field, true, predicted, group=None, subset="test"):
    """Observations of images of one run."""
    count = len(field)
    return pd.DataFrame(
        {
            "id": [f"p{number:02d}" for number in range(count)],
            "group": group or [f"g{number}" for number in range(count)],
            "subset": subset,
            "fold": 0,
            "seed": 1,
            "fov_area_px": field,
            "fov_true_px": true,
            "fov_predicted_px": predicted,
            "field_otsu_px": 0,
            "field_deviation_px": true,
        }
    )


def value(observed, name):
    metric = {metric.name: metric for metric in confluency.metrics(observed)}[name]
    sums = confluency.sources()["model"](observed).sum(axis=0)
    return float(metric.compute(sums))


def test_whole_groups_are_taken_together():
    observed = rows([100, 300, 200], [10, 90, 50], [30, 70, 80], group=["a", "a", "b"])
    groups = confluency.of_groups(observed)
    assert groups["id"].tolist() == ["a", "b"]
    assert groups["fov_area_px"].tolist() == [400, 200]
    found = metric_records(
        confluency.group_metrics(), groups, "test", [], 100, confluency.sources()
    )
    values = {one["name"]: one["value"] for one in found if one["run"] == "all"}
    # a: 100 of 400 in truth and as predicted; b: 25 % and 40 %
    assert values["confluency_group_bias"] == pytest.approx(7.5)
    assert values["confluency_group_mae"] == pytest.approx(7.5)
    assert values["confluency_group_rmse"] == pytest.approx(np.sqrt(15**2 / 2), abs=1e-6)
    assert {one["support_unit"] for one in found} == {"groups"}
    assert {one["support"] for one in found} == {2}


def test_errors_are_those_of_the_percentages():
    field = RNG.integers(500, 1000, 40)
    true = (field * RNG.uniform(0, 1, 40)).astype(int)
    predicted = (field * RNG.uniform(0, 1, 40)).astype(int)
    observed = rows(field, true, predicted)
    percent, error = 100 * true / field, 100 * (predicted - true) / field
    assert value(observed, "confluency") == pytest.approx((100 * predicted / field).mean())
    assert value(observed, "confluency_true") == pytest.approx(percent.mean())
    for low, high in confluency.BANDS:
        here = error[(percent >= low) & (percent < high)]
        suffix = f"_{low}_{high}"
        assert value(observed, f"confluency_bias{suffix}") == pytest.approx(here.mean())
        assert value(observed, f"confluency_mae{suffix}") == pytest.approx(np.abs(here).mean())
        rmse = np.sqrt((here**2).mean())
        assert value(observed, f"confluency_rmse{suffix}") == pytest.approx(rmse)
    assert value(observed, "confluency_bias") == pytest.approx(error.mean())
    assert value(observed, "confluency_mae") == pytest.approx(np.abs(error).mean())
    assert value(observed, "confluency_rmse") == pytest.approx(np.sqrt((error**2).mean()))


@pytest.mark.parametrize(
    ("true", "band"), [(0, 0), (24, 0), (25, 1), (50, 2), (74, 2), (75, 3), (100, 3)]
)
def test_bands_begin_with_their_lower_end(true, band):
    statistics = confluency.statistics(np.array([100]), np.array([true]), np.array([0]))[0]
    counts = [
        statistics[confluency.STATISTICS.index(f"images_{low}_{high}")]
        for low, high in confluency.BANDS
    ]
    assert counts == [float(number == band) for number in range(4)]


def test_only_bands_with_images_are_told():
    observed = rows([100, 100], [10, 80], [20, 70])
    names = [metric.name for metric in confluency.metrics(observed)]
    assert names == [
        "confluency",
        "confluency_true",
        *(f"confluency_{name}" for name in ("bias", "mae", "rmse")),
        *(f"confluency_{name}_0_25" for name in ("bias", "mae", "rmse")),
        *(f"confluency_{name}_75_100" for name in ("bias", "mae", "rmse")),
    ]
    assert [metric.name for metric in confluency.metrics(observed[:0])] == names[:5]


def test_images_without_a_field_do_not_count():
    observed = rows([100, 0], [10, 0], [30, 0])
    assert value(observed, "confluency_bias") == pytest.approx(20)
    assert value(observed, "confluency") == pytest.approx(30)
    assert np.isnan(value(observed[1:], "confluency_rmse"))
    table = confluency.columns(observed)
    assert list(table) == confluency.TABLE
    assert table.loc[0].tolist() == [100, 10, 30, 20]
    assert table.loc[1].isna().tolist() == [False, True, True, True]


def test_records_have_intervals_over_groups_and_baselines():
    field, true = np.full(12, 1000), RNG.integers(0, 1000, 12)
    observed = rows(field, true, true + 20, group=[f"g{number // 3}" for number in range(12)])
    wanted, sources = confluency.metrics(observed), confluency.sources()
    records = metric_records(wanted, observed, "test", ["a", "b"], 200, sources)
    found = {record["name"]: record for record in records if record["run"] == "all"}
    bias = found["confluency_bias"]
    assert (bias["value"], bias["low"], bias["high"]) == (2, 2, 2)
    assert bias["unit"] == "percentage points" and bias["groups"] == 4 and bias["support"] == 12
    assert bias["baselines"]["otsu of deviation"] == 0
    assert bias["baselines"]["all background"] == pytest.approx(-true.mean() / 10)
    low, high = bias["baseline_intervals"]["all background"]
    assert low < bias["baselines"]["all background"] < high
    # Paired: what is always 2 points off gains as much in every resample.
    gain = bias["gains"]["otsu of deviation"]
    assert (gain["value"], gain["low"], gain["high"]) == (2, 2, 2)
    nothing = bias["gains"]["all background"]
    assert (nothing["low"], nothing["high"]) == pytest.approx((2 - high, 2 - low), abs=1e-5)
    whole = found["confluency"]
    assert whole["unit"] == "%" and whole["low"] < whole["value"] < whole["high"]


def test_areas_leave_out_black_surroundings():
    covered = np.zeros((90, 110), bool)
    covered[20:60, 30:80] = True
    image = rough(covered.shape, covered)
    for pad in ((0, 0), (40, 25)):
        around = ((pad[0], 0), (pad[1], 0))
        padded = np.pad(image, (*around, (0, 0)))
        truth = np.pad(covered, around)
        field = field_of_view(padded)
        rough_mask = confluency.deviation_mask(padded, field)
        areas = confluency.truth_areas(field, truth, baselines.otsu(padded), rough_mask)
        assert field.sum() == areas["fov_area_px"] == covered.size
        assert areas["fov_true_px"] == covered.sum()
        assert abs(areas["field_deviation_px"] - covered.sum()) < 0.25 * covered.sum()
        assert areas["field_otsu_px"] <= areas["fov_area_px"]
        everything = np.ones(truth.shape, bool)
        assert confluency.predicted_area(field, everything) == {"fov_predicted_px": covered.size}


def test_rough_is_foreground_and_flat_is_not():
    covered = np.zeros((80, 80), bool)
    covered[:, :30] = True
    image = rough(covered.shape, covered)
    whole = np.ones(covered.shape, bool)
    found = confluency.deviation_mask(image, whole)
    assert (found == covered).mean() > 0.9
    colour = np.repeat(image, 3, axis=2)
    assert (confluency.deviation_mask(colour, whole) == found).mean() > 0.99
    deep = image.astype(np.uint16) * 257
    assert (confluency.deviation_mask(deep, whole) == found).mean() > 0.99
    flat = np.full((20, 30, 1), 77, np.uint8)
    assert not confluency.deviation_mask(flat, np.ones((20, 30), bool)).any()
    nowhere, everywhere = np.zeros((20, 30), bool), np.ones((20, 30), bool)
    assert not confluency.deviation_mask(np.zeros((20, 30, 1), np.uint8), nowhere).any()
    areas = confluency.truth_areas(nowhere, everywhere, everywhere, everywhere)
    assert set(areas.values()) == {0}
