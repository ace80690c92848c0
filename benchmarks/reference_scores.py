"""Scores of reference implementations on small pairs of label images, as the fixture of a test.

    pip install stardist==0.9.2 panoptica==2.1.7 pycocotools==2.0.11
    python benchmarks/reference_scores.py > tests/repository/reference_scores.json

They are not in the environment of the tests, so their results are recorded; the test computes ours
of the same pairs.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys

import numpy as np

THRESHOLDS = (0.5, 0.75, 0.9)


def pairs() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return annotated and predicted label images (int32 24x32) by what differs."""
    truth = np.zeros((24, 32), np.int32)
    truth[2:8, 2:8], truth[2:8, 8:14], truth[12:22, 4:14], truth[14:20, 20:30] = 1, 2, 3, 4
    nothing = np.zeros_like(truth)
    shifted = np.roll(truth, 2, axis=1)
    split = truth.copy()
    split[12:22, 9:14] = 9
    uneven = truth.copy()
    uneven[12:14, 4:14] = 9
    merged = np.where(truth == 2, 1, truth)
    half = np.where(truth == 4, 0, truth)
    half[14:17, 20:30] = 4
    spurious = truth.copy()
    spurious[2:6, 22:28] = 7
    return {
        "equal": (truth, truth),
        "other numbers with gaps": (truth, truth * 37),
        "shifted by 2 pixels": (truth, shifted),
        "an object in two halves": (truth, split),
        "an object in two parts of 80 and 20 %": (truth, uneven),
        "two objects as one": (truth, merged),
        "an IoU of exactly 0.5": (truth, half),
        "a spurious object": (truth, spurious),
        "a missed object": (truth, np.where(truth == 3, 0, truth)),
        "nothing predicted": (truth, nothing),
        "nothing annotated": (nothing, truth),
        "nothing at all": (nothing, nothing),
    }


def stardist(truth: np.ndarray, predicted: np.ndarray) -> dict[str, list[float]]:
    """Return counts, F1, AP and PQ of `stardist.matching` at each threshold."""
    from stardist.matching import matching

    found = [matching(truth, predicted, thresh=at) for at in THRESHOLDS]
    names = ("tp", "fp", "fn", "f1", "accuracy", "panoptic_quality")
    return {name: [float(getattr(each, name)) for each in found] for name in names}


def panoptica(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float | None]:
    """Return counts, recognition quality (F1) and PQ of panoptica at an IoU of 0.5."""
    from panoptica import InputType, NaiveThresholdMatching, Panoptica_Evaluator

    evaluator = Panoptica_Evaluator(
        expected_input=InputType.UNMATCHED_INSTANCE, instance_matcher=NaiveThresholdMatching()
    )
    arrays = (predicted.astype(np.uint16), truth.astype(np.uint16))
    result = evaluator.evaluate(*arrays)["ungrouped"]
    values = {name: float(getattr(result, name)) for name in ("tp", "fp", "fn", "rq", "pq")}
    return {name: None if value != value else value for name, value in values.items()}


def pycocotools(truth: np.ndarray, predicted: np.ndarray) -> dict[str, list[float]]:
    """Return true positives and recall of COCOeval at each threshold; all scores are 1."""
    from pycocotools import mask
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def records(label: np.ndarray) -> list[dict]:
        found = []
        for number in np.unique(label[label > 0]):
            part = np.asfortranarray(label == number).astype(np.uint8)
            found.append({"segmentation": mask.encode(part), "area": int(part.sum())})
        return found

    shared = {"image_id": 1, "category_id": 1, "iscrowd": 0}
    annotated = [r | shared | {"id": n} for n, r in enumerate(records(truth), 1)]
    detected = [r | shared | {"id": n, "score": 1.0} for n, r in enumerate(records(predicted), 1)]
    if not annotated or not detected:
        return {"tp": [0.0] * len(THRESHOLDS)}
    coco, other = COCO(), COCO()
    for each, listed in ((coco, annotated), (other, detected)):
        images = [{"id": 1, "height": truth.shape[0], "width": truth.shape[1]}]
        each.dataset = {"images": images, "categories": [{"id": 1}], "annotations": listed}
        each.createIndex()
    evaluator = COCOeval(coco, other, "segm")
    evaluator.params.iouThrs = np.array(THRESHOLDS)
    evaluator.evaluate()
    matches = evaluator.evalImgs[0]["dtMatches"]
    return {"tp": [float((row > 0).sum()) for row in matches]}


def dsb2018(truth: np.ndarray, predicted: np.ndarray) -> dict[str, float | None]:
    """Return the score of the 2018 Data Science Bowl as its evaluation page defines it.

    An object is hit where the IoU of a pair is above the threshold; the score is the mean of
    TP / (TP + FP + FN) over 0.50, 0.55, ..., 0.95. None without any object.
    """
    annotated = [truth == number for number in np.unique(truth[truth > 0])]
    found = [predicted == number for number in np.unique(predicted[predicted > 0])]
    pairs = [[(a & b).sum() / (a | b).sum() for b in found] for a in annotated]
    precisions = []
    for at in np.arange(0.5, 1.0, 0.05):
        hits = sum(sum(iou > at for iou in row) == 1 for row in pairs)
        if total := len(annotated) + len(found) - hits:
            precisions.append(hits / total)
    return {"mean_ap": float(np.mean(precisions)) if precisions else None}


def main() -> int:
    """Print the scores of all pairs as JSON."""
    found = {}
    with contextlib.redirect_stdout(io.StringIO()):
        for name, (truth, predicted) in pairs().items():
            found[name] = {
                each.__name__: each(truth, predicted)
                for each in (stardist, panoptica, pycocotools, dsb2018)
            }
    json.dump(found, sys.stdout, indent=1)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
