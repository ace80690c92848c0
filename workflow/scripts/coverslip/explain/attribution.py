"""Attribution maps of a trained classification, by several methods, and their scores.

Some held-out images of each class are explained, errors among them. Each method gives a map HxW,
large where the image supports the class. All methods see the image as the network does, after the
model's own preprocessing, and all are scored by deletion and insertion
(`coverslip.explain.faithfulness`), as is a random map: these scores show which maps to trust.
`coverslip.runtime.device.prepare` has to be called before this module is imported.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd

from coverslip.config.sections import Attribution, OcclusionWindow
from coverslip.data.hdf5 import write_hdf5
from coverslip.data.image_store import ImageStore
from coverslip.evaluation.examples import choose_subset
from coverslip.evaluation.per_image import class_rows
from coverslip.evaluation.predictions import read_class_predictions
from coverslip.evaluation.summary import interval_reason, number
from coverslip.explain import faithfulness, gradients
from coverslip.explain.occlusion import occlusion
from coverslip.files import write_json
from coverslip.metrics.intervals import MIN_GROUPS, jackknife_interval, sum_by_group
from coverslip.models import heads, preprocessing
from coverslip.models.model import load, read_network
from coverslip.training.patches import network_input

FORMAT = 2

Maps = dict[str, np.ndarray]

RANDOM = "random"

DEFINITIONS = {
    "deletion": "Area under the curve of the probability of the predicted class while pixels are "
    "deleted in the order of the map, most important first; mean over images. Small is good: the "
    "map marks the pixels that the prediction depends on.",
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


def explain(
    model: Path,
    predictions: Sequence[Path],
    images: Path,
    groups: Path,
    split: Path,
    fold: int,
    section: Attribution,
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
        maps: HDF5 file to write: `<id>/image` (uint8 HxWxC, as the network saw it before scaling)
            and `<id>/<method>` (float32 HxW), with the attributes `true`, `predicted` (labels) and
            `probability` of each image, and `methods` of the whole.
        scores: JSON to write: `images` with deletion and insertion of each map, and `scores`, one
            record for each method and score with its interval over groups.

    Raises:
        CoverslipError: a file cannot be read, or keras has a backend without gradients.
    """
    loaded = load(model, runtime="keras")
    labels = [str(label) for label in loaded.info["classes"]]
    rows = class_rows(split, groups, labels)
    subset, examples = choose_examples(rows[rows["fold"] == fold], predictions, section)
    loaded.scale_as(subset)
    explainer = Explainer(read_network(loaded), loaded.temperature, section)
    results: list[dict[str, Any]] = []
    with write_hdf5(maps) as file, ImageStore(images) as store:
        file.attrs["methods"] = json.dumps(explainer.names)
        for place, example in enumerate(examples):
            tile = network_input(store, example.id, loaded.preprocessing)
            image = preprocessing.batch(tile[None], loaded.preprocessing, loaded.info["fitted"])[0]
            attributions = explainer.maps(image, example.predicted)
            curves = explainer.scores(image, example.predicted, attributions, section.seed + place)
            facts = {
                "true": labels[example.true],
                "predicted": labels[example.predicted],
                "probability": round(example.probability, 6),
            }
            folder = file.create_group(example.id)
            folder.attrs.update(facts)
            for name, array in {"image": tile, **attributions}.items():
                data = array if name == "image" else array.astype(np.float32)
                folder.create_dataset(name.replace("/", " by "), data=data, track_times=False)
            file.raise_if_unwritten()
            areas = {
                "deletion": {name: number(curve.deletion_area) for name, curve in curves.items()},
                "insertion": {name: number(curve.insertion_area) for name, curve in curves.items()},
            }
            results.append({"id": example.id, "group": example.group, **facts, **areas})
    document = {
        "format": FORMAT,
        "subset": subset,
        "methods": [*explainer.names, RANDOM],
        "images": results,
        "scores": score_records(results, [*explainer.names, RANDOM]),
    }
    write_json(scores, document, allow_nan=False)


def choose_examples(
    rows: pd.DataFrame, predictions: Sequence[Path], section: Attribution
) -> tuple[str, list[Example]]:
    """Choose images to explain: of each class as many as the section asks for, sorted by class.

    Half of them are the wrong predictions with the highest probability, if there are so many; the
    others are random ones of the correct predictions. Where too few are correct, more are wrong.

    Args:
        rows: `per_image.class_rows` of the fold.
        predictions: prediction files of the run.
        section: `images` and `seed` are used.

    Returns:
        The subset that they are of, `test` or else `validation`, and the images.
    """
    subset = choose_subset(rows)
    held_out = rows[rows["subset"] == subset].set_index("id")
    predicted = read_class_predictions(predictions)
    inside = np.isin(predicted.ids, held_out.index)
    probabilities = heads.calibrated_probabilities(predicted.logits[inside], predicted.temperature)
    ids = predicted.ids[inside]
    facts = held_out.loc[ids]
    columns = ids, facts["group"], facts["truth"], probabilities
    images = [
        Example(str(id), str(group), int(true), int(p.argmax()), float(p.max()))
        for id, group, true, p in zip(*columns, strict=True)
    ]
    rng = np.random.default_rng(section.seed)
    chosen: list[Example] = []
    for true in sorted({image.true for image in images}):
        wrong = [image for image in images if image.true == true != image.predicted]
        correct = [image for image in images if image.true == true == image.predicted]
        wrong = sorted(wrong, key=lambda image: (-image.probability, image.id))
        wrong = wrong[: max(section.images // 2, section.images - len(correct))]
        count = min(len(correct), section.images - len(wrong))
        places = rng.choice(len(correct), count, replace=False) if correct else ()
        chosen += [*(correct[at] for at in sorted(places)), *wrong]
    return subset, chosen


def score_records(images: Sequence[dict[str, Any]], methods: Sequence[str]) -> list[dict[str, Any]]:
    """Return mean deletion and insertion of each method, with 95 % CI over groups."""
    groups = np.array([image["group"] for image in images], dtype=str)
    records = []
    for name, definition in DEFINITIONS.items():
        for method in methods:
            values = np.array([[image[name][method], 1.0] for image in images]).reshape(-1, 2)
            sums = sum_by_group(values, groups)
            value = low = high = float("nan")
            if len(sums):
                value = float(values[:, 0].mean())
            if len(sums) >= MIN_GROUPS:
                others = sums.sum(axis=0) - sums
                left_out = others[:, 0] / others[:, 1]
                limits = jackknife_interval(np.asarray(value), left_out, sums[:, 1], (0, 1))
                low, high = (float(limit) for limit in limits)
            records.append(
                {
                    "name": name,
                    "method": method,
                    "value": number(value),
                    "ci_low": number(low),
                    "ci_high": number(high),
                    "interval_reason": interval_reason(value, low, len(sums)),
                    "support": len(values),
                    "support_unit": "images",
                    "groups": len(sums),
                    "unit": "probability",
                    "definition": definition,
                }
            )
    return records


# --- The methods


class Explainer:
    """Maps and scores of images for one network.

    Args:
        network: from NxHxWxC to NxK logits.
        temperature: of the probabilities, which are the scores.
        section: methods and their settings.
    """

    def __init__(self, network: keras.Model, temperature: float, section: Attribution) -> None:
        self.section = section
        logits = network.outputs[0] / temperature
        scaled = keras.layers.Activation("softmax", dtype="float32")(logits)
        self._network = network
        self._probabilities = keras.Model(network.inputs, scaled)
        self._methods = build_methods(self)

    @property
    def names(self) -> list[str]:
        """Names of the methods, in the order of the maps."""
        return list(self._methods)

    def score(self, images: np.ndarray) -> np.ndarray:
        """Return the probabilities of images, float32 NxK."""
        return self._probabilities.predict_on_batch(images)

    def baseline(self, image: np.ndarray) -> np.ndarray:
        """Return what replaces hidden or deleted pixels: one value for each channel."""
        if self.section.baseline == "mean":
            return image.mean(axis=(0, 1))
        return np.zeros(image.shape[2], np.float32)

    def maps(self, image: np.ndarray, target: int) -> Maps:
        """Return maps by method, float64 HxW, of an image (float32 HxWxC) for a class."""
        return {name: method(image, target) for name, method in self._methods.items()}

    def scores(
        self, image: np.ndarray, target: int, maps: Mapping[str, np.ndarray], seed: int
    ) -> dict[str, faithfulness.Curves]:
        """Return deletion and insertion of each map, and of a random one."""
        baseline = self.baseline(image)
        random = faithfulness.random_map(image.shape[:2], seed)
        return {
            name: faithfulness.curves(self.score, image, map, target, baseline)
            for name, map in {**maps, RANDOM: random}.items()
        }


def build_methods(explainer: Explainer) -> dict[str, Callable[[np.ndarray, int], np.ndarray]]:
    """Return the methods of the section: functions from an image and a class to a map."""
    section, network = explainer.section, explainer._network
    methods: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {}
    for window in section.occlusion:
        methods[window.name] = occlude(explainer, window)
    if section.integrated_gradients or section.gradient_shap:
        by_input = gradients.input_gradient(network)
    if section.integrated_gradients:

        def integrated(image: np.ndarray, target: int) -> np.ndarray:
            baseline = explainer.baseline(image)

            def attribute(noisy: np.ndarray) -> np.ndarray:
                return gradients.integrated_gradients(
                    by_input, noisy, target, baseline, section.steps, section.batch
                )

            unit = np.ptp(image) if section.smooth_deviation_unit == "range" else 1.0
            smooth = (section.smooth_samples, section.smooth_deviation * unit, section.seed)
            squared = section.smoothgrad == "squared"
            return gradients.smoothgrad(attribute, image, *smooth, squared).sum(axis=-1)

        methods["integrated gradients"] = integrated
    if section.gradient_shap:

        def shap(image: np.ndarray, target: int) -> np.ndarray:
            baselines = [explainer.baseline(image), image]
            noise = (section.shap_samples, section.shap_deviation, section.seed, section.batch)
            return gradients.gradient_shap(by_input, image, target, baselines, *noise).sum(-1)

        methods["gradient shap"] = shap
    if section.grad_cam:
        by_feature = gradients.feature_gradient(network, last_spatial_layer(network))
        methods["grad-cam"] = lambda image, target: gradients.grad_cam(by_feature, image, target)
    return methods


def occlude(
    explainer: Explainer, window: OcclusionWindow
) -> Callable[[np.ndarray, int], np.ndarray]:
    """Return occlusion with one window as a method."""
    sides, steps = (window.window,) * 2, (window.stride,) * 2

    def method(image: np.ndarray, target: int) -> np.ndarray:
        baseline, batch = explainer.baseline(image), explainer.section.batch
        return occlusion(explainer.score, image, target, sides, steps, baseline, batch)

    return method


def last_spatial_layer(network: keras.Model) -> keras.Layer:
    """Return the last layer whose output is spatial, hxwxk.

    Raises ValueError if there is none.
    """
    for layer in reversed(network.layers):
        if isinstance(layer, keras.layers.InputLayer):
            continue
        if len(layer.output.shape) == 4:
            return layer
    raise ValueError("the network has no layer with a spatial output")
