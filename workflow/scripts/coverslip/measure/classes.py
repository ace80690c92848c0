"""Own images, or the objects in them, by a model of classes.

A model of classes sees whole images at the size that it was trained at. So an image of another size
is resized to it as a whole, as training did; an object is cut out with its surroundings, see
`object_crops`. Probabilities are calibrated by the temperature of the model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd

from coverslip.config.sections import Measure
from coverslip.data.readers.planes import Plane, failed
from coverslip.errors import CoverslipError
from coverslip.files import atomic_write
from coverslip.imaging.intensity import stretch
from coverslip.imaging.overlay import encoded
from coverslip.measure.input_folder import list_images, own_results, printable_name
from coverslip.measure.planes import measured_planes
from coverslip.models.model import Model
from coverslip.pipeline import folder_inventory

BATCH = 32
"""Images that are in memory and predicted at once."""

AROUND = 1.25
"""Side of the crop of an object over the longer side of its bounding box, at least."""

UNSURE = 0.7
"""Images and objects of a lower probability are named unsure."""

THUMBNAIL = 128
"""Height and width of an image on a contact sheet in pixels."""

SHEET = (10, 8)
"""Rows and columns of a contact sheet."""

GAP = 4

DIGITS = 4


class ClassifiedPlane(NamedTuple):
    """A plane, and what a model of classes answers to it."""

    row: dict[str, Any]
    """The columns `image`, `page`, `plane`, `class`, `class_probability`, `probability_<class>`,
    `note`, `error`."""
    thumbnail: np.ndarray | None
    """uint8 HxWx3, RGB, height and width `THUMBNAIL`; none of a plane that has no image."""


def class_columns(classes: Sequence[str]) -> list[str]:
    """Return the columns of `predicted_classes.csv` of own images."""
    chances = [f"probability_{name}" for name in classes]
    return ["image", "page", "plane", "class", "class_probability", *chances, "note", "error"]


def classify_folder(
    folder: Path, notes: Path, model: Model, settings: Measure
) -> Iterator[ClassifiedPlane]:
    """Classify the images of a folder, sorted by name; those that cannot be have an error.

    Arguments: see `images.measure`; the model has the head `classification`.
    """
    known = folder_inventory.entries(folder, notes, skip=own_results(folder)) or {}
    names = list_images({name: entry[-1] for name, entry in known.items()})
    planes = (
        (printable_name(name), plane)
        for name in names
        for plane in measured_planes(folder / name, settings)
    )
    while some := list(islice(planes, BATCH)):
        yield from _classify(some, model, settings)


def _classify(
    planes: list[tuple[str, Plane]], model: Model, settings: Measure
) -> Iterator[ClassifiedPlane]:
    images = [plane.image for _, plane in planes if plane.image is not None]
    try:
        answers = iter(list(model.predict(images, tta=settings.tta)))
    except Exception:  # one of them is odd: which one?
        answers = None
    classes = [str(name) for name in model.info["classes"]]
    for name, plane in planes:
        row: dict[str, Any] = {"image": name, "page": plane.page, "plane": plane.plane}
        try:
            if plane.image is None:
                too_large = "larger than `max_in_memory_megapixels`: classify a smaller image"
                raise CoverslipError(plane.error or too_large)
            chances = next(answers or model.predict([plane.image], tta=settings.tta, batch=1))
            if not np.isfinite(chances).all():
                raise CoverslipError("the model answers with what is no number")
        except Exception as error:  # libraries raise almost anything on odd images
            why = failed(error, plane.page, plane.plane, "classified").error
            yield ClassifiedPlane(row | {"error": printable_name(why)}, None)
            continue
        row |= _answer(chances, classes)
        for each, value in zip(classes, chances, strict=True):
            row[f"probability_{each}"] = round(float(value), DIGITS)
        size = plane.image.shape[:2]
        resized = "resized from {}x{} to {}x{} pixels".format(*size, *model.tile)
        notes = (plane.note, "" if size == tuple(model.tile) else resized)
        row["note"] = "; ".join(filter(None, notes))
        yield ClassifiedPlane(row, thumbnail(plane.image))


def _answer(chances: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    best = int(np.argmax(chances))
    return {"class": classes[best], "class_probability": round(float(chances[best]), DIGITS)}


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Return an image for display, uint8 RGB, inside a black square of `THUMBNAIL` pixels.

    Args:
        image: uint8 or uint16, HxWxC.
    """
    shown = stretch(image)
    shown = shown if shown.ndim == 3 else np.repeat(shown[:, :, np.newaxis], 3, axis=2)
    scale = THUMBNAIL / max(shown.shape[:2])
    size = tuple(max(1, round(scale * side)) for side in shown.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    small = cv2.resize(np.ascontiguousarray(shown), size[::-1], interpolation=how)
    square = np.zeros((THUMBNAIL, THUMBNAIL, 3), np.uint8)
    top, left = ((THUMBNAIL - side) // 2 for side in size)
    square[top : top + size[0], left : left + size[1]] = small
    return square


# --- Tables and contact sheets


def write_classes(
    planes: Iterable[ClassifiedPlane], classes: Sequence[str], table: Path, sheets: Path
) -> dict[str, list[Shown]]:
    """Write `predicted_classes.csv`, and a contact sheet per class with unsure images first.

    Args:
        planes: see `classify_folder`.
        classes: labels of the classes.
        table: the CSV.
        sheets: folder of the contact sheets, `<class>.png`.

    Returns:
        The least certain images of each class, as on its contact sheet.
    """
    rows: list[dict[str, Any]] = []
    shown: dict[str, list[Shown]] = {name: [] for name in classes}
    for row, image in planes:
        rows.append(row)
        if image is not None:
            name = f"{row['image']} {row['plane']}".strip()
            of_class = shown[row["class"]]
            of_class.append(Shown(row["class_probability"], name, image))
            of_class.sort(key=lambda each: each[:2])
            del of_class[SHEET[0] * SHEET[1] :]
    found = pd.DataFrame(rows, columns=class_columns(classes))
    with atomic_write(table) as part:
        found.to_csv(part, index=False)
    sheets.mkdir(parents=True, exist_ok=True)
    for name in filter(shown.get, shown):
        sheet = contact_sheet([each.image for each in shown[name]])
        (sheets / f"{file_name(name)}.png").write_bytes(encoded(sheet))
    return shown


class Shown(NamedTuple):
    """An image on a contact sheet."""

    probability: float
    """Of its class."""
    name: str
    image: np.ndarray
    """uint8 HxWx3, RGB, see `thumbnail`."""


def contact_sheet(images: Sequence[np.ndarray]) -> np.ndarray:
    """Return images of one size (uint8 RGB) in rows of `SHEET` columns, on white."""
    from skimage.util import montage  # half a second, and only classes need it

    columns = min(SHEET[1], len(images))
    grid = (-(-len(images) // columns), columns)
    white = (255, 255, 255)
    return montage(np.stack(images), white, grid_shape=grid, padding_width=GAP, channel_axis=-1)


def file_name(name: str) -> str:
    """Return the name of a class as the name of a file."""
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "class"


# --- Objects


def object_crops(
    image: np.ndarray,
    objects: pd.DataFrame,
    size: tuple[int, int],
    origin: tuple[int, int] = (0, 0),
) -> Iterator[np.ndarray]:
    """Yield each object with its surroundings, as a model of classes sees it.

    A square around the centroid, at the resolution of the image: as large as the input of the
    model, or `AROUND` times the bounding box, where that is larger (it is resized then). Beyond the
    border the image is reflected.

    Args:
        image: HxWxC, uint8 or uint16.
        objects: their table, see `regionprops.object_table`.
        size: height and width of the input of the model.
        origin: row and column of the first pixel, where the image is a part of a larger one.
    """
    boxes = objects[["bbox_min_row", "bbox_min_col", "bbox_max_row", "bbox_max_col"]].to_numpy(int)
    centers = objects[["centroid_y_px", "centroid_x_px"]].to_numpy(float) - origin
    for (top, left, bottom, right), (y, x) in zip(boxes, centers, strict=True):
        side = max(*size, int(np.ceil(AROUND * max(bottom - top, right - left))))
        rows = _reflect(int(y + 0.5) - side // 2 + np.arange(side), image.shape[0])
        columns = _reflect(int(x + 0.5) - side // 2 + np.arange(side), image.shape[1])
        yield image[np.ix_(rows, columns)]


def _reflect(places: np.ndarray, length: int) -> np.ndarray:
    """Return the places inside of 0..length-1 that places outside mirror."""
    if length == 1:
        return np.zeros_like(places)
    period = 2 * (length - 1)
    folded = np.abs(places) % period
    return np.minimum(folded, period - folded)


def classify_objects(
    model: Model,
    image: np.ndarray,
    objects: pd.DataFrame,
    tta: bool = False,
    origin: tuple[int, int] = (0, 0),
) -> pd.DataFrame:
    """Return the table of objects with the columns `class` and `class_probability`.

    Arguments: see `object_crops`; `tta` averages over flips and turns.
    """
    classes = [str(name) for name in model.info["classes"]]
    crops = object_crops(image, objects, model.tile, origin)
    answers = [_answer(chances, classes) for chances in model.predict(crops, tta=tta)]
    found = pd.DataFrame(answers, columns=["class", "class_probability"])
    return pd.concat([objects, found.set_index(objects.index)], axis=1)
