"""Scores of objects by hand and against StarDist."""

import numpy as np
import pytest
from label_pairs import bowl, disturbed

from coverslip.metrics.definitions import INSTANCES
from coverslip.metrics.instances import (
    STATISTICS,
    count_components,
    count_labels,
    inputs,
    statistics,
)
from coverslip.metrics.matching import PERCENT, match
from coverslip.metrics.metric import sum_statistics
from coverslip.reporting import results

THRESHOLDS = [percent / 100 for percent in PERCENT]
BY_NAME = {metric.name: metric for metric in INSTANCES}


def sums_of(pairs):
    numbers = np.array([statistics(match(*pair)) for pair in pairs])
    return sum_statistics(INSTANCES, inputs(numbers))


def values_of(pairs):
    sums = sums_of(pairs)
    return {name: float(metric.compute(sums)) for name, metric in BY_NAME.items()}


def strip(*objects):
    """A label map of one row; an object is its first pixel and the first one behind it."""
    label = np.zeros((1, 60), np.int32)
    for number, (first, last) in enumerate(objects, 1):
        label[:, first:last] = number
    return label


IMAGES = [
    # Two objects of 10 pixels. Found with an IoU of 1 and of 8/12; another is spurious.
    (strip((0, 10), (20, 30)), strip((0, 10), (22, 32), (50, 55))),
    # Three objects: the first two are joined, the third is missed.
    (strip((0, 8), (8, 18), (40, 50)), strip((0, 18))),
]


def test_two_images_by_hand():
    found = values_of(IMAGES)
    # IoU of 10/18 in the second image: a match at 0.50 and 0.55
    first = np.array([2 / 3] * 4 + [1 / 4] * 6)
    second = np.array([1 / 3] * 2 + [0] * 8)
    pooled = np.array([3 / 6] * 2 + [2 / 7] * 2 + [1 / 8] * 6)
    assert found["mean_ap"] == pytest.approx((first.mean() + second.mean()) / 2)
    assert found["mean_ap_pooled"] == pytest.approx(pooled.mean())
    for at, percent in enumerate(PERCENT):
        assert found[f"ap{percent}"] == pytest.approx((first[at] + second[at]) / 2)
        assert found[f"ap{percent}_pooled"] == pytest.approx(pooled[at])
    assert found["f1_50"] == pytest.approx((4 / 5 + 2 / 4) / 2)
    assert found["f1_50_pooled"] == pytest.approx(6 / 9)
    ious = [1, 8 / 12, 10 / 18]
    assert found["pq"] == pytest.approx((sum(ious[:2]) / 2.5 + ious[2] / 2) / 2)
    assert found["pq_pooled"] == pytest.approx(sum(ious) / 4.5)
    assert found["mean_matched_iou"] == pytest.approx(np.mean(ious))
    assert found["mean_true_iou"] == pytest.approx(sum(ious) / 5)
    assert (found["precision_50"], found["recall_50"]) == pytest.approx((3 / 4, 3 / 5))
    assert (found["split_rate"], found["merge_rate"]) == pytest.approx((0, 1 / 4))
    assert (found["missed_rate"], found["spurious_rate"]) == pytest.approx((1 / 5, 1 / 4))
    assert (found["object_count_mae"], found["object_count_bias"]) == pytest.approx((1.5, -0.5))
    assert found["object_count_ratio"] == pytest.approx(4 / 5)


def test_panoptic_quality_is_f1_times_mean_matched_iou():
    found = values_of(IMAGES)
    product = found["mean_matched_iou"] * found["f1_50_pooled"]
    assert found["pq_pooled"] == pytest.approx(product)


def test_support_is_what_is_counted():
    sums = sums_of(IMAGES)
    support = {name: (int(m.count(sums)), m.support.unit) for name, m in BY_NAME.items()}
    assert support["mean_ap"] == (2, "images")
    assert support["ap50_pooled"] == support["missed_rate"] == (5, "true objects")
    assert support["precision_50"] == (4, "predicted objects")
    assert support["mean_matched_iou"] == (3, "matched pairs")


def test_images_without_objects():
    nothing = strip()
    found = values_of([(nothing, nothing)])
    for name in ("mean_ap", "ap50", "ap95", "f1_50", "pq"):
        assert found[name] == 1
    for name in ("mean_ap_pooled", "ap50_pooled", "f1_50_pooled", "pq_pooled", "recall_50"):
        assert np.isnan(found[name])
    assert (found["object_count_mae"], found["object_count_bias"]) == (0, 0)
    spurious = values_of([(nothing, nothing), (nothing, strip((3, 6)))])
    assert (spurious["mean_ap"], spurious["pq"]) == (0.5, 0.5)
    assert (spurious["ap50_pooled"], spurious["spurious_rate"]) == (0, 1)
    assert np.isnan(spurious["missed_rate"])
    missed = values_of([(strip((3, 6)), nothing)])
    assert (missed["mean_ap"], missed["recall_50"], missed["missed_rate"]) == (0, 0, 1)
    assert np.isnan(missed["precision_50"])


def test_statistics_are_in_their_order():
    matching = match(*IMAGES[0])
    row = dict(zip(STATISTICS, statistics(matching), strict=True))
    assert len(set(STATISTICS)) == len(STATISTICS)
    assert [row[f"tp_{percent}"] for percent in PERCENT] == matching.tp.tolist()
    assert (row["n_predicted"], row["spurious"]) == (3, 1)


def test_every_metric_has_a_label():
    assert set(BY_NAME) <= set(results.LABELS)


def test_components_are_counted_by_size_and_touch_at_corners():
    mask = np.zeros((10, 10), dtype=bool)
    mask[0:2, 0:2] = mask[2:4, 2:4] = True  # 8-connected: one object of 8 pixels
    mask[7, 7] = True
    assert [count_components(mask, area) for area in (0, 2, 9)] == [2, 1, 0]
    assert count_components(np.zeros((3, 3), dtype=bool), 0) == 0


def test_labels_are_counted_even_if_objects_touch():
    label = np.array([[1, 1, 5, 5], [0, 0, 5, 9]], np.int32)
    assert count_labels(label) == 3
    assert count_labels(np.zeros((2, 2), np.int32)) == 0


def test_equal_to_stardist_over_real_images(real_data):
    oracle = pytest.importorskip("stardist.matching")
    rng = np.random.default_rng(4)
    names = ("shifted", "joined", "noisy", "fewer")
    pairs = [
        (label, disturbed(label, rng)[names[at % len(names)]])
        for at, label in enumerate(bowl(real_data, 16))
    ]
    sums, found = sums_of(pairs), values_of(pairs)

    def wanted(by_image):
        scores = oracle.matching_dataset(
            *zip(*pairs, strict=True), thresh=THRESHOLDS, by_image=by_image, show_progress=False
        )
        return {name: [getattr(score, name) for score in scores] for name in scores[0]._fields}

    pooled, mean = wanted(False), wanted(True)
    assert [sums[f"tp_{percent}"] for percent in PERCENT] == pooled["tp"]
    assert sums["n_true"] == pooled["n_true"][0]
    assert sums["n_predicted"] == pooled["n_pred"][0]
    ap = [found[f"ap{percent}_pooled"] for percent in PERCENT]
    np.testing.assert_allclose(ap, pooled["accuracy"], rtol=1e-12)
    assert found["mean_ap_pooled"] == pytest.approx(np.mean(pooled["accuracy"]))
    ap = [found[f"ap{percent}"] for percent in PERCENT]
    np.testing.assert_allclose(ap, mean["accuracy"], rtol=1e-12)
    assert found["mean_ap"] == pytest.approx(np.mean(mean["accuracy"]))
    names = {"precision_50": "precision", "recall_50": "recall", "f1_50_pooled": "f1"}
    names |= {"mean_matched_iou": "mean_matched_score", "mean_true_iou": "mean_true_score"}
    names |= {"pq_pooled": "panoptic_quality"}
    for ours, theirs in names.items():
        assert found[ours] == pytest.approx(pooled[theirs][0], rel=1e-5), ours
    for ours, theirs in {"f1_50": "f1", "pq": "panoptic_quality"}.items():
        assert found[ours] == pytest.approx(mean[theirs][0], rel=1e-5), ours
