"""Threshold and statistics that are set after training."""

import keras
import numpy as np
import pytest
from mask_training import PREPROCESSING, write_patches

from coverslip.config.sections import Augmentation, Network
from coverslip.models import networks
from coverslip.models.preprocessing import fit
from coverslip.models.watershed import WatershedParams
from coverslip.training.calibration import (
    GRID,
    fit_confidence,
    object_diameter,
    recalibrate_batchnorm,
    tune_threshold,
)
from coverslip.training.dataset import Batches
from coverslip.training.patches import Patches


@pytest.fixture
def batches(tmp_path) -> Batches:
    ids = [f"{number:02d}" for number in range(11)]
    patches, rows = Patches([write_patches(tmp_path / "0", ids, 0)]), np.arange(11)
    fitted = fit(patches.blocks(rows), PREPROCESSING)
    return Batches(patches, rows, PREPROCESSING, fitted, batch_size=4)


def test_statistics_are_the_plain_mean_over_batches(batches):
    given = batches.shuffled(1, 0, Augmentation(flip=True, rot90=False, gamma=(1.0, 1.0)))
    network = networks.build(
        Network(filters=2, depth=1, normalization="batch", head="semantic", stem_stride=1),
        (None, None, 1),
    )
    first = next(x for x in network.layers if isinstance(x, keras.layers.BatchNormalization))
    before = keras.Model(network.input, first.input)
    recalibrate_batchnorm(network, given)
    activity = [keras.ops.convert_to_numpy(before(given[i][0])) for i in range(len(given))]
    means = np.mean([a.mean((0, 1, 2)) for a in activity], axis=0)
    variances = np.mean([a.var((0, 1, 2)) for a in activity], axis=0)
    assert first.moving_mean.numpy() == pytest.approx(means, rel=1e-4, abs=1e-5)
    assert first.moving_variance.numpy() == pytest.approx(variances, rel=1e-4)
    assert first.momentum == 0.9


def test_a_network_without_batch_normalization_is_left_alone(batches):
    network = networks.build(
        Network(filters=2, depth=1, head="semantic", stem_stride=1, normalization="group"),
        (None, None, 1),
    )
    before = [value.numpy().copy() for value in network.variables]
    recalibrate_batchnorm(
        network, batches.shuffled(1, 0, Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)))
    )
    for old, new in zip(before, network.variables, strict=True):
        assert np.array_equal(old, new.numpy())


def brute_force(ids, masks, probabilities) -> np.ndarray:
    """Mean IoU over images at each threshold, by a loop."""
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


def test_pooled_iou_counts_nuclei_by_their_area():
    """The small nucleus is predicted up to 0.3, the large one is too large below 0.6."""
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


def test_pooled_iou_counts_images_without_foreground():
    mask = np.array([[[0, 0, 1, 1]]], np.uint8)
    probability = np.array([[[0.1, 0.1, 0.9, 0.72]]], np.float32)
    empty = (["b"], np.zeros((1, 1, 4), np.uint8), np.full((1, 1, 4), 0.71, np.float32))
    batches = [(["a"], mask, probability), empty]
    assert tune_threshold(batches) == 0.5
    assert tune_threshold(batches, "iou_pooled") == 0.75
    assert tune_threshold([empty], "iou_pooled") == 0.5


def test_for_confluency_the_covered_area_is_right():
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


def test_for_confluency_a_bad_mask_is_not_chosen():
    """A high threshold misses one image, and corrects the other."""
    masks = np.zeros((2, 1, 100), np.uint8)
    masks[0, :, :10] = masks[1, :, :40] = 1
    probabilities = np.zeros((2, 1, 100), np.float32)
    probabilities[0, :, :10] = 0.7
    probabilities[1, :, :35], probabilities[1, :, 40:80] = 0.95, 0.82
    found = [(probabilities >= t).mean(axis=(1, 2)) for t in np.float32(GRID)]
    squares = [((each - masks.mean(axis=(1, 2))) ** 2).mean() for each in found]
    assert GRID[int(np.argmin(squares))] == 0.85
    assert tune_threshold([(["a", "b"], masks, probabilities)], "confluency") == 0.5


def test_confidence_is_fitted_on_whole_objects():
    params = WatershedParams(threshold=0.5, seed=0.5, min_area_px=0)
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(40):
        truth, probabilities = np.zeros((64, 64), np.uint16), np.zeros((64, 64, 4), np.float32)
        foreground = np.full((64, 64), 0.05)
        for number, (row, column) in enumerate([(0, 0), (10, 10), (10, 40), (40, 10), (40, 40)], 1):
            place = np.s_[row : row + 9, column : column + 9]
            real = number == 1 or rng.random() < 0.5
            truth[place] = number * real
            # The one at the rim would teach the opposite.
            foreground[place] = 0.95 if real and number > 1 else 0.7
            probabilities[row + 4, column + 4, 3] = 1.0
        probabilities[..., 0], probabilities[..., 1] = 1 - foreground, foreground
        pairs.append((truth, probabilities))
    coefficients = fit_confidence(pairs, params)
    assert coefficients is not None and coefficients[1] > 1
    assert fit_confidence([], params) is None


def test_the_typical_diameter_is_of_whole_objects():
    def patch(side, corner=4):
        label = np.zeros((40, 40), np.uint16)
        label[corner : corner + side, corner : corner + side] = 1
        return label

    labels = [patch(20), patch(10), patch(10), patch(10), patch(15), patch(30, corner=0)]
    units = ["a", "b", "b", "b", "c", "d"]
    assert object_diameter(labels, units) == pytest.approx(15 * 2 / np.sqrt(np.pi), abs=0.05)
    assert object_diameter([patch(30, corner=0)], ["d"]) is None
