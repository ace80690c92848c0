"""Confluency of the field of view, and its error in percentage points."""

import numpy as np
import pytest

from coverslip.metrics import confluency
from coverslip.metrics.definitions import CONFLUENCY, CONFLUENCY_BANDS
from coverslip.metrics.metric import sum_statistics

METRICS = (*CONFLUENCY, *CONFLUENCY_BANDS)


def values_of(field, true, predicted):
    areas = {"fov_area_px": field, "fov_true_px": true, "fov_predicted_px": predicted}
    sums = sum_statistics(METRICS, {name: np.asarray(v, float) for name, v in areas.items()})
    return {metric.name: (float(metric.compute(sums)), metric.count(sums)) for metric in METRICS}


def test_errors_are_those_of_the_percentages():
    rng = np.random.default_rng(2)
    field = rng.integers(500, 1000, 40)
    true = (field * rng.uniform(0, 1, 40)).astype(int)
    predicted = (field * rng.uniform(0, 1, 40)).astype(int)
    values = {name: value for name, (value, _) in values_of(field, true, predicted).items()}
    percent, error = 100 * true / field, 100 * (predicted - true) / field
    assert values["confluency"] == pytest.approx((100 * predicted / field).mean())
    assert values["confluency_true"] == pytest.approx(percent.mean())
    parts = {"": error}
    for low, high in confluency.BANDS:
        parts[f"_{low}_{high}"] = error[(percent >= low) & (percent < high)]
    for ending, part in parts.items():
        assert values[f"confluency_bias{ending}"] == pytest.approx(part.mean())
        assert values[f"confluency_mae{ending}"] == pytest.approx(np.abs(part).mean())
        assert values[f"confluency_rmse{ending}"] == pytest.approx(np.sqrt((part**2).mean()))


@pytest.mark.parametrize(
    ("true", "band"), [(0, 0), (24, 0), (25, 1), (50, 2), (74, 2), (75, 3), (100, 3)]
)
def test_bands_begin_with_their_lower_end(true, band):
    values = values_of([100], [true], [0])
    counts = [values[f"confluency_bias_{low}_{high}"][1] for low, high in confluency.BANDS]
    assert counts == [float(number == band) for number in range(4)]


def test_images_without_a_field_do_not_count():
    values = values_of([100, 0], [10, 0], [30, 0])
    assert values["confluency_bias"] == (pytest.approx(20), 1)
    assert values["confluency"] == (pytest.approx(30), 1)
    assert np.isnan(values_of([0], [0], [0])["confluency_rmse"][0])
