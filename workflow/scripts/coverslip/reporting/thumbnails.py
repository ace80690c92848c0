"""Small copies of images with their predicted contours, as data URIs for the pages."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import ExitStack

import cv2
import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb
from skimage.segmentation import find_boundaries

from coverslip.data.image_store import ImageStore
from coverslip.evaluation.predictions import Predictions
from coverslip.evaluation.runs import run_name
from coverslip.imaging.intensity import stretch
from coverslip.reporting.figures.style import ORANGE
from coverslip.reporting.results import StudyInputs


def thumbnails(study: StudyInputs, rows: pd.DataFrame, longest: int) -> Iterator[dict[str, str]]:
    """Yield `image` and `contours` (empty for classes) of each row of `images.csv`.

    Args:
        study: its images, and its predictions, are read from its paths.
        rows: with `id`, `fold` and `seed`.
        longest: height or width in pixels that is not exceeded.
    """
    store_path = study.report.parents[1] / "images.h5"
    if not store_path.is_file():
        return
    with ExitStack() as stack:
        store = stack.enter_context(ImageStore(store_path))
        opened: dict[str, Predictions] = {}
        for row in rows.itertuples():
            image = stretch(store.image(row.id))
            size = _size(image.shape[:2], longest)
            contours = ""
            if study.task != "classification":
                run = run_name(int(row.fold), int(row.seed))
                if run not in opened:
                    paths = list((study.metrics.parent / run / "predictions").glob("*.h5"))
                    opened[run] = stack.enter_context(Predictions(paths))
                contours = _contours(opened[run], row.id, size)
            small = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
            if small.ndim == 3:
                small = small[:, :, ::-1]
            yield {
                "image": data_uri(".jpg", small, cv2.IMWRITE_JPEG_QUALITY, 80),
                "contours": contours,
            }


def _size(shape: tuple[int, ...], longest: int) -> tuple[int, int]:
    scale = min(1.0, longest / max(shape)) if max(shape) > longest else longest // max(shape)
    height, width = (max(1, round(length * scale)) for length in shape)
    return height, width


def _contours(predictions: Predictions, id: str, size: tuple[int, int]) -> str:
    """Return the contours of the predicted objects, orange on nothing, as a PNG."""
    label = predictions.label(id).astype(np.float64)
    if predictions.has_instances:
        label = predictions.instances(id, label.shape).astype(np.float64)
    label = cv2.resize(label, size[::-1], interpolation=cv2.INTER_NEAREST).astype(np.int32)
    drawn = np.zeros((*size, 4), np.uint8)
    colour = np.rint(255 * np.asarray(to_rgb(ORANGE))).astype(np.uint8)[::-1]
    drawn[find_boundaries(label, mode="inner")] = (*colour, 255)
    return data_uri(".png", drawn)


def data_uri(ending: str, pixels: np.ndarray, *settings: int) -> str:
    """Return pixels, uint8 in OpenCV's order of channels, as a data URI of `.jpg` or `.png`."""
    _, data = cv2.imencode(ending, np.ascontiguousarray(pixels), list(settings))
    kind = {".jpg": "jpeg", ".png": "png"}[ending]
    return f"data:image/{kind};base64,{base64.b64encode(data.tobytes()).decode('ascii')}"
