"""Matches of objects by hand and against StarDist and the optimal assignment."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from label_pairs import bowl, disturbed
from scipy.optimize import linear_sum_assignment

from coverslip.metrics import matching
from coverslip.metrics.matching import PERCENT, match, overlap

THRESHOLDS = [percent / 100 for percent in PERCENT]


def line(*runs):
    """A label map of one row: (label, pixels) after one another."""
    return np.array([[label for label, pixels in runs for _ in range(pixels)]], np.int32)


def square(y, x, side, number=1, shape=(30, 30)):
    label = np.zeros(shape, np.int32)
    label[y : y + side, x : x + side] = number
    return label


def test_equal_maps_score_one_everywhere():
    truth = square(2, 2, 5) + square(10, 10, 7, 2)
    found = match(truth, truth * 10)
    assert (found.n_true, found.n_predicted) == (2, 2)
    assert found.tp.tolist() == [2] * 10
    assert found.fp.tolist() == found.fn.tolist() == [0] * 10
    assert found.accuracy.tolist() == [1.0] * 10
    assert found.iou_sum.tolist() == [2.0] * 10
    assert (found.splits, found.merges, found.missed, found.spurious) == (0, 0, 0, 0)
    assert found.true_labels.tolist() == [1, 2]
    assert found.predicted_labels.tolist() == [10, 20]


def test_a_shifted_square_by_hand():
    # 10 x 10 pixels, moved by one row: 90 shared, 110 in either: IoU 0.818; a second one is missed
    truth = square(2, 2, 10) + square(20, 20, 3, 2)
    found = match(truth, square(3, 2, 10, 7) + square(2, 25, 2, 9))
    assert found.tp.tolist() == [1] * 7 + [0] * 3
    assert found.fp.tolist() == [1] * 7 + [2] * 3
    assert found.fn.tolist() == [1] * 7 + [2] * 3
    np.testing.assert_allclose(found.accuracy, [1 / 3] * 7 + [0] * 3)
    np.testing.assert_allclose(found.iou, [90 / 110])
    np.testing.assert_allclose(found.iou_sum, [90 / 110] * 7 + [0] * 3)
    assert (found.missed, found.spurious) == (1, 1)
    assert (found.true_labels.tolist(), found.predicted_labels.tolist()) == ([1], [7])


@pytest.mark.parametrize("step", range(10))
def test_an_iou_of_just_the_threshold_matches(step):
    shared = 10 + step  # of 20 pixels: 0.50, 0.55, ..., 0.95
    truth = line((1, 20))
    assert match(truth, line((3, shared), (0, 20 - shared))).tp.sum() == step + 1
    assert match(np.tile(truth, 9), line((3, 9 * shared - 1), (0, 181 - 9 * shared))).tp.sum() == (
        step
    )


def test_an_object_that_is_halved_matches_one_half():
    whole, halves = line((1, 8), (0, 2)), line((5, 4), (6, 4), (0, 2))
    for truth, prediction, wrong in ((whole, halves, "splits"), (halves, whole, "merges")):
        found = match(truth, prediction)
        assert found.tp.tolist() == [1] + [0] * 9
        assert found.iou.tolist() == [0.5]
        assert found.fp[0] + found.fn[0] == 1
        assert getattr(found, wrong) == 1
        assert found.splits + found.merges == 1


def test_splits_and_merges_need_more_than_half_of_an_object():
    truth = line((1, 6), (0, 4), (2, 4), (3, 4))
    pieces = line((1, 2), (2, 1), (0, 1), (3, 2), (3, 3), (0, 1), (0, 8))
    found = match(truth, pieces)  # the third has two of its five pixels in the first object
    assert (found.splits, found.merges) == (1, 0)
    halves = line((1, 3), (2, 3), (2, 3), (0, 9))  # the second lies half outside
    assert match(truth, halves).splits == 0
    joined = line((0, 10), (9, 4), (9, 3), (0, 1))
    assert match(truth, joined).merges == 1
    touched = line((0, 10), (9, 4), (9, 2), (0, 2))
    assert match(truth, touched).merges == 0


def test_a_blob_over_many_objects_is_one_merge():
    truth = np.kron(np.arange(1, 26).reshape(5, 5), np.ones((4, 4), np.int32))
    found = match(truth, np.ones_like(truth))
    assert found.tp.sum() == 0
    assert (found.merges, found.splits, found.missed, found.spurious) == (1, 0, 0, 0)


def test_missed_and_spurious_are_at_most_half_covered():
    truth = line((1, 4), (2, 4), (0, 2), (0, 8))
    found = match(truth, line((0, 2), (1, 2), (2, 1), (3, 2), (0, 1), (0, 2), (4, 8)))
    # the first is half covered; the second by three quarters, but in pieces; the last is spurious
    assert (found.missed, found.spurious) == (1, 1)
    assert found.splits == 1


@pytest.mark.parametrize(
    ("truth", "prediction", "score"), [((), (), 1), ((1, 2), (), 0), ((), (1, 2, 3), 0)]
)
def test_nothing_to_find_or_nothing_found(truth, prediction, score):
    maps = [np.array([[0, 0, *labels]]) for labels in (truth, prediction)]
    width = max(each.size for each in maps)
    found = match(*(np.pad(each, ((0, 0), (0, width - each.size))) for each in maps))
    assert found.tp.tolist() == [0] * 10
    assert (found.fp[0], found.fn[0]) == (len(prediction), len(truth))
    assert (found.missed, found.spurious) == (len(truth), len(prediction))
    assert found.iou.size == found.splits == found.merges == 0
    assert found.accuracy.tolist() == [score] * 10


def test_a_map_without_pixels_has_no_objects():
    nothing = np.zeros((0, 5), np.int32)
    assert match(nothing, nothing).accuracy.tolist() == [1] * 10


def test_overlapping_pairs_and_their_iou():
    found = overlap(line((4, 3), (9, 3), (0, 2)), line((2, 2), (7, 2), (0, 2), (8, 2)))
    assert found.true_labels.tolist() == [4, 9]
    assert found.predicted_labels.tolist() == [2, 7, 8]
    assert (found.true_area.tolist(), found.predicted_area.tolist()) == ([3, 3], [2, 2, 2])
    pairs = zip(found.true_index, found.predicted_index, found.intersection, strict=True)
    assert [tuple(map(int, pair)) for pair in pairs] == [(0, 0, 2), (0, 1, 1), (1, 1, 1)]
    np.testing.assert_allclose(found.iou, [2 / 3, 1 / 4, 1 / 4])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64, np.uint64])
def test_any_integers_and_labels_far_apart(dtype):
    top = min(np.iinfo(dtype).max, 2**40)
    truth = square(2, 2, 10) + square(20, 20, 6, 2)
    prediction = square(3, 2, 10) + square(20, 20, 6, 2)
    apart = np.array([0, top, top - 3], dtype)
    assert match(apart[truth], apart[prediction]).tp.tolist() == [2] * 7 + [1] * 3
    assert match(apart[truth], prediction).true_labels.tolist() == [top - 3, top]


def test_masks_count_as_one_object():
    found = match(square(2, 2, 10) > 0, square(2, 2, 10) > 0)
    assert (found.n_true, found.n_predicted, found.tp[-1]) == (1, 1, 1)


def test_what_is_no_pair_of_label_maps_is_refused():
    whole = np.ones((4, 4), np.int32)
    with pytest.raises(ValueError, match=r"\(4, 4\) and \(4, 5\)"):
        match(whole, np.ones((4, 5), np.int32))
    with pytest.raises(ValueError, match="integers, not float64"):
        match(whole, whole.astype(float))
    with pytest.raises(ValueError, match="negative labels"):
        match(-whole, whole)


@st.composite
def pairs(draw):
    """A label map and another that differs from it in some pixels."""
    shape = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    coarse = draw(arrays(np.int32, shape, elements=st.integers(0, 5)))
    truth = np.kron(coarse, np.ones((2, 2), np.int32))
    changed = draw(arrays(bool, truth.shape, elements=st.booleans()))
    changed &= draw(arrays(bool, truth.shape, elements=st.booleans()))
    other = draw(arrays(np.int32, truth.shape, elements=st.integers(0, 6)))
    names = np.array([0, *draw(st.permutations(range(1, 7)))], np.int32)
    return truth, names[np.where(changed, other, truth)]


def assigned(truth, prediction, threshold):
    """Number of matches and sum of their IoU, by the optimal assignment over all pairs."""
    sides = [[map_ == label for label in np.unique(map_[map_ > 0])] for map_ in (truth, prediction)]
    iou = np.array([[(t & p).sum() / (t | p).sum() for p in sides[1]] for t in sides[0]])
    if not iou.size:
        return 0, 0.0
    hit = iou >= threshold
    rows, columns = linear_sum_assignment(-hit.astype(float) - iou / (2 * min(iou.shape)))
    return hit[rows, columns].sum(), iou[rows, columns][hit[rows, columns]].sum()


@settings(deadline=None)
@given(pairs())
def test_equal_to_the_optimal_assignment(maps):
    found = match(*maps)
    wanted = [assigned(*maps, threshold) for threshold in THRESHOLDS]
    assert found.tp.tolist() == [tp for tp, _ in wanted]
    np.testing.assert_allclose(found.iou_sum, [total for _, total in wanted], atol=1e-12)


WHOLE = ("n_true", "n_predicted", "splits", "merges", "missed", "spurious")


@settings(deadline=None)
@given(pairs(), st.permutations(range(1, 8)), st.booleans())
def test_numbers_of_the_labels_do_not_matter(maps, order, gaps):
    names = np.array([0, *order]) * (1_000_003 if gaps else 1)
    found, renamed = match(*maps), match(names[maps[0]], names[maps[1]])
    assert found.tp.tolist() == renamed.tp.tolist()
    np.testing.assert_allclose(found.iou_sum, renamed.iou_sum)
    for name in WHOLE:
        assert getattr(found, name) == getattr(renamed, name)


@settings(deadline=None)
@given(pairs())
def test_truth_and_prediction_change_places(maps):
    found, swapped = match(*maps), match(*maps[::-1])
    assert found.fp.tolist() == swapped.fn.tolist()
    np.testing.assert_array_equal(found.accuracy, swapped.accuracy)
    np.testing.assert_allclose(found.iou_sum, swapped.iou_sum)
    for one, other in (("splits", "merges"), ("missed", "spurious")):
        assert getattr(found, one) == getattr(swapped, other)
        assert getattr(found, other) == getattr(swapped, one)


@settings(deadline=None)
@given(pairs())
def test_counting_in_a_table_and_by_sorting_agree(maps):
    dense = overlap(*maps)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matching, "MAX_CELLS_PER_PIXEL", 0)
        sparse = overlap(*maps)
    for name in ("true_index", "predicted_index", "intersection"):
        np.testing.assert_array_equal(getattr(dense, name), getattr(sparse, name))


SCORES = ("tp", "fp", "fn", "accuracy")


def test_equal_to_stardist_on_the_real_bowl(real_data):
    oracle = pytest.importorskip("stardist.matching")
    rng = np.random.default_rng(3)
    compared = 0
    for label in bowl(real_data, 24):
        for name, prediction in disturbed(label, rng).items():
            found = match(label, prediction)
            wanted = oracle.matching(label, prediction, thresh=THRESHOLDS)
            assert found.n_true == wanted[0].n_true
            assert found.n_predicted == wanted[0].n_pred
            for score in SCORES:  # counts, and ratios of counts: equal to the last bit
                other = [getattr(each, score) for each in wanted]
                assert getattr(found, score).tolist() == other, f"{score}, {name}"
            # The oracle keeps IoU in single precision.
            sums = [each.mean_matched_score * each.tp for each in wanted]
            np.testing.assert_allclose(found.iou_sum, sums, rtol=1e-5, err_msg=name)
            compared += len(wanted)
    assert compared == 28 * 10 * 10
