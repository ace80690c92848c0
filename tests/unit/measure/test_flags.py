"""Images to look at first, and those to correct."""

import pandas as pd
import pytest

from coverslip.measure.flags import WORST, find_flags, worst_images
from coverslip.measure.page import spread


def images(**columns):
    table = pd.DataFrame({"n_objects": [10, 11, 9, 10, 12, 8, 10, 90, 11], "note": ""})
    table["confluency_percent"] = table["mean_area_px"] = 5.0
    return table.assign(**columns)


def test_flagged_images_have_a_note_or_an_outlier():
    table = images()
    table.loc[2, "note"] = "black everywhere"
    flags = find_flags(table)
    assert list(flags) == [7, 2] and flags[2].text == "black everywhere"
    assert flags[7].text == "number of objects 90, median of all 10"
    assert list(find_flags(table.loc[3:8])) == []
    ordered = spread(table.assign(image="x", page=1), list(flags))
    assert list(ordered.index[:2]) == [7, 2] and len(ordered) == 9


@pytest.mark.parametrize(
    ("column", "usual", "odd", "words"),
    [
        ("focus", [1.0, 1.1, 0.9, 1.2, 1.0, 0.8, 1.1, 1.0], 0.05, "focus 0.05"),
        ("mean_confidence", [0.9, 0.91, 0.92, 0.9, 0.89, 0.9, 0.88, 0.9], 0.4, "mean confidence"),
        ("saturated_fraction", [0.0] * 8, 0.04, "4.0 % of the pixels are saturated"),
        ("unlike_training", [0.3] * 8, 2.5, "unlike the training images"),
    ],
)
def test_poor_images_are_flagged_by_what_is_wrong(column, usual, odd, words):
    table = images(n_objects=10, **{column: [*usual, odd]})
    flags = find_flags(table)
    assert list(flags) == [8] and words in flags[8].text and flags[8].severity > 1
    better = images(n_objects=10, **{column: [*usual, usual[0]]})
    assert find_flags(better) == {}


def test_a_sharp_image_is_not_flagged():
    assert find_flags(images(n_objects=10, focus=[1, 1.1, 0.9, 1.2, 1, 0.8, 1.1, 1, 9])) == {}


def test_the_worst_are_flagged_then_least_confident():
    table = pd.DataFrame(
        {"n_objects": 5, "note": "", "mean_confidence": [0.5 + at / 50 for at in range(20)]}
    )
    table.loc[15, "note"] = "no field of view"
    worst = worst_images(table, find_flags(table))
    assert len(worst) == WORST and list(worst)[:3] == [15, 0, 1]
    assert worst[15] == "no field of view" and "0.50" in worst[0]
    assert worst_images(table.head(5), {}) == {}
