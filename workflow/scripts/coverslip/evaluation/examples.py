"""Which images are shown: by IoU and at random, so that nobody chooses."""

from __future__ import annotations

import numpy as np
import pandas as pd

from coverslip.metrics.pixels import image_iou

EACH = 2
"""Images a kind."""

SEED = 1
"""Seed of the draw."""


def choose_examples(observed: pd.DataFrame) -> tuple[str, dict[str, list[str]]]:
    """Ids of the best, median and worst images by IoU (mean over seeds), and some at random.

    Of the test images, or of the validation images where there is no test. Images without
    true foreground, whose IoU is 0 or 1, are left out of the first three as long as others are
    left. Equal IoU: in the order of the ids.

    Args:
        observed: rows of `observations.observe`.

    Returns:
        The subset and, for `best`, `median`, `worst` and `draw`, up to `EACH` ids.
    """
    subset = "test" if (observed["subset"] == "test").any() else "validation"
    rows = observed[observed["subset"] == subset]
    tp, fp, fn = (rows[name].to_numpy(dtype=float) for name in ("tp", "fp", "fn"))
    scores = pd.DataFrame({"id": rows["id"], "iou": image_iou(tp, fp, fn), "true": tp + fn})
    scores = scores.groupby("id", as_index=False).mean().sort_values(["iou", "id"])
    told = scores[scores["true"] > 0]
    ranked = (told if len(told) else scores)["id"].tolist()
    middle = max(0, (len(ranked) - EACH) // 2)
    lot = np.random.default_rng(SEED)
    ids = sorted(scores["id"])
    draw = lot.choice(len(ids), size=min(EACH, len(ids)), replace=False) if ids else ()
    return subset, {
        "best": ranked[::-1][:EACH],
        "median": ranked[middle : middle + EACH],
        "worst": ranked[:EACH],
        "draw": [ids[at] for at in draw],
    }
