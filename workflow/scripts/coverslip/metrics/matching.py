"""Predicted objects matched to true ones, and what an image scores by it.

A predicted and a true object match at a threshold if their intersection over union (IoU) is at
least the threshold; an object matches at most one other. The definitions are those of
`stardist.matching` (Schmidt et al., Cell Detection with Star-convex Polygons, MICCAI 2018) and, but
for `>=` in place of `>`, of the 2018 Data Science Bowl (Caicedo et al., Nature Methods 16, 2019).

No assignment has to be solved. Objects of one label map share no pixel, so above an IoU of 0.5 an
object has one partner at most: two would each need more than half of its pixels. At exactly 0.5
it has two only if they halve it between them. Both then lie wholly inside it, touch nothing else
and score 0.5, so that either of them may be taken. The optimal assignment (largest number of
matches, then largest sum of IoU) is therefore any choice of one pair an object.

IoU is compared with the thresholds in whole numbers, 20 x intersection >= k x union, so that no
rounding decides.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

PERCENT = tuple(range(50, 100, 5))
"""Thresholds of the IoU in percent: 50, 55, ..., 95."""

DENSE = 16
"""A table of all pairs of objects is counted if it has at most so many cells an overlapping pixel;
beyond that sorting the pixels is faster."""


@dataclass(frozen=True)
class Overlap:
    """The objects of two label maps, and the pairs of them that share pixels."""

    true_labels: np.ndarray
    """Labels of the true objects, (T,), rising."""
    predicted_labels: np.ndarray
    """Labels of the predicted objects, (P,), rising."""
    true_area: np.ndarray
    """Pixels of the true objects, (T,) int64."""
    predicted_area: np.ndarray
    """Pixels of the predicted objects, (P,) int64."""
    true_index: np.ndarray
    """Which true object a pair has, (K,), 0..T-1; pairs are sorted by it, then by the predicted."""
    predicted_index: np.ndarray
    """Which predicted object a pair has, (K,), 0..P-1."""
    intersection: np.ndarray
    """Pixels that a pair shares, (K,) int64, at least 1."""

    @property
    def union(self) -> np.ndarray:
        """Pixels that either of a pair has, (K,) int64."""
        areas = self.true_area[self.true_index] + self.predicted_area[self.predicted_index]
        return areas - self.intersection

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union of each pair, (K,) float64; all other pairs have 0."""
        return self.intersection / self.union


def overlap(truth: np.ndarray, prediction: np.ndarray) -> Overlap:
    """Count the pixels that true and predicted objects have and share.

    Args:
        truth: true label map, integers HxW, 0 is background; labels may have gaps.
        prediction: predicted label map of the same shape.

    Raises:
        ValueError: a map is not of integers, has negative labels, or the shapes differ.
    """
    if truth.shape != prediction.shape:
        raise ValueError(f"label maps of {truth.shape} and {prediction.shape} cannot be matched")
    inside, true, true_labels, true_area = _numbered(truth)
    elsewhere, predicted, predicted_labels, predicted_area = _numbered(prediction)
    partner = np.zeros(prediction.size, np.intp)
    partner[elsewhere] = predicted + 1
    partner = partner[inside]
    both = partner > 0
    columns = max(len(predicted_labels), 1)
    cells = true[both] * columns + partner[both] - 1
    if len(true_labels) * columns <= DENSE * cells.size:
        table = np.bincount(cells)
        found = np.flatnonzero(table)
        shared = table[found]
    else:
        found, shared = np.unique(cells, return_counts=True)
    true_index, predicted_index = np.divmod(found, columns)
    areas = (true_labels, predicted_labels, true_area, predicted_area)
    return Overlap(*areas, true_index, predicted_index, shared)


def _numbered(label: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Number the objects from 0 without gaps.

    Returns:
        Flat indices of the pixels inside objects and the numbers of their objects; labels of the
        objects and their areas.
    """
    if label.dtype.kind not in "bui":
        raise ValueError(f"a label map has integers, not {label.dtype}")
    values = label.ravel()
    if values.min(initial=0) < 0:
        raise ValueError("a label map has negative labels")
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
    """Matches of the objects of one image; arrays of ten follow `PERCENT`.

    Scores that divide by nothing are 0, as with `stardist.matching`. Only an image without any
    object, true or predicted, scores 1 here and 0 there: nothing was to be found, nothing was.
    """

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
    """True objects that lie in pieces, see `splits_and_merges`."""
    merges: int
    """Predicted objects that join several true ones."""
    missed: int
    """True objects at most half covered by predicted ones, all of them together."""
    invented: int
    """Predicted objects at most half of which lies in true ones, all of them together."""

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
        """TP / (TP + FP + FN), (10,), 0..1: the average precision (AP) of the 2018 Bowl."""
        return self._ratio(self.tp, self.tp + self.fp + self.fn)

    @property
    def precision(self) -> np.ndarray:
        """TP / (TP + FP), (10,), 0..1."""
        return self._ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> np.ndarray:
        """TP / (TP + FN), (10,), 0..1."""
        return self._ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> np.ndarray:
        """2 TP / (2 TP + FP + FN), (10,), 0..1."""
        return self._ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def mean_matched_score(self) -> np.ndarray:
        """Mean IoU of the matched pairs, (10,), 0..1: the segmentation quality at 0.5."""
        return self._ratio(self.iou_sum, self.tp)

    @property
    def mean_true_score(self) -> np.ndarray:
        """Sum of the IoU of the matched pairs over the number of true objects, (10,), 0..1."""
        return self._ratio(self.iou_sum, np.full(len(PERCENT), self.n_true))

    @property
    def panoptic_quality(self) -> np.ndarray:
        """Sum of matched IoU / (TP + FP/2 + FN/2), (10,), 0..1: SQ x RQ.

        Kirillov et al., Panoptic Segmentation, CVPR 2019, equation 1, which has it at 0.5.
        """
        return self._ratio(self.iou_sum, self.tp + self.fp / 2 + self.fn / 2)

    def _ratio(self, above: np.ndarray, below: np.ndarray) -> np.ndarray:
        if self.n_true == self.n_predicted == 0:
            return np.ones(len(PERCENT))
        return np.divide(above, below, out=np.zeros(len(PERCENT)), where=below > 0)


def match(truth: np.ndarray, prediction: np.ndarray) -> Matching:
    """Match the objects of two label maps; see `overlap` for arguments and errors."""
    found = overlap(truth, prediction)
    union = found.union
    pairs = np.flatnonzero(2 * found.intersection >= union)
    # At exactly 0.5 an object may have two partners (see above): the first one counts.
    for index in (found.true_index, found.predicted_index):
        pairs = np.sort(pairs[np.unique(index[pairs], return_index=True)[1]])
    # In how many of the ten thresholds a pair matches: IoU of 0.5 in one, of 0.95 and more in all.
    passed = np.minimum(20 * found.intersection[pairs] // union[pairs], 19) - 9
    iou = found.iou[pairs]
    at = np.arange(len(PERCENT))[:, np.newaxis] < passed
    splits, merges = splits_and_merges(found)
    missed, invented = missed_and_invented(found)
    return Matching(
        n_true=len(found.true_labels),
        n_predicted=len(found.predicted_labels),
        true_labels=found.true_labels[found.true_index[pairs]],
        predicted_labels=found.predicted_labels[found.predicted_index[pairs]],
        iou=iou,
        tp=np.count_nonzero(at, axis=1),
        iou_sum=np.where(at, iou, 0.0).sum(axis=1),
        splits=splits,
        merges=merges,
        missed=missed,
        invented=invented,
    )


def splits_and_merges(found: Overlap) -> tuple[int, int]:
    """Count true objects that lie in pieces and predicted objects that join several.

    A split is a true object that holds more than half of each of at least two predicted ones; a
    merge is a predicted object that holds more than half of each of at least two true ones. This
    is how the Cell Tracking Challenge tells which object a marker detects (Matula et al., PLoS ONE
    10, 2015). A bound on the IoU (0.1 in Caicedo et al., Cytometry A 95, 2019) would not see a
    blob that joins ten nuclei, as it has less than that with each of them.
    """
    shared = 2 * found.intersection
    pieces = found.true_index[shared > found.predicted_area[found.predicted_index]]
    joined = found.predicted_index[shared > found.true_area[found.true_index]]
    several = (np.count_nonzero(np.bincount(index) > 1) for index in (pieces, joined))
    splits, merges = (int(count) for count in several)
    return splits, merges


def missed_and_invented(found: Overlap) -> tuple[int, int]:
    """Count true objects at most half covered, and predicted ones at most half of which is true."""
    sides = (
        (found.true_index, found.true_area),
        (found.predicted_index, found.predicted_area),
    )
    covered = (np.bincount(index, found.intersection, len(area)) for index, area in sides)
    missed, invented = (
        int(np.count_nonzero(2 * pixels <= area))
        for pixels, (_, area) in zip(covered, sides, strict=True)
    )
    return missed, invented
