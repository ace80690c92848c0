"""Objects from probabilities: what is separated, what is left out, what tuning finds."""

from itertools import product

import numpy as np
import pytest
from label_pairs import blobs
from scipy import ndimage

from coverslip.metrics.matching import match
from coverslip.models import heads
from coverslip.models.watershed import (
    AREAS,
    SEEDS,
    SHARES,
    WatershedParams,
    average_scales,
    segment,
)
from coverslip.training.calibration import tune_watershed

RULES = WatershedParams(threshold=0.5, seed=0.5, min_area_px=5)


def certain(label: np.ndarray, doubt: float = 0.02) -> np.ndarray:
    """Probabilities of a network that knows the truth."""
    classes, depth = np.moveaxis(heads.instances(label.astype(np.uint16)), -1, 0)
    share = np.stack([classes == number for number in range(3)], axis=-1)
    share = share * (1 - 3 * doubt) + doubt
    return np.concatenate([share, depth[..., None] / 255], axis=-1).astype(np.float32)


def test_touching_objects_are_told_apart():
    label = blobs()
    found = segment(certain(label), RULES)
    assert found.dtype == np.int32 and sorted(np.unique(found)) == [0, 1, 2, 3, 4]
    scores = match(np.where(label == 9, 0, label), found)  # the single pixel is too small
    assert scores.accuracy[0] == 1 and scores.iou.mean() > 0.97


def test_small_objects_count_where_they_are_asked_for():
    found = segment(certain(blobs()), WatershedParams(0.5, 0.5, 0))
    assert found.max() == 5 and found[30, 50] > 0


def test_scales_agree_on_the_foreground():
    label = blobs()
    fine, coarse = certain(label), certain((label > 0).astype(np.uint16), doubt=0.1)
    joined = average_scales([fine, coarse])
    assert joined.dtype == np.float32 and joined[..., :3].min() >= 0
    assert joined[..., :3].sum(axis=-1) == pytest.approx(1, abs=1e-6)
    assert joined[..., 0] == pytest.approx((fine[..., 0] + coarse[..., 0]) / 2, abs=1e-6)
    odds = [part[..., 2] / part[..., 1:3].sum(axis=-1) for part in (joined, fine)]
    assert odds[0] == pytest.approx(odds[1], abs=1e-5)
    assert match(segment(fine, RULES), segment(joined, RULES)).accuracy.min() == 1
    assert segment(joined, RULES).max() == 4
    assert average_scales([fine, fine]) == pytest.approx(fine, abs=1e-6)
    blank = np.zeros((4, 4, 4), np.float32)
    blank[..., 0] = 1.0
    assert np.isfinite(average_scales([blank, blank])).all()


def test_holes_are_closed_and_regions_without_seed_kept():
    label = np.zeros((32, 32), np.uint16)
    label[4:16, 4:16] = 1
    label[20:28, 20:28] = 2
    probabilities = certain(label)
    probabilities[9:11, 9:11, :3] = (0.9, 0.05, 0.05)  # a hole
    probabilities[20:28, 20:28, 3] = 0.1  # never deep
    found = segment(probabilities, RULES)
    assert found[9, 9] == found[5, 5] > 0
    assert (found[20:28, 20:28] == found[24, 24]).all() and found[24, 24] not in (0, found[5, 5])


@pytest.mark.parametrize("certainty", [0.0, 1.0])
def test_a_image_of_one_kind(certainty):
    probabilities = np.zeros((16, 16, 4), np.float32)
    probabilities[..., 0] = 1 - certainty
    probabilities[..., 1] = probabilities[..., 3] = certainty
    assert len(np.unique(segment(probabilities, RULES))) == 1
    assert segment(probabilities, RULES).max() == certainty


def test_tuning_finds_the_size_of_dirt():
    label = blobs()
    label[label == 9] = 0
    probabilities = certain(label)
    for y, x in ((25, 50), (50, 5), (50, 35)):
        probabilities[y : y + 4, x : x + 4] = (0.02, 0.96, 0.02, 1.0)  # 16 pixels of dirt
    rules = tune_watershed([(label, probabilities)], 0.5)
    assert rules.min_area_px in AREAS and rules.minimum_share in SHARES
    assert rules.seed in SEEDS and abs(rules.threshold - 0.5) <= 0.1 + 1e-9
    assert match(label, segment(probabilities, rules)).accuracy[0] == 1
    assert WatershedParams(**rules.facts()) == rules


def test_tuning_takes_the_best_of_all_that_it_tries():
    rng = np.random.default_rng(8)
    images = []
    for flipped in (False, True):
        label = blobs()[::-1] if flipped else blobs()
        noise = rng.normal(0, 0.25, (*label.shape, 4))
        smooth = ndimage.gaussian_filter(noise, (1.5, 1.5, 0)) * 4
        images.append((label, np.clip(certain(label, 0.1) + smooth, 0, 1).astype(np.float32)))
    tried = [WatershedParams(*each) for each in product((0.4, 0.5, 0.6), SEEDS, AREAS, SHARES)]
    scores = [
        sum(match(label, segment(given, rules)).accuracy.mean() for label, given in images)
        for rules in tried
    ]
    assert len(set(scores)) > 10
    assert scores[tried.index(tune_watershed(images, 0.5))] == max(scores)


def test_dirt_is_relative_to_the_size_of_nuclei():
    rules = WatershedParams(0.5, 0.5, 4, 0.1)
    assert rules.smallest(np.array([400, 16, 390, 16, 16, 410])) == 40
    assert rules.smallest(np.array([16, 17, 18, 15])) == 4
    assert rules.smallest(np.zeros(0, int)) == 4
    assert WatershedParams(0.5, 0.5, 4).smallest(np.array([400, 16])) == 4
    label = np.zeros((64, 64), np.uint16)
    label[4:8, 4:8] = 1
    label[10:14, 40:44] = 2
    assert segment(certain(label), rules).max() == 2
    label[30:50, 10:30] = 3
    assert segment(certain(label), rules).max() == 1


def test_a_model_of_before_has_no_share():
    assert WatershedParams(**{"threshold": 0.5, "seed": 0.4, "min_area_px": 30}).minimum_share == 0
