"""Predicting an image that is read row by row."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coverslip.imaging.rows import Rows, Unfit
from coverslip.measure.kmeans_rows import foreground_rows
from coverslip.measure.preprocess_rows import prepared
from coverslip.models.model import BATCH_PIXELS, WHOLE, Model
from coverslip.models.tiles import predict_rows


def answers(model: Model, source: Rows, overlap: float, tta: bool) -> Iterator[np.ndarray]:
    """What a model says of a large image: the numbers that `Model.predict` gives, band by band.

    Args:
        model: of a segmentation, at native size.
        source: the image, uint8 or uint16, HxWxC.
        overlap: share of a patch of the training that neighbouring tiles both cover.
        tta: average over flips and turns.

    Yields:
        float32 hxWxK, from the top on; see `Model.predict`.

    Raises:
        Unfit: the model brings images to a size of its own.
        CoverslipError: it cannot be loaded.
    """
    if model.preprocessing.resize is not None:
        height, width = model.preprocessing.resize
        raise Unfit(
            f"an image of {source.shape[0]}x{source.shape[1]} pixels is too large for a model "
            f"that brings images to {height}x{width}: give a model that works at native size, or "
            "cut the image into smaller ones"
        )
    pixels = prepared(source, model.preprocessing)
    if model.info["kind"] in WHOLE:
        yield from foreground_rows(model, pixels)
        return
    batch = max(1, BATCH_PIXELS // (model.tile[0] * model.tile[1]))
    predict = model.predictor()  # tells the grain
    yield from predict_rows(predict, pixels, model.tile, overlap, batch, tta, model.grain)
