"""Models for arrays in memory, without Snakemake: what `coverslip.load_model` returns."""

from __future__ import annotations

import tempfile
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from coverslip.errors import CoverslipError
from coverslip.measure.blocks import label_image
from coverslip.measure.regionprops import object_table
from coverslip.models.folder import SHIPPED, find_model
from coverslip.models.model import Model, load


class LoadedModel:
    """A model that is applied to arrays; see `load_model`.

    Attributes:
        folder: the model folder.
        info: `model.json`: architecture, preprocessing, licence of the data, and more.
        classes: names of the classes.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.folder = model.folder
        self.info: dict[str, Any] = model.info
        self.classes = [str(name) for name in model.info["classes"]]

    def segment(self, image: np.ndarray, min_area_px: int = 0, tta: bool = False) -> np.ndarray:
        """Return the label image of the objects of an image.

        Images of any size are segmented block by block, as `measure` does.

        Args:
            image: uint8, uint16 or bool, HxW (grey), HxWx3 (RGB) or HxWx4 (RGB with transparency,
                which is dropped).
            min_area_px: objects of fewer pixels are left out.
            tta: average over the eight flips and turns; takes eight times longer.

        Returns:
            int32 HxW: 0 is background, objects are 1, 2, ... without gaps.

        Raises:
            CoverslipError: the image has another type or shape, or the model classifies images.

        Examples:
            >>> from coverslip import load_model
            >>> image = np.zeros((64, 64), np.uint8)
            >>> load_model("nuclei").segment(image).max()
            np.int32(0)
        """
        if self._model.head == "classification":
            raise CoverslipError(f"{self.folder}: classifies images: use `classify`")
        return label_image(self._model, np.asarray(image), min_area_px, tta)

    def predict(self, image: np.ndarray, tta: bool = False) -> np.ndarray:
        """Return the probabilities of the pixels of an image, float32 HxWxK, 0..1.

        One channel is the probability of foreground; more begin with that of background. A model
        that separates objects has four: background, interior, border, and the normalized distance
        from the edge of the object.

        Args:
            image, tta: see `segment`.
        """
        if self._model.head == "classification":
            raise CoverslipError(f"{self.folder}: classifies images: use `classify`")
        return next(self._model.predict([np.asarray(image)], tta=tta))

    def classify(self, image: np.ndarray, tta: bool = False) -> dict[str, float]:
        """Return the probability of each class of an image, 0..1, by its name.

        Args:
            image, tta: see `segment`.

        Raises:
            CoverslipError: the model segments images.
        """
        if self._model.head != "classification":
            raise CoverslipError(f"{self.folder}: segments images: use `segment`")
        (found,) = self._model.predict([np.asarray(image)], tta=tta)
        return dict(zip(self.classes, found.tolist(), strict=True))

    def measure(
        self,
        image: np.ndarray,
        labels: np.ndarray | None = None,
        pixel_size_um: float | None = None,
    ) -> pd.DataFrame:
        """Return one row per object: area, place, shape and intensity.

        The columns are those of `objects.csv` of `measure` (docs/output.md).

        Args:
            image: see `segment`.
            labels: what `segment` returned, or a corrected version of it; none: it is called.
            pixel_size_um: height and width of a pixel in micrometres.
        """
        array = np.asarray(image)
        labels = self.segment(array) if labels is None else labels
        size = None if pixel_size_um is None else (pixel_size_um, pixel_size_um)
        pixels = array if array.ndim == 3 else array[:, :, np.newaxis]
        return object_table(labels, pixels, size)


def load_model(source: str | Path = SHIPPED, threads: int | None = None) -> LoadedModel:
    """Load a model, to apply it to arrays.

    Args:
        source: the name of a model that comes with coverslip (`nuclei`, `confluency`), a model
            folder (`results/studies/STUDY/fold0_seed1/model`), or a zip of one.
        threads: CPU threads; none: one for each core.

    Raises:
        CoverslipError: there is no such model, or it cannot be read.

    Examples:
        >>> from coverslip import load_model
        >>> model = load_model("nuclei")
        >>> model.classes
        ['background', 'foreground']
    """
    scratch = tempfile.TemporaryDirectory(prefix="coverslip-")
    loaded = LoadedModel(load(find_model(source, Path(scratch.name)), threads=threads))
    # A zip is unpacked for as long as the model is used.
    weakref.finalize(loaded, scratch.cleanup)
    return loaded
