"""The tuned threshold."""

import numpy as np
import pytest

from coverslip.training.calibration import GRID, tune_threshold


def brute_force(ids, masks, probabilities) -> np.ndarray:
    """Mean IoU over images at each threshold, counted the slow way."""
    means = []
    for threshold in np.array(GRID, dtype=np.float32):
        scores = []
        for name in sorted(set(ids)):
            rows = [i for i, each in enumerate(ids) if each == name]
            truth = masks[rows] > 0
            if truth.any():
                found = probabilities[rows] >= threshold
                scores.append((truth & found).sum() / (truth | found).sum())
        means.append(np.mean(scores))
    return np.array(means)


def test_against_brute_force():
    rng = np.random.default_rng(0)
    ids = ["a", "b", "a", "c", "b", "d"]
    masks = (rng.random((6, 12, 12)) < np.array([0.1, 0.4, 0.2, 0, 0.6, 0.3])[:, None, None]) * 1
    probabilities = np.clip(0.25 * masks + rng.random((6, 12, 12)) * 0.6, 0, 1).astype(np.float32)
    probabilities[0, 0, :5] = GRID[:5]
    means = brute_force(ids, masks, probabilities)
    batches = [
        (ids[i : i + 2], masks[i : i + 2].astype(np.uint8), probabilities[i : i + 2])
        for i in (0, 2, 4)
    ]
    assert tune_threshold(batches) == GRID[int(means.argmax())] != 0.5
    assert tune_threshold(reversed(batches)) == tune_threshold(batches)


def test_nearest_to_half_of_equals():
    mask = np.array([[[0, 1]]], np.uint8)
    assert tune_threshold([(["a"], mask, np.array([[[0.0, 1.0]]], np.float32))]) == 0.5
    assert tune_threshold([(["a"], mask, np.array([[[0.0, 0.32]]], np.float32))]) == 0.3
    assert tune_threshold([(["a"], mask, np.array([[[0.72, 1.0]]], np.float32))]) == 0.75


@pytest.mark.parametrize("probability", [0.0, 0.9])
def test_no_foreground_at_all(probability):
    mask = np.zeros((1, 2, 2), np.uint8)
    assert tune_threshold([(["a"], mask, np.full((1, 2, 2), probability, np.float32))]) == 0.5


def test_of_all_pixels_large_nuclei_count_by_their_area():
    """The small one is found up to 0.3, the large one is found too large below 0.6."""
    masks = np.zeros((2, 1, 100), np.uint8)
    masks[0, :, :4] = masks[1, :, :40] = 1
    probabilities = np.zeros((2, 1, 100), np.float32)
    probabilities[0, :, :4] = 0.32
    probabilities[1, :, :40], probabilities[1, :, 40:60] = 0.9, 0.57
    batch = (["a", "b"], masks, probabilities)
    assert tune_threshold([batch]) == 0.3
    assert tune_threshold([batch], "iou_pooled") == 0.6
    found = {t: probabilities >= np.float32(t) for t in GRID}
    pooled = {t: (found[t] & (masks > 0)).sum() / (found[t] | (masks > 0)).sum() for t in GRID}
    assert max(pooled.values()) == pooled[0.6] > pooled[0.55]


def test_of_all_pixels_a_image_without_foreground_counts():
    mask = np.array([[[0, 0, 1, 1]]], np.uint8)
    probability = np.array([[[0.1, 0.1, 0.9, 0.72]]], np.float32)
    empty = (["b"], np.zeros((1, 1, 4), np.uint8), np.full((1, 1, 4), 0.71, np.float32))
    batches = [(["a"], mask, probability), empty]
    assert tune_threshold(batches) == 0.5
    assert tune_threshold(batches, "iou_pooled") == 0.75
    assert tune_threshold([empty], "iou_pooled") == 0.5


def test_for_confluency_what_is_found_is_as_much_as_there_is():
    """Of doubtful pixels every third is foreground: IoU takes none, confluency a third."""
    sure, doubtful = np.ones((1, 1, 60)), np.arange(60)[None, None] % 3 == 0
    mask = np.concatenate([sure, doubtful], axis=2).astype(np.uint8)
    doubt = np.linspace(0.2, 0.5, 60)[None, None]
    batches = [(["a"], mask, np.concatenate([0.9 * sure, doubt], axis=2).astype(np.float32))]
    errors = [((batches[0][2] >= t).mean() - mask.mean()) ** 2 for t in np.float32(GRID)]
    assert tune_threshold(batches, "confluency") == GRID[int(np.argmin(errors))] == 0.4
    assert tune_threshold(batches) == 0.55


def test_for_confluency_empty_images_count():
    empty = (["b"], np.zeros((1, 2, 2), np.uint8), np.full((1, 2, 2), 0.6, np.float32))
    assert tune_threshold([empty], "confluency") == 0.65
    assert tune_threshold([], "confluency") == 0.5


def test_for_confluency_errors_are_not_balanced_by_a_bad_mask():
    """A high threshold loses one image, and takes away what is too much in the other."""
    masks = np.zeros((2, 1, 100), np.uint8)
    masks[0, :, :10] = masks[1, :, :40] = 1
    probabilities = np.zeros((2, 1, 100), np.float32)
    probabilities[0, :, :10] = 0.7
    probabilities[1, :, :35], probabilities[1, :, 40:80] = 0.95, 0.82
    found = [(probabilities >= t).mean(axis=(1, 2)) for t in np.float32(GRID)]
    squares = [((each - masks.mean(axis=(1, 2))) ** 2).mean() for each in found]
    assert GRID[int(np.argmin(squares))] == 0.85
    assert tune_threshold([(["a", "b"], masks, probabilities)], "confluency") == 0.5
