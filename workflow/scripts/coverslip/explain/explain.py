"""What the answers of a trained classification rest on: maps of held-out images, and scores.

Some images of each class are explained, mistakes among them, as the model itself saw them. Each
method is scored by deletion and insertion (`coverslip.explain.faithfulness`), beside a
random map: these numbers say which map to trust. `coverslip.runtime.device.prepare` has to be
called before this module is imported.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pandas as pd

from coverslip.config.sections import Attribution
from coverslip.data.image_store import ImageStore
from coverslip.evaluation.class_evaluate import scored_rows
from coverslip.evaluation.class_predictions import read_class_predictions
from coverslip.evaluation.summary import ONE_GROUP, SEED, number
from coverslip.explain.attribution import RANDOM, Explainer
from coverslip.files import atomic_write, write_json
from coverslip.metrics.intervals import bootstrap
from coverslip.models import heads, preprocessing
from coverslip.models.model import load, read_network
from coverslip.training.class_patches import network_input

FORMAT = 1

DEFINITIONS = {
    "deletion": "Area under the curve of the probability of the predicted class while pixels are "
    "taken away in the order of the map, most important first; mean over images. Small is good: "
    "the map points at what the answer rests on.",
    "insertion": "Area under the curve of the probability of the predicted class while pixels are "
    "put back into a blurred image in the order of the map; mean over images. Large is good.",
}


class Example(NamedTuple):
    """An image that is explained."""

    id: str
    group: str
    true: int
    predicted: int
    probability: float


def attribute(
    model: Path,
    predictions: Sequence[Path],
    images: Path,
    groups: Path,
    split: Path,
    fold: int,
    section: Attribution,
    resamples: int,
    maps: Path,
    scores: Path,
) -> None:
    """Explain some held-out images of one run.

    Args:
        model: the model folder.
        predictions: prediction files of the run.
        images: the store.
        groups: `groups.csv` of the dataset.
        split: the table of the split.
        fold: fold of the run.
        section: methods, their settings, and the number of images.
        resamples: resamples of the bootstrap.
        maps: HDF5 file to write: `<id>/image` (uint8 HxWxC, as the network saw it before scaling)
            and `<id>/<method>` (float32 HxW), with the attributes `true`, `predicted` (labels) and
            `probability` of each image, and `methods` of the whole.
        scores: JSON to write: `images` with deletion and insertion of each map, and `scores`, one
            record a method and score with its interval over groups.

    Raises:
        CoverslipError: a file cannot be read, or keras has a backend without gradients.
    """
    loaded = load(model)
    labels = [str(label) for label in loaded.info["classes"]]
    rows = scored_rows(split, groups, labels)
    subset, found = examples(rows[rows["fold"] == fold], predictions, section)
    loaded.scale_as(subset)
    explainer = Explainer(read_network(loaded), loaded.temperature, section)
    told: list[dict[str, Any]] = []
    with atomic_write(maps) as part, ImageStore(images) as store, h5py.File(part, "w") as file:
        file.attrs["methods"] = json.dumps(explainer.names)
        for place, example in enumerate(found):
            tile = network_input(store, example.id, loaded.preprocessing)
            image = preprocessing.batch(tile[None], loaded.preprocessing, loaded.info["fitted"])[0]
            drawn = explainer.maps(image, example.predicted)
            curves = explainer.scores(image, example.predicted, drawn, section.seed + place)
            facts = {
                "true": labels[example.true],
                "predicted": labels[example.predicted],
                "probability": round(example.probability, 6),
            }
            folder = file.create_group(example.id)
            folder.attrs.update(facts)
            for name, array in {"image": tile, **drawn}.items():
                kept = array if name == "image" else array.astype(np.float32)
                folder.create_dataset(name.replace("/", " by "), data=kept, track_times=False)
            areas = {
                "deletion": {name: number(each.deletion_area) for name, each in curves.items()},
                "insertion": {name: number(each.insertion_area) for name, each in curves.items()},
            }
            told.append({"id": example.id, "group": example.group, **facts, **areas})
    document = {
        "format": FORMAT,
        "subset": subset,
        "methods": [*explainer.names, RANDOM],
        "images": told,
        "scores": records(told, [*explainer.names, RANDOM], resamples),
    }
    write_json(scores, document, allow_nan=False)


def examples(
    rows: pd.DataFrame, predictions: Sequence[Path], section: Attribution
) -> tuple[str, list[Example]]:
    """Images to explain: of each class as many as the section says, sorted by class.

    Half of them are the mistakes that the model was surest of, if there are so many; the others are
    drawn at random from those it got right.

    Args:
        rows: `class_evaluate.scored_rows` of the fold.
        predictions: prediction files of the run.
        section: `images` and `seed` are used.

    Returns:
        The subset that they are of, `test` or else `validation`, and the images.
    """
    subset = "test" if (rows["subset"] == "test").any() else "validation"
    known = rows[rows["subset"] == subset].set_index("id")
    answer = read_class_predictions(predictions)
    inside = np.isin(answer.ids, known.index)
    shares = heads.calibrated_probabilities(answer.logits[inside], answer.temperature)
    ids = answer.ids[inside]
    of = known.loc[ids]
    every = [
        Example(str(id), str(group), int(true), int(share.argmax()), float(share.max()))
        for id, group, true, share in zip(ids, of["group"], of["truth"], shares, strict=True)
    ]
    rng = np.random.default_rng(section.seed)
    chosen: list[Example] = []
    for true in sorted({example.true for example in every}):
        wrong = [e for e in every if e.true == true != e.predicted]
        right = [e for e in every if e.true == true == e.predicted]
        wrong = sorted(wrong, key=lambda e: (-e.probability, e.id))[: section.images // 2]
        count = min(len(right), section.images - len(wrong))
        drawn = rng.choice(len(right), count, replace=False) if right else ()
        chosen += [*(right[at] for at in sorted(drawn)), *wrong]
    return subset, chosen


def records(
    told: Sequence[dict[str, Any]], methods: Sequence[str], resamples: int
) -> list[dict[str, Any]]:
    """Mean deletion and insertion of each method, with intervals over groups."""
    groups = np.array([each["group"] for each in told], dtype=str)
    found = []
    for name, definition in DEFINITIONS.items():
        for method in methods:
            values = np.array([[each[name][method], 1.0] for each in told]).reshape(-1, 2)
            value = values[:, 0].mean() if len(values) else float("nan")
            low, high = bootstrap(
                values, groups, lambda sums: sums[..., 0] / sums[..., 1], resamples, SEED
            )
            found.append(
                {
                    "name": name,
                    "method": method,
                    "value": number(value),
                    "low": number(low),
                    "high": number(high),
                    "interval_reason": ONE_GROUP if len(set(groups)) < 2 else None,
                    "support": len(values),
                    "support_unit": "images",
                    "groups": len(set(groups)),
                    "unit": "probability",
                    "definition": definition,
                }
            )
    return found
