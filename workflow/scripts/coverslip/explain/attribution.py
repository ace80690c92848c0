"""What a classification of an image rests on: maps by several methods, and their scores.

Each method gives a map HxW, large where the image speaks for the class. All see the image as
the network does, after the model's own preprocessing, and all are scored alike by deletion and
insertion (`coverslip.explain.faithfulness`), beside a random map.
`coverslip.runtime.device.prepare` has to be called before this module is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras
import numpy as np

from coverslip.config.sections import Attribution, OcclusionWindow
from coverslip.explain import faithfulness, gradients
from coverslip.explain.occlusion import occlusion

Maps = dict[str, np.ndarray]

RANDOM = "random"


class Explainer:
    """Maps and scores of images for one network.

    Args:
        network: from NxHxWxC to NxK logits.
        temperature: of the probabilities that the scores are.
        section: methods and their settings.
    """

    def __init__(self, network: keras.Model, temperature: float, section: Attribution) -> None:
        self.section = section
        logits = network.outputs[0] / temperature
        scaled = keras.layers.Activation("softmax", dtype="float32")(logits)
        self._network = network
        self._probabilities = keras.Model(network.inputs, scaled)
        self._methods = methods(self)

    @property
    def names(self) -> list[str]:
        """Names of the methods, in the order of the maps."""
        return list(self._methods)

    def score(self, images: np.ndarray) -> np.ndarray:
        """Probabilities of images, float32 NxK."""
        return self._probabilities.predict_on_batch(images)

    def baseline(self, image: np.ndarray) -> np.ndarray:
        """What hides or deletes pixels of an image: one value a channel, in its scale."""
        if self.section.baseline == "mean":
            return image.mean(axis=(0, 1))
        return np.zeros(image.shape[2], np.float32)

    def maps(self, image: np.ndarray, target: int) -> Maps:
        """Maps by method, float64 HxW, of an image (float32 HxWxC) for a class."""
        return {name: method(image, target) for name, method in self._methods.items()}

    def scores(
        self, image: np.ndarray, target: int, maps: Mapping[str, np.ndarray], seed: int
    ) -> dict[str, faithfulness.Curves]:
        """Deletion and insertion of each map, and of a random one."""
        chance, gone = faithfulness.random_map(image.shape[:2], seed), self.baseline(image)
        return {
            name: faithfulness.curves(self.score, image, map, target, gone)
            for name, map in {**maps, RANDOM: chance}.items()
        }


def methods(explainer: Explainer) -> dict[str, Callable[[np.ndarray, int], np.ndarray]]:
    """The methods that the section names."""
    section, network = explainer.section, explainer._network
    found: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {}
    for window in section.occlusion:
        found[window.name] = occluding(explainer, window)
    if section.integrated_gradients or section.gradient_shap:
        by_input = gradients.of_input(network)
    if section.integrated_gradients:

        def integrated(image: np.ndarray, target: int) -> np.ndarray:
            gone = explainer.baseline(image)

            def attribute(noisy: np.ndarray) -> np.ndarray:
                return gradients.integrated_gradients(
                    by_input, noisy, target, gone, section.steps, section.batch
                )

            unit = np.ptp(image) if section.smooth_deviation_unit == "range" else 1.0
            smooth = (section.smooth_samples, section.smooth_deviation * unit, section.seed)
            squared = section.smoothgrad == "squared"
            return gradients.smoothgrad(attribute, image, *smooth, squared).sum(axis=-1)

        found["integrated gradients"] = integrated
    if section.gradient_shap:

        def shap(image: np.ndarray, target: int) -> np.ndarray:
            baselines = [explainer.baseline(image), image]
            noise = (section.shap_samples, section.shap_deviation, section.seed, section.batch)
            return gradients.gradient_shap(by_input, image, target, baselines, *noise).sum(-1)

        found["gradient shap"] = shap
    if section.grad_cam:
        by_feature = gradients.of_features(network, last_features(network))
        found["grad-cam"] = lambda image, target: gradients.grad_cam(by_feature, image, target)
    return found


def occluding(
    explainer: Explainer, window: OcclusionWindow
) -> Callable[[np.ndarray, int], np.ndarray]:
    """Occlusion with one window."""
    sides, steps = (window.window,) * 2, (window.stride,) * 2

    def of(image: np.ndarray, target: int) -> np.ndarray:
        gone, batch = explainer.baseline(image), explainer.section.batch
        return occlusion(explainer.score, image, target, sides, steps, gone, batch)

    return of


def last_features(network: keras.Model) -> keras.Layer:
    """The last layer whose output still has places, hxwxk.

    Raises ValueError if there is none.
    """
    for layer in reversed(network.layers):
        if isinstance(layer, keras.layers.InputLayer):
            continue
        if len(layer.output.shape) == 4:
            return layer
    raise ValueError("the network has no layer whose output has places")
