"""The model folder: all that predicting needs, whatever the model is.

A folder has `model.keras` (the network, giving logits), `model.onnx` (the same network, giving
probabilities, for prediction without Keras; see `coverslip.models.export_onnx`), or both, maybe
`model.int8.onnx` (see `coverslip.training.quantize`), and `model.json`, which contains:

- `format`: number of this layout; `kind`: what the model is, see `KINDS`;
- `classes`: names, `background` first; `num_classes`: output channels; `head`: what they mean, see
  `coverslip.models.heads`;
- `preprocessing`: the section of the configuration; `fitted`: its numbers, see `preprocess.fit`;
- `threshold`: probability from which a pixel is foreground, tuned on validation;
- `temperature`: for the head `classification`, in place of a threshold, see
  `coverslip.models.heads`;
- `instances`: for the head `instance`, how objects are made, see `coverslip.models.watershed`;
- `large_tiles`: true for a network that sees farther than a patch and was found to predict as well
  in larger tiles, which are faster, see `coverslip.models.tiling`;
- `diameter_px`: of a typical object of the training images, see `coverslip.models.scale`;
- `confidence`: how probable it is that an object is right, see `coverslip.models.confidence`;
- `members`: for the kind `ensemble`, which has no `model.keras`, see `coverslip.models.ensemble`;
- and whatever else training records: architecture, digests, licence of the data.

Reading a folder needs no Keras; it is imported where a network without `model.onnx` predicts.
"""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from coverslip.config.sections import Preprocessing
from coverslip.errors import CoverslipError
from coverslip.files import atomic_write
from coverslip.imaging.labels import components
from coverslip.imaging.rows import Rows
from coverslip.models import ensemble, heads, kmeans, preprocessing
from coverslip.models.confidence import object_confidence
from coverslip.models.folder import ENSEMBLE, member_folders, read_info
from coverslip.models.model_info import check_info
from coverslip.models.onnx_network import FILE as ONNX_FILE
from coverslip.models.onnx_network import QUANTIZED, OnnxNetwork
from coverslip.models.scale import middle, scale_factor, typical_diameter
from coverslip.models.tiles import (
    HasSizeDivisor,
    Predict,
    apply_symmetry,
    predict_stream,
    predict_tiled,
)
from coverslip.models.tiling import GRAINS, size_divisor_of
from coverslip.models.watershed import WatershedParams, average_scales, grow, segment
from coverslip.runtime import oom


def predict_classes(
    predict: Predict, images: Iterable[np.ndarray], batch: int, tta: bool
) -> Iterator[np.ndarray]:
    """Answers of a network to images of one size, one after the other.

    Args:
        predict: from N x height x width x C to N x K.
        images: HxWxC each, of one dtype and size.
        batch: images a call of `predict` at most.
        tta: average over the eight flips and turns of an image (four where height and width
            differ).

    Yields:
        float32 (K,), in the order of the images.
    """
    waiting: list[np.ndarray] = []
    visits = 1
    for image in images:
        square = image.shape[0] == image.shape[1]
        ways = (tuple(range(8)) if square else (0, 2, 4, 6)) if tta else (0,)
        visits = len(ways)
        waiting += [apply_symmetry(image, way) for way in ways]
        while len(waiting) >= batch * visits:
            yield from _average_visits(predict, waiting[: batch * visits], batch, visits)
            waiting = waiting[batch * visits :]
    if waiting:
        yield from _average_visits(predict, waiting, batch, visits)


def _average_visits(
    predict: Predict, images: list[np.ndarray], batch: int, visits: int
) -> Iterator[np.ndarray]:
    """Yield the mean answer over each `visits` images in a row."""
    starts = range(0, len(images), batch)
    found = [np.asarray(predict(np.stack(images[at : at + batch])), np.float32) for at in starts]
    whole = np.concatenate(found)
    yield from whole.reshape(-1, visits, whole.shape[1]).mean(axis=1)


# --- The model folder: all that predicting needs, whatever the model is

FORMAT = 2

REQUIRED = ("classes", "preprocessing", "fitted", "threshold")

BATCH_PIXELS = 2**19
"""Pixels a batch of patches, about: 8 of 256x256, 32 of 128x128. On a CPU fewer are slower (up to
twice with single tiles of 128x128) and more are no faster."""


def save(folder: Path, model: Any, info: dict[str, Any]) -> None:
    """Write a network and what belongs to it; other files in the folder stay.

    Each file is written atomically, `model.json` last: where it exists, the folder is complete.

    Args:
        folder: the model folder; made if need be.
        model: `keras.Model` from HxWxC to HxWxK logits.
        info: values for `model.json`, JSON types, with at least `classes`, `preprocessing`
            (a `Preprocessing` or its fields), `fitted` and `threshold`; `format`, `kind` and
            `num_classes` are added.

    Raises:
        ValueError: a value is missing.
    """
    missing = [name for name in REQUIRED if name not in info]
    if missing:
        raise ValueError(f"model.json needs {', '.join(missing)}")
    facts = {"format": FORMAT, "kind": "network", **info}
    facts["num_classes"] = int(model.output_shape[-1])
    if isinstance(facts["preprocessing"], Preprocessing):
        facts["preprocessing"] = facts["preprocessing"].model_dump(mode="json")
    text = json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("model.json", ONNX_FILE, QUANTIZED):  # they must not describe another network
        (folder / name).unlink(missing_ok=True)
    with atomic_write(folder / "model.keras") as part:
        whole = part.with_name(f"{part.name}.keras")  # Keras insists on the ending
        try:
            model.save(whole)
            whole.replace(part)
        finally:
            whole.unlink(missing_ok=True)
    with atomic_write(folder / "model.json") as part:
        part.write_text(text, encoding="utf-8")


Runtime = Literal["auto", "float32", "keras"]


def load(
    folder: Path,
    policy: str | None = None,
    runtime: Runtime = "auto",
    threads: int | None = None,
) -> Model:
    """Read a model folder.

    Args:
        folder: the model folder.
        policy, runtime, threads: see `Model`.

    Raises:
        CoverslipError: the folder is missing, is not a model folder, or was written by a newer
            version.
    """
    return Model(Path(folder), read_info(folder), policy, runtime, threads)


def read_network(model: Model) -> Any:
    """Return the `keras.Model` of a folder, giving logits.

    Raises:
        CoverslipError: it cannot be loaded, or holds code that would run.
    """
    try:
        import keras
    except ImportError as error:
        raise CoverslipError(
            f"{model.folder}: has no {ONNX_FILE}, and Keras is not installed: export the network "
            f"where it is (`python -m coverslip.models.export_onnx {model.folder}`), or "
            "`pip install 'coverslip[train]'`"
        ) from error

    path = model.folder / "model.keras"
    try:
        network = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises almost anything on damaged and foreign files
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        if path.is_file() and not zipfile.is_zipfile(path):
            reason = "truncated or damaged"
        raise CoverslipError(f"{path}: cannot be loaded ({reason}): train again") from error
    if wrong := _misfit(network, model):
        raise CoverslipError(f"{path}: {wrong}: it belongs to another model.json, or is damaged")
    return network


def _misfit(network: Any, model: Model) -> str:
    """Return how a network and `model.json` do not go together; empty where they do."""
    import keras

    if not isinstance(network, keras.Model) or isinstance(network, keras.Sequential):
        return f"is a {type(network).__name__}, and no functional network"
    height, width = model.tile
    channels_in, outputs = preprocessing.channels(model.preprocessing), model.info["num_classes"]
    expected = (outputs,) if model.head == "classification" else (height, width, outputs)
    try:
        found = network.compute_output_shape((1, height, width, channels_in))
        shape = tuple(network.input_shape)
    except Exception as error:  # of foreign networks, anything
        return f"takes no images of {height}x{width}x{channels_in} ({type(error).__name__})"
    if len(shape) != 4 or shape[3] != channels_in:
        return f"takes {shape}, and not {channels_in} channels of images"
    if any(have not in (None, side) for have, side in zip(shape[1:3], model.tile, strict=True)):
        return f"takes {shape}, and not images of {height}x{width}"
    if tuple(found)[1:] != expected:
        return f"gives {tuple(found)[1:]}, and not {expected}"
    if not all(np.isfinite(weights).all() for weights in network.get_weights()):
        return "has weights that are no numbers"
    return ""


def _network(model: Model) -> Predict:
    """Return the network of a folder as a function of uint8 tiles that gives probabilities, or
    the logits of classes."""
    if uses_onnx(model):
        return _onnx_network(model)
    network = read_network(model)
    classes = model.head == "classification"
    resized = model.preprocessing.resize is not None
    grain = None if classes or resized else size_divisor_of(network, model.tile)
    if model.policy is not None:
        from coverslip.models.fold_batchnorm import fold_batchnorm as hasten

        network = hasten(network, model.policy)
    whole = network if classes else heads.probabilities(network, model.head)
    most: Counter[tuple[int, ...]] = Counter()

    def predict(tiles: np.ndarray) -> np.ndarray:
        # Keras compiles for each shape: fewer tiles than before are filled up with zeros.
        count, shape = len(tiles), tiles.shape[1:]
        most[shape] = max(most[shape], count)
        full = np.concatenate([tiles, np.zeros((most[shape] - count, *shape), tiles.dtype)])
        seen = preprocessing.batch(full, model.preprocessing, model.info["fitted"])
        return np.asarray(whole.predict_on_batch(seen))[:count]

    return HasSizeDivisor(predict, grain)


def uses_onnx(model: Model) -> bool:
    """Return whether a model of the kind `network` predicts by ONNX Runtime."""
    exported = (model.folder / ONNX_FILE).is_file()
    return model.runtime != "keras" and model.policy is None and exported


def _onnx_network(model: Model) -> Predict:
    """Return what `_network` does, by ONNX Runtime."""
    file = model.folder / QUANTIZED
    if model.runtime != "auto" or not file.is_file():
        file = model.folder / ONNX_FILE
    network = OnnxNetwork(file, model.info, model.threads)
    if model.head != "classification":
        return HasSizeDivisor(network.predict, network.size_divisor)
    smallest = np.finfo(np.float32).tiny

    def logits(tiles: np.ndarray) -> np.ndarray:
        # Logits, but for a constant that no softmax depends on.
        return model.temperature * np.log(np.maximum(network.predict(tiles), smallest))

    return logits


def needs_keras(model: Model) -> bool:
    """Return whether a model predicts by Keras, or one of its members does."""
    if model.info["kind"] == ENSEMBLE:
        members = member_folders(model.folder, model.info)
        return any(needs_keras(load(each, model.policy, model.runtime)) for each in members)
    return model.info["kind"] == "network" and not uses_onnx(model)


def _ensemble(model: Model) -> Predict:
    def member(folder: Path) -> Model:
        return load(folder, model.policy, model.runtime, model.threads)

    return ensemble.ensemble_predictor(model, member, _network)


def _tool(model: Model) -> Predict:
    raise CoverslipError(f"{model.folder}: label images of a tool: apply the tool itself")


KINDS: dict[str, Callable[[Model], Predict]] = {
    "network": _network,
    "kmeans": kmeans.kmeans_predictor,
    "tool": _tool,
    ENSEMBLE: _ensemble,
}
"""What a folder may hold: from the name in `model.json` to what predicts tiles."""

WHOLE = frozenset({"kmeans"})
"""Kinds that see an image whole, one at a time, instead of tile by tile."""


class Model:
    """A trained model as read from its folder.

    Attributes:
        folder: the model folder.
        info: `model.json`.
        preprocessing: the preprocessing section that it was trained with.
        policy: dtype policy to predict fast in, by Keras and a network made for speed
            (`coverslip.models.fold_batchnorm`); none: by the network as it was trained, in float32.
        runtime: `auto`: by ONNX Runtime where the folder has `model.onnx`, in 8 bits where it has
            `model.int8.onnx` as well, else by Keras; `float32`: never in 8 bits; `keras`: by Keras.
        threads: CPU threads of ONNX Runtime; none: one for each core.
        grain: once `predictor` is called, what sides of larger tiles are multiples of; see
            `coverslip.models.tiling`.
    """

    def __init__(
        self,
        folder: Path,
        info: Any,
        policy: str | None = None,
        runtime: Runtime = "auto",
        threads: int | None = None,
    ) -> None:
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
        if info["format"] < FORMAT:
            raise CoverslipError(
                f"{path}: format {info['format']} is of an earlier coverslip (now format "
                f"{FORMAT}): train again, or use the version that wrote it"
            )
        facts = check_info(info, path)
        if facts.kind not in KINDS:
            raise CoverslipError(f"{path}: unknown kind of model: update coverslip or train again")
        self.preprocessing = facts.preprocessing
        self._facts = facts
        self.folder = folder
        self.info: dict[str, Any] = info
        self._fitted: dict[str, Any] = info["fitted"]
        self.policy = policy
        self.runtime = runtime
        self.threads = threads
        self._predict: Predict | None = None
        self.grain: int | None = None
        if info["kind"] == "kmeans":
            kmeans.read_kmeans(self)

    @property
    def threshold(self) -> float:
        """Probability of foreground, 0..1, from which on a pixel is foreground."""
        if self._facts.threshold is None:
            raise CoverslipError(f"{self.folder}: classifies images, and has no threshold")
        return self._facts.threshold

    @property
    def head(self) -> str:
        """What the outputs mean: `semantic`, `instance` or `classification`, see `heads`."""
        return self._facts.head

    def mask(self, probabilities: np.ndarray) -> np.ndarray:
        """Class of each pixel, uint8 HxW, see `channels.class_map`.

        Raises CoverslipError where the model knows only the class of a whole image.
        """
        if self.head == "classification":
            raise CoverslipError(
                f"{self.folder}: classifies images and predicts no masks: give a model of "
                "a segmentation"
            )
        return heads.class_map(probabilities, self.threshold, self.head)

    def objects(self, probabilities: np.ndarray) -> np.ndarray:
        """Objects as an int32 label map HxW, 0 is background, numbered without gaps.

        Those of instance segmentation, or the 8-connected regions of the mask.

        Args:
            probabilities: float32 HxWxK as `predict` gives them.
        """
        if self.head == heads.INSTANCES:
            return segment(probabilities, self.rules)
        return components(self.mask(probabilities) > 0)

    def objects_of_any_size(self, probabilities: np.ndarray) -> np.ndarray:
        """Return `objects` before those that are too small for the model are left out."""
        if self.head == heads.INSTANCES:
            return grow(probabilities, self.rules.threshold, self.rules.seed)
        return components(self.mask(probabilities) > 0)

    def smallest_object(self, areas: np.ndarray) -> int:
        """Return how many pixels an object has at least; see `WatershedParams.smallest`.

        Args:
            areas: of all objects of the image, integers (N,).
        """
        return self.rules.smallest(areas) if self.head == heads.INSTANCES else 0

    def object_confidence(self, probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Return the confidence of each object, 0..1; see `coverslip.models.confidence`.

        Args:
            probabilities: float32 HxWxK as `predict` gives them.
            labels: the objects, int32 HxW, numbered from 1 without gaps.
        """
        return object_confidence(heads.foreground(probabilities), labels, self._facts.confidence)

    @property
    def rules(self) -> WatershedParams:
        """How objects are made, of a model with the head `instance`."""
        if self._facts.instances is None:
            raise CoverslipError(f"{self.folder}: does not separate objects")
        return WatershedParams(**self._facts.instances.model_dump())

    @property
    def temperature(self) -> float:
        """What the logits of classes are divided by."""
        return self._facts.temperature

    def scale_as(self, subset: str) -> None:
        """Scale images by the numbers of a subset, where training fitted it on its own.

        See `preprocessing.fit_scaling_on: each_subset`; other subsets have those of training.
        """
        own = self._fitted.get(subset) if subset == "test" else None
        self.info["fitted"] = own or self._fitted

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
        tta: bool = False,
        batch: int | None = None,
        tta_scales: Sequence[float] = (1.0,),
    ) -> Iterator[np.ndarray]:
        """Predict images one after the other, in bounded memory.

        A model that resizes predicts each image in one piece and at one scale, as do those of
        the kinds `WHOLE`, which know neither overlaps nor flips; others go over it in tiles.

        Args:
            images: HxW or HxWxC as `preprocess.image` reads them, any sizes.
            resolution: `native`: the size of each image (linear interpolation, area average
                where that is smaller); `network`: the size the model resizes to.
            overlap: share of a patch of the training that neighbouring tiles both cover; without
                any, tiles are such patches, side by side.
            tta: average over flips and turns, see `tiles.predict_stream`.
            batch: patches a batch; without it as many as make about `BATCH_PIXELS`.
            tta_scales: factors, above 0, that an image is resized by; the answers are resized back
                and averaged; for the head `instance` see `watershed.average_scales`. A model with
                `preprocessing.rescale_objects` has one factor of its own for each image.

        Yields:
            float32 HxWxK probabilities, 0..1: K = 1 is foreground, more sum to 1 and begin with
            background; with the head `instance` the last of four is the depth. With the head
            `classification` float32 (K,), one probability a class.

        Raises:
            CoverslipError: an image that `preprocess.image` does not read, or a network that
                cannot be loaded.
        """
        if self.head == "classification":
            for logits in self.logits(images, tta, batch):
                yield heads.calibrated_probabilities(logits, self.temperature).astype(np.float32)
            return
        predict = self.predictor()
        if self.info["kind"] in WHOLE:
            for image in images:
                yield predict(preprocessing.to_input(image, self.preprocessing)[np.newaxis])[0]
            return
        size = self.preprocessing.resize
        rescale = self.rescales
        factors = (1.0,) if size or rescale else tta_scales
        sizes: list[tuple[int, int]] = []

        def seen() -> Iterator[np.ndarray]:
            for image in images:
                sizes.append(image.shape[:2])
                pixels = preprocessing.to_input(image, self.preprocessing)
                for scale in (self.scale_of(image),) if rescale else factors:
                    shape = size or _scaled_size(image, scale)
                    yield preprocessing.resize_image(
                        pixels, shape, self.preprocessing.resize_filter
                    )

        batch = batch or self._batch()
        found = predict_stream(predict, seen(), self.tile, overlap, batch, tta, self.grain)
        for answer in found:
            native = sizes.pop(0)
            shape = size if size and resolution == "network" else native
            more = islice(found, len(factors) - 1)
            parts = [preprocessing.resize_image(part, shape) for part in (answer, *more)]
            yield self._joined(parts)

    def open_image(
        self, source: Rows, overlap: float = 0.25, tta: bool = False
    ) -> Callable[[np.ndarray, int, int], np.ndarray]:
        """Take what preprocessing needs from a whole image, to predict it window by window.

        Args:
            source: uint8 or uint16, HxWxC.
            overlap, tta: see `predict`.

        Returns:
            A function of the pixels of a window and of the row and column of its first pixel,
            which gives float32 hxwxK as `predict` does. Of an image that is one window it gives
            what `predict` gives. A model that resizes takes only such windows.

        Raises:
            CoverslipError: see `predict`.
        """
        size = self.preprocessing.resize
        pre = preprocessing.ImagePreprocessor(source, self.preprocessing)
        predict = self.predictor()
        if self.info["kind"] in WHOLE:
            return kmeans.ForegroundWindows(self, pre.apply, pre.rows(source))

        factor = 1.0
        if self.rescales:
            rows, columns = middle(source.shape)
            pixels = source.rows(rows.start, rows.stop)[:, columns]
            factor = self._scale_of(pre.apply(pixels, rows.start, columns.start))

        def window(pixels: np.ndarray, row: int, column: int) -> np.ndarray:
            seen = preprocessing.resize_image(
                pre.apply(pixels, row, column),
                size or _scaled_size(pixels, factor),
                self.preprocessing.resize_filter,
            )
            found = predict_tiled(predict, seen, self.tile, overlap, self._batch(), tta, self.grain)
            return preprocessing.resize_image(found, pixels.shape[:2])

        return window

    def _batch(self) -> int:
        """Return how many patches are predicted at once."""
        return max(1, BATCH_PIXELS // (self.tile[0] * self.tile[1]))

    @property
    def rescales(self) -> bool:
        """Whether images are resized by `scale_of` before they are predicted."""
        return self.preprocessing.rescale_objects and self._facts.diameter_px is not None

    def scale_of(self, image: np.ndarray) -> float:
        """Return what an image is resized by, so that its objects are as large as in training.

        The middle of the image is predicted as it is, and its typical object measured; see
        `coverslip.models.scale`.

        Args:
            image: HxW or HxWxC, uint8 or uint16.
        """
        if not self.rescales:
            return 1.0
        pixels = preprocessing.to_input(image, self.preprocessing)
        return self._scale_of(pixels[middle(pixels.shape)])

    def _scale_of(self, seen: np.ndarray) -> float:
        predict, wanted = self.predictor(), self._facts.diameter_px
        found = predict_tiled(predict, seen, self.tile, 0.0, self._batch(), False, self.grain)
        return (
            1.0 if wanted is None else scale_factor(typical_diameter(self.objects(found)), wanted)
        )

    def _joined(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        if len(parts) == 1:
            return parts[0]
        return average_scales(parts) if self.head == heads.INSTANCES else np.mean(parts, axis=0)

    def logits(
        self, images: Iterable[np.ndarray], tta: bool = False, batch: int | None = None
    ) -> Iterator[np.ndarray]:
        """Yield the logits of the classes of images, float32 (K,), with the head `classification`.

        Arguments and errors as of `predict`; with `tta` the mean over flips and turns.
        """
        size, method = self.preprocessing.resize, self.preprocessing.resize_filter
        pixels = (preprocessing.to_input(image, self.preprocessing) for image in images)
        seen = (preprocessing.resize_image(x, size, method) if size else x for x in pixels)
        batch = batch or self._batch()
        for found in predict_classes(self.predictor(), seen, batch, tta):
            several = self.info["kind"] == ENSEMBLE
            yield ensemble.class_logits(found, self.info["num_classes"]) if several else found

    def predictor(self) -> Predict:
        """Return what predicts tiles, as many at once as memory allows."""
        if self._predict is None:
            found = KINDS[self.info["kind"]](self)
            self.grain = found.grain if isinstance(found, HasSizeDivisor) else None
            if self._facts.large_tiles and self.grain is None:
                self.grain = next((g for g in GRAINS if all(s % g == 0 for s in self.tile)), None)
            self._predict = oom.AdaptiveBatchPredictor(found)
        return self._predict


def _scaled_size(image: np.ndarray, scale: float) -> tuple[int, int]:
    height, width = (max(1, round(scale * length)) for length in image.shape[:2])
    return height, width
