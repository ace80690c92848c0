"""The model folder: all that predicting needs, whatever the model is.

A folder holds `model.keras` (the network, giving logits) and `model.json`. The latter tells:

- `format`: number of this layout; `kind`: what the model is, see `KINDS`;
- `classes`: names, `background` first; `outputs`: output channels, 1 is a sigmoid, more a softmax;
- `preprocessing`: the section of the configuration; `fitted`: its numbers, see `preprocess.fit`;
- `threshold`: probability from which a pixel is foreground, tuned on validation;
- and whatever else training tells: architecture, digests, licence of the data.

Reading a folder needs no Keras; it is imported when something is predicted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from coverslip import preprocess
from coverslip.aside import aside
from coverslip.config import Preprocessing
from coverslip.errors import CoverslipError
from coverslip.tiles import Predict, predict_stream

FORMAT = 1
REQUIRED = ("classes", "preprocessing", "fitted", "threshold")
BATCH_PIXELS = 2**19
"""Pixels a batch, about: 8 tiles of 256x256, 32 of 128x128. On a CPU fewer are slower (up to twice
with single tiles of 128x128) and more are no faster."""


def save(folder: Path, model: Any, info: dict[str, Any]) -> None:
    """Write a network and what belongs to it; other files in the folder stay.

    Each file is written aside and renamed, `model.json` last: where it stands, all is there.

    Args:
        folder: the model folder; made if need be.
        model: `keras.Model` from HxWxC to HxWxK logits.
        info: values for `model.json`, JSON types, with at least `classes`, `preprocessing`
            (a `Preprocessing` or its fields), `fitted` and `threshold`; `format`, `kind` and
            `outputs` are added.

    Raises:
        ValueError: a value is missing.
    """
    missing = [name for name in REQUIRED if name not in info]
    if missing:
        raise ValueError(f"model.json needs {', '.join(missing)}")
    facts = {"format": FORMAT, "kind": "network", **info}
    facts["outputs"] = int(model.output_shape[-1])
    if isinstance(facts["preprocessing"], Preprocessing):
        facts["preprocessing"] = facts["preprocessing"].model_dump(mode="json")
    text = json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.json").unlink(missing_ok=True)  # it must not describe another network
    with aside(folder / "model.keras") as part:
        whole = part.with_name("model.part.keras")  # Keras insists on the ending
        try:
            model.save(whole)
            whole.replace(part)
        finally:
            whole.unlink(missing_ok=True)
    with aside(folder / "model.json") as part:
        part.write_text(text, encoding="utf-8")


def load(folder: Path) -> Model:
    """Read a model folder.

    Raises:
        CoverslipError: the folder is missing, is not a model folder, or was written by a newer
            version.
    """
    path = Path(folder) / "model.json"
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CoverslipError(
            f"{folder}: not a model folder ({error.strerror}: model.json): "
            "give the folder `model` of a finished training"
        ) from error
    except ValueError as error:
        raise CoverslipError(f"{path}: not JSON ({error}): train anew") from error
    return Model(Path(folder), info)


def _network(model: Model) -> Predict:
    """Return the network of a folder as a function of uint8 tiles that gives probabilities."""
    import keras

    path = model.folder / "model.keras"
    try:
        network = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise CoverslipError(f"{path}: cannot be loaded ({reason}): train anew") from error
    activation = "sigmoid" if model.info["outputs"] == 1 else "softmax"
    probabilities = keras.layers.Activation(activation, dtype="float32")(network.output)
    whole = keras.Model(network.input, probabilities)

    def predict(tiles: np.ndarray) -> np.ndarray:
        return whole.predict_on_batch(
            preprocess.batch(tiles, model.preprocessing, model.info["fitted"])
        )

    return predict


KINDS: dict[str, Callable[[Model], Predict]] = {"network": _network}
"""What a folder may hold: from the name in `model.json` to what predicts tiles."""


class Model:
    """A trained model as read from its folder.

    Attributes:
        folder: where it lies.
        info: `model.json`.
        preprocessing: the preprocessing section that it was trained with.
    """

    def __init__(self, folder: Path, info: Any) -> None:
        path = folder / "model.json"
        if not isinstance(info, dict) or not isinstance(info.get("format"), int):
            raise CoverslipError(
                f"{path}: not written by coverslip: give the folder `model` of a finished training"
            )
        if info["format"] > FORMAT:
            raise CoverslipError(
                f"{path}: format {info['format']} is newer than this coverslip "
                f"(format {FORMAT}): update coverslip"
            )
        missing = [name for name in (*REQUIRED, "outputs") if name not in info]
        if missing or info.get("kind") not in KINDS:
            raise CoverslipError(
                f"{path}: {'no ' + missing[0] if missing else 'unknown kind of model'}: "
                "update coverslip or train anew"
            )
        try:
            self.preprocessing = Preprocessing(**info["preprocessing"])
        except (ValidationError, TypeError) as error:
            raise CoverslipError(
                f"{path}: its preprocessing is not known to this coverslip: train anew"
            ) from error
        self.folder = folder
        self.info: dict[str, Any] = info
        self._predict: Predict | None = None

    @property
    def threshold(self) -> float:
        """Probability of foreground, 0..1, from which on a pixel is foreground."""
        return float(self.info["threshold"])

    @property
    def tile(self) -> tuple[int, int]:
        """Height and width in pixels that the model works at."""
        p = self.preprocessing
        return p.resize or (p.patch, p.patch)

    def predict(
        self,
        images: Iterable[np.ndarray],
        resolution: str = "native",
        overlap: float = 0.25,
        flips: bool = False,
        batch: int | None = None,
    ) -> Iterator[np.ndarray]:
        """Predict pictures one after the other, in bounded memory.

        A model that resizes predicts each picture in one piece; others go over it in tiles.

        Args:
            images: HxW or HxWxC as `preprocess.picture` reads them, any sizes.
            resolution: `native`: the size of each picture (linear interpolation, area average
                where that is smaller); `network`: the size the model resizes to.
            overlap: share of a tile that its neighbour covers too.
            flips: average over flips and turns, see `tiles.predict_stream`.
            batch: tiles a batch; without it as many as make about `BATCH_PIXELS`.

        Yields:
            float32 HxWxK probabilities, 0..1: K = 1 is foreground, more sum to 1 and begin with
            background.

        Raises:
            CoverslipError: a picture that `preprocess.picture` does not read, or a network that
                cannot be loaded.
        """
        if self._predict is None:
            self._predict = KINDS[self.info["kind"]](self)
        size = self.preprocessing.resize
        sizes: list[tuple[int, int]] = []

        def seen() -> Iterator[np.ndarray]:
            for image in images:
                sizes.append(image.shape[:2])
                pixels = preprocess.picture(image, self.preprocessing)
                yield pixels if size is None else preprocess.resize_image(pixels, size)

        batch = batch or max(1, BATCH_PIXELS // (self.tile[0] * self.tile[1]))
        for answer in predict_stream(self._predict, seen(), self.tile, overlap, batch, flips):
            native = sizes.pop(0)
            if size is not None and resolution == "native":
                answer = preprocess.resize_image(answer, native)
            yield answer


def foreground(probabilities: np.ndarray) -> np.ndarray:
    """Probability of foreground, float32 HxW: the only channel, or 1 - background.

    Args:
        probabilities: float32 HxWxK as `Model.predict` gives them.
    """
    if probabilities.shape[-1] == 1:
        return probabilities[..., 0]
    return np.float32(1) - probabilities[..., 0]


def class_map(probabilities: np.ndarray, threshold: float) -> np.ndarray:
    """Class of each pixel, uint8 HxW, 0 is background.

    With one foreground class by the threshold on its probability, with more the most probable.

    Args:
        probabilities: float32 HxWxK as `Model.predict` gives them.
        threshold: probability of foreground from which on a pixel is foreground.
    """
    if probabilities.shape[-1] <= 2:
        return (foreground(probabilities) >= threshold).astype(np.uint8)
    return probabilities.argmax(axis=-1).astype(np.uint8)
