"""Which images are shown."""

import numpy as np
import pandas as pd

from coverslip.evaluation.examples import choose_class_examples, choose_examples, choose_subset
from coverslip.evaluation.per_image import probability_columns


def masks(tp, fn):
    """Observations of images a, b, ... whose predictions have no false positive."""
    ids = [chr(ord("a") + number) for number in range(len(tp))]
    return pd.DataFrame({"id": ids, "model: tp": tp, "model: fp": 0, "model: fn": fn})


def test_masks_are_ranked_by_iou():
    rows = masks([10, 9, 5, 2, 0, 7], [0, 1, 5, 8, 0, 3])  # e has no foreground
    examples = choose_examples(rows)
    assert examples["best"] == ["a", "b"]
    assert examples["median"] == ["c", "f"]
    assert examples["worst"] == ["d", "c"]
    assert len(set(examples["random"])) == 2 and set(examples["random"]) <= set("abcdef")
    assert choose_examples(rows) == examples


def test_images_without_foreground_are_shown_if_alone():
    assert choose_examples(masks([0], [0]))["best"] == ["a"]
    nothing = {"best": [], "median": [], "worst": [], "random": []}
    assert choose_examples(masks([], [])) == nothing


def test_confident_errors_come_first():
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    rows = pd.DataFrame(probabilities, columns=probability_columns("calibrated", 2))
    rows = rows.assign(id=["a", "b", "c", "d"], truth=[1, 0, 1, 1])
    examples = choose_class_examples(rows, ["x", "y"])
    assert examples == {"last": ["b", "d"], "confident_errors": ["a", "b", "c"]}


def test_test_images_are_shown_if_there_are_any():
    assert choose_subset(pd.DataFrame({"subset": ["validation", "test"]})) == "test"
    assert choose_subset(pd.DataFrame({"subset": ["validation"]})) == "validation"
