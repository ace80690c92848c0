"""Match predicted objects to true ones.

A predicted and a true object match at a threshold if their intersection over union (IoU) is at
least the threshold; an object matches at most one other. The definitions are those of
`stardist.matching` (Schmidt et al., Cell Detection with Star-convex Polygons, MICCAI 2018) and, but
for `>=` in place of `>`, of the 2018 Data Science Bowl (Caicedo et al., Nature Methods 16, 2019).

No assignment has to be solved. Objects of one label image share no pixel, so above an IoU of 0.5
an object has one partner at most: two would each need more than half of its pixels. At exactly 0.5
it has two only if they halve it between them. Both are then completely inside it, touch nothing
else and score 0.5, so that either of them may be taken. The optimal assignment (largest number of
matches, then largest sum of IoU) is therefore any choice of one pair for each object.

IoU is compared with the thresholds in whole numbers, 20 x intersection >= k x union, so that no
rounding decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PERCENT = tuple(range(50, 100, 5))
"""Thresholds of the IoU in percent: 50, 55, ..., 95."""

MAX_CELLS_PER_PIXEL = 16
"""Pairs are counted in a table of all pairs of objects if it has at most so many cells for each
overlapping pixel; beyond that sorting the pixels is faster."""


@dataclass(frozen=True)
class Overlap:
    """The objects of two label images, and the pairs of them that share pixels."""

    true_labels: np.ndarray
    """Labels of the true objects, (T,), rising."""
    predicted_labels: np.ndarray
    """Labels of the predicted objects, (P,), rising."""
    true_area: np.ndarray
    """Pixels of the true objects, (T,) int64."""
    predicted_area: np.ndarray
    """Pixels of the predicted objects, (P,) int64."""
    true_index: np.ndarray
    """True object of each pair, (K,), 0..T-1; pairs are sorted by it, then by the predicted."""
    predicted_index: np.ndarray
    """Predicted object of each pair, (K,), 0..P-1."""
    intersection: np.ndarray
    """Pixels that each pair shares, (K,) int64, at least 1."""

    @property
    def union(self) -> np.ndarray:
        """Pixels of either object of each pair, (K,) int64."""
        areas = self.true_area[self.true_index] + self.predicted_area[self.predicted_index]
        return areas - self.intersection

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union of each pair, (K,) float64; all other pairs have 0."""
        return self.intersection / self.union


def overlap(truth: np.ndarray, prediction: np.ndarray) -> Overlap:
    """Count the pixels that true and predicted objects have and share.

    Args:
        truth: true label image, integers HxW, 0 is background; labels may have gaps.
        prediction: predicted label image of the same shape.

    Raises:
        ValueError: a map is not of integers, has negative labels, or the shapes differ.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"label images of {truth.shape} and {prediction.shape} cannot be matched")
    inside, true, true_labels, true_area = _numbered(truth)
    elsewhere, predicted, predicted_labels, predicted_area = _numbered(prediction)
    partner = np.zeros(prediction.size, np.intp)
    partner[elsewhere] = predicted + 1
    partner = partner[inside]
    both = partner > 0
    columns = max(len(predicted_labels), 1)
    cells = true[both] * columns + partner[both] - 1
    if len(true_labels) * columns <= MAX_CELLS_PER_PIXEL * cells.size:
        table = np.bincount(cells)
        pairs = np.flatnonzero(table)
        shared = table[pairs]
    else:
        pairs, shared = np.unique(cells, return_counts=True)
    true_index, predicted_index = np.divmod(pairs, columns)
    areas = (true_labels, predicted_labels, true_area, predicted_area)
    return Overlap(*areas, true_index, predicted_index, shared)


def _numbered(label: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Number the objects from 0 without gaps.

    Returns:
        Flat indices of the pixels inside objects and the numbers of their objects; labels of the
        objects and their areas.
    """
    if label.dtype.kind not in "bui":
        raise ValueError(f"a label image has integers, not {label.dtype}")
    values = label.ravel()
    if values.min(initial=0) < 0:
        raise ValueError("a label image has negative labels")
    inside = np.flatnonzero(values != 0)  # background, the larger part, needs no counting
    values = values[inside]
    if values.max(initial=0) > 4 * label.size:  # a table of labels so far apart is mostly empty
        labels, numbers, area = np.unique(values, return_inverse=True, return_counts=True)
        return inside, numbers, labels, area
    values = values.astype(np.intp, copy=False)
    area = np.bincount(values)
    labels = np.flatnonzero(area)
    numbers = np.cumsum(area > 0) - 1
    return inside, numbers[values], labels, area[labels]


@dataclass(frozen=True)
class Matching:
    """Matches of the objects of one image; arrays of ten follow `PERCENT`."""

    n_true: int
    """Number of true objects."""
    n_predicted: int
    """Number of predicted objects."""
    true_labels: np.ndarray
    """Labels of the true objects that match at IoU 0.5, (M,)."""
    predicted_labels: np.ndarray
    """Labels of their partners, (M,)."""
    iou: np.ndarray
    """IoU of these pairs, (M,) float64, 0.5..1."""
    tp: np.ndarray
    """True positives: matched pairs, (10,) int64."""
    iou_sum: np.ndarray
    """Sum of the IoU of the matched pairs, (10,) float64."""
    splits: int
    """True objects that are split, see `splits_and_merges`."""
    merges: int
    """Predicted objects that merge several true ones."""
    missed: int
    """True objects at most half covered by predicted ones, all of them together."""
    spurious: int
    """Predicted objects at most half of which is inside true ones, all of them together."""

    @property
    def fp(self) -> np.ndarray:
        """False positives: predicted objects without a partner, (10,) int64."""
        return self.n_predicted - self.tp

    @property
    def fn(self) -> np.ndarray:
        """False negatives: true objects without a partner, (10,) int64."""
        return self.n_true - self.tp

    @property
    def accuracy(self) -> np.ndarray:
        """TP / (TP + FP + FN), (10,), 0..1: the average precision (AP) of DSB 2018.

        1 where there is no object, true or predicted (0 in `stardist.matching`).
        """
        objects = self.tp + self.fp + self.fn
        return np.where(objects == 0, 1.0, self.tp / np.maximum(objects, 1))


def match(truth: np.ndarray, prediction: np.ndarray) -> Matching:
    """Match the objects of two label images; see `overlap` for arguments and errors."""
    objects = overlap(truth, prediction)
    union = objects.union
    pairs = np.flatnonzero(2 * objects.intersection >= union)
    # At exactly 0.5 an object may have two partners (see above): the first one counts.
    for index in (objects.true_index, objects.predicted_index):
        pairs = np.sort(pairs[np.unique(index[pairs], return_index=True)[1]])
    # In how many of the ten thresholds a pair matches: IoU of 0.5 in one, of 0.95 and more in all.
    passed = np.minimum(20 * objects.intersection[pairs] // union[pairs], 19) - 9
    iou = objects.iou[pairs]
    at = np.arange(len(PERCENT))[:, np.newaxis] < passed
    splits, merges = splits_and_merges(objects)
    missed, spurious = missed_and_spurious(objects)
    return Matching(
        n_true=len(objects.true_labels),
        n_predicted=len(objects.predicted_labels),
        true_labels=objects.true_labels[objects.true_index[pairs]],
        predicted_labels=objects.predicted_labels[objects.predicted_index[pairs]],
        iou=iou,
        tp=np.count_nonzero(at, axis=1),
        iou_sum=np.where(at, iou, 0.0).sum(axis=1),
        splits=splits,
        merges=merges,
        missed=missed,
        spurious=spurious,
    )


def splits_and_merges(objects: Overlap) -> tuple[int, int]:
    """Count true objects that are split and predicted objects that merge several.

    A split is a true object that contains more than half of each of at least two predicted ones; a
    merge is a predicted object that contains more than half of each of at least two true ones. This
    is how the Cell Tracking Challenge finds the object of a marker (Matula et al., PLoS ONE
    10, 2015). A bound on the IoU (0.1 in Caicedo et al., Cytometry A 95, 2019) would miss a
    blob that joins ten nuclei, as its IoU with each of them is smaller.
    """
    shared = 2 * objects.intersection
    pieces = objects.true_index[shared > objects.predicted_area[objects.predicted_index]]
    joined = objects.predicted_index[shared > objects.true_area[objects.true_index]]
    several = (np.count_nonzero(np.bincount(index) > 1) for index in (pieces, joined))
    splits, merges = (int(count) for count in several)
    return splits, merges


def missed_and_spurious(objects: Overlap) -> tuple[int, int]:
    """Count true objects at most half covered, and predicted ones at most half of which is true."""
    sides = (
        (objects.true_index, objects.true_area),
        (objects.predicted_index, objects.predicted_area),
    )
    covered = (np.bincount(index, objects.intersection, len(area)) for index, area in sides)
    missed, spurious = (
        int(np.count_nonzero(2 * pixels <= area))
        for pixels, (_, area) in zip(covered, sides, strict=True)
    )
    return missed, spurious
