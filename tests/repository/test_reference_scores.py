"""Scores equal those of other implementations, but for the differences named here."""

import json
from pathlib import Path

import numpy as np
import pytest
import reference_scores

from coverslip.metrics import instances
from coverslip.metrics.matching import PERCENT, match

RECORDED = json.loads(Path(__file__).with_name("reference_scores.json").read_text())
AT = [PERCENT.index(round(100 * threshold)) for threshold in reference_scores.THRESHOLDS]
EMPTY = "nothing at all"
"""Of two images without objects `stardist` gives 0, panoptica nothing, and we 1."""


@pytest.fixture(params=reference_scores.pairs())
def case(request):
    truth, predicted = reference_scores.pairs()[request.param]
    return request.param, match(truth, predicted), RECORDED[request.param]


def scores(matching):
    counts = np.array([matching.n_true]), np.array([matching.n_predicted])
    return (
        instances.image_f1(matching.tp, *counts),
        instances.image_panoptic_quality(matching.iou_sum, *counts),
    )


def test_every_pair_is_recorded():
    assert list(RECORDED) == list(reference_scores.pairs())


def test_stardist(case):
    name, matching, recorded = case
    wanted = recorded["stardist"]
    for count in ("tp", "fp", "fn"):
        assert getattr(matching, count)[AT].tolist() == wanted[count]
    f1, quality = scores(matching)
    ours = {"accuracy": matching.accuracy, "f1": f1, "panoptic_quality": quality}
    for metric, values in ours.items():
        expected = [1.0] * len(AT) if name == EMPTY else wanted[metric]
        assert values[AT] == pytest.approx(expected, rel=1e-6)  # it has IoU in single precision


def test_panoptica(case):
    name, matching, recorded = case
    wanted = recorded["panoptica"]
    assert [matching.tp[0], matching.fp[0], matching.fn[0]] == [
        wanted[count] for count in ("tp", "fp", "fn")
    ]
    f1, quality = scores(matching)
    if name == EMPTY:
        assert wanted["pq"] is None and quality[0] == f1[0] == 1
    else:
        assert (f1[0], quality[0]) == pytest.approx((wanted["rq"], wanted["pq"]), rel=1e-9)


def test_pycocotools(case):
    _, matching, recorded = case
    assert matching.tp[AT].tolist() == recorded["pycocotools"]["tp"]


def test_dsb_2018_where_an_iou_has_to_be_above_the_threshold(case):
    """`matching.iou` has all pairs from an IoU of 0.5 on."""
    name, matching, recorded = case
    wanted = recorded["dsb2018"]["mean_ap"]
    if name == EMPTY:
        assert wanted is None and matching.accuracy.mean() == 1
        return
    hits = np.array([np.count_nonzero(matching.iou > percent / 100) for percent in PERCENT])
    above = hits / (matching.n_true + matching.n_predicted - hits)
    assert above.mean() == pytest.approx(wanted, rel=1e-9)
    if not np.isin(np.round(100 * matching.iou, 9), PERCENT).any():
        assert matching.accuracy.mean() == pytest.approx(wanted, rel=1e-9)
