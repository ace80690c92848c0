"""Which images are shown: by a rule and at random, so that nobody chooses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from coverslip.evaluation.per_image import probability_columns
from coverslip.metrics.pixels import image_iou

IMAGES_PER_KIND = 2

CLASS_IMAGES = 9
"""Images of a kind of a classification, three by three."""

SEED = 1
"""Seed of the random choice."""


def choose_subset(rows: pd.DataFrame) -> str:
    """Return `test`, or `validation` where there are no test images."""
    return "test" if (rows["subset"] == "test").any() else "validation"


def choose_examples(rows: pd.DataFrame) -> dict[str, list[str]]:
    """Choose the best, median and worst images by IoU (mean over seeds), and some at random.

    Images without true foreground, whose IoU is 0 or 1, are left out of the first three as long as
    others are left. Images of equal IoU are in the order of their ids.

    Args:
        rows: of `Observations` of masks, one subset.

    Returns:
        For `best`, `median`, `worst` and `random`, up to `IMAGES_PER_KIND` ids.
    """
    tp, fp, fn = (rows[f"model: {name}"].to_numpy(float) for name in ("tp", "fp", "fn"))
    scores = pd.DataFrame({"id": rows["id"], "iou": image_iou(tp, fp, fn), "true": tp + fn})
    scores = scores.groupby("id", as_index=False).mean().sort_values(["iou", "id"])
    with_objects = scores[scores["true"] > 0]
    ranked = (with_objects if len(with_objects) else scores)["id"].tolist()
    middle = max(0, (len(ranked) - IMAGES_PER_KIND) // 2)
    ids = sorted(scores["id"])
    rng = np.random.default_rng(SEED)
    count = min(IMAGES_PER_KIND, len(ids))
    return {
        "best": ranked[::-1][:IMAGES_PER_KIND],
        "median": ranked[middle : middle + IMAGES_PER_KIND],
        "worst": ranked[:IMAGES_PER_KIND],
        "random": [ids[at] for at in rng.choice(len(ids), count, replace=False)] if ids else [],
    }


def choose_class_examples(rows: pd.DataFrame, names: Sequence[str]) -> dict[str, list[str]]:
    """Choose images of a classification, at most `CLASS_IMAGES` of each kind.

    Args:
        rows: of `Observations` of classes, one subset.
        names: of the classes.

    Returns:
        Ids: `last`, the last image of each class by id; `confident_errors`, the wrong predictions
        with the highest probability, in the mean over seeds.
    """
    last = rows.sort_values("id").groupby("truth", sort=True)["id"].last()
    probabilities = rows[probability_columns("calibrated", len(names))].to_numpy(float)
    wrong = probabilities.argmax(axis=1) != rows["truth"].to_numpy()
    sure = pd.DataFrame({"id": rows["id"], "sure": np.where(wrong, probabilities.max(axis=1), 0)})
    sure = sure.groupby("id", as_index=False)["sure"].mean()
    sure = sure[sure["sure"] > 0].sort_values(["sure", "id"], ascending=[False, True])
    return {
        "last": last.tolist()[:CLASS_IMAGES],
        "confident_errors": sure["id"].tolist()[:CLASS_IMAGES],
    }
