"""Held-out images changed on purpose: `python benchmarks/robustness.py MODEL DATASET SPLIT`.

MODEL is a model folder, DATASET the folder of its dataset (`results/datasets/dsb2018`), SPLIT the
table of the split that it was trained by. Of each group of test images of `--fold`, at most
`--images` are predicted as they are and after each change below; a model that holds gives the same
answer. Printed as Markdown: AP of the images as they are, by modality, next to Otsu's threshold
with watershed; and for each change the number of objects and F1 at IoU 0.5, with what they are of
the images as they are. Sizes are those of the image as it is: the answers for images of half and
double size are resized to it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

from results_page import table

from coverslip.data.image_store import ImageStore
from coverslip.imaging.intensity import to_grey
from coverslip.metrics import instances as metrics
from coverslip.metrics.baselines import otsu_watershed
from coverslip.metrics.matching import match
from coverslip.models.model import Model, load
from coverslip.runtime import device

TINT = np.array([0.1, 0.4, 1.0])
"""Factors of red, green and blue."""
DIM = 0.08
"""Brightness of a dim image, as a fraction of the original."""
SMALLEST = 16
"""Smaller objects are not counted, in pixels, as in an evaluation."""


def rgb(image: np.ndarray) -> np.ndarray:
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image[..., :3]


def tinted(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.rint(rgb(image) * TINT).astype(image.dtype)


def blue_only(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return jpeg(rgb(image) * np.array([0, 0, 1], image.dtype), 90)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    _, code = cv2.imencode(".jpg", rgb(image)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return cv2.imdecode(code, cv2.IMREAD_COLOR_RGB)


def resized(image: np.ndarray, factor: float) -> np.ndarray:
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    found = cv2.resize(image, None, fx=factor, fy=factor, interpolation=method)
    return found.reshape(*found.shape[:2], image.shape[2])


def deep(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As of a camera of 12 bits: an offset, a gain, read noise."""
    counts = 100.0 + 14.0 * image + rng.normal(0, 3, image.shape[:2])[..., np.newaxis]
    return np.clip(np.rint(counts), 0, 65535).astype(np.uint16)


def dim(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Little light on 16 bits: contrast as it was, photon noise as of `DIM` times 255 photons."""
    photons = rng.poisson(DIM * 4 * image.astype(np.float64))
    return (100 + 4 * photons).astype(np.uint16)


Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]
CHANGES: dict[str, Change] = {
    "as it is": lambda image, rng: image,
    "tinted blue": tinted,
    "blue channel only, JPEG 90": blue_only,
    "JPEG 60": lambda image, rng: jpeg(image, 60),
    "inverted": lambda image, rng: 255 - image,
    "half size": lambda image, rng: resized(image, 0.5),
    "double size": lambda image, rng: resized(image, 2.0),
    "16 bits": deep,
    "dim, photon noise": dim,
}
FLUORESCENCE = {"tinted blue", "blue channel only, JPEG 90", "dim, photon noise"}
"""Changes that only fluorescence can have."""


def empty_fields(size: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Images without any object."""
    smooth = cv2.GaussianBlur(rng.normal(0, 100, (size, size)), (0, 0), 3)
    light = np.linspace(0, 1, size)
    fields = {
        "16 bits, normal(200, 10)": rng.normal(200, 10, (size, size)),
        "8 bits, Poisson(20)": rng.poisson(20, (size, size)),
        "smooth noise": 500 + smooth,
        "uneven light and noise": 300 + 200 * light + rng.normal(0, 10, (size, size)),
        "black": np.zeros((size, size)),
    }
    return {
        name: np.rint(field).astype(np.uint8 if "8 bits" in name else np.uint16)[..., np.newaxis]
        for name, field in fields.items()
    }


def objects(model: Model, image: np.ndarray, tta: bool, shape: tuple[int, int]) -> np.ndarray:
    label = model.objects(next(model.predict([image], tta=tta)))
    if label.shape != shape:
        label = cv2.resize(
            label.astype(np.float32), shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT
        ).astype(np.int32)
    areas = np.bincount(label.ravel())
    return np.where(areas[label] < SMALLEST, 0, label)


def chosen(dataset: Path, split: Path, fold: int, images: int) -> pd.DataFrame:
    """Test images, at most so many of each group, with their modality."""
    groups = pd.read_csv(dataset / "check" / "groups.csv", dtype=str).set_index("id")
    rows = pd.read_csv(split, dtype={"id": str})
    rows = rows[(rows["fold"] == fold) & (rows["subset"] == "test")].set_index("id")
    rows["modality"] = groups["modality"].reindex(rows.index)
    rows["group"] = groups["group"].reindex(rows.index)
    rows = rows.sample(frac=1, random_state=0)  # drawn, whatever the order of the ids
    return rows.groupby("group").head(images).sort_values("group")


def scored(statistics: list[list[float]]) -> dict[str, float]:
    """Mean AP over images, and AP and F1 at IoU 0.5 of all objects together."""
    single = metrics.inputs(np.array(statistics))
    together = metrics.inputs(np.sum(statistics, axis=0)[np.newaxis])
    pooled = (together["tp_50"], together["n_true"], together["n_predicted"])
    mean_ap = metrics.image_mean_average_precision(
        single["tp"], single["n_true"], single["n_predicted"]
    )
    return {
        "mean AP": float(mean_ap.mean()),
        "AP 0.5": float(metrics.average_precision(*pooled)[0]),
        "F1": float(metrics.f1(*pooled)[0]),
    }


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("model", "dataset", "split"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--tta", action="store_true")
    parser.add_argument("--unchanged", action="store_true", help="only the images as they are")
    arguments = parser.parse_args()
    device.prepare(2)
    model = load(arguments.model)
    rows = chosen(arguments.dataset, arguments.split, arguments.fold, arguments.images)
    changes = {"as it is": CHANGES["as it is"]} if arguments.unchanged else CHANGES
    found = []
    with ImageStore(arguments.dataset / "images.h5") as store:
        for number, (id, row) in enumerate(rows.iterrows()):
            image, truth = store.image(id), store.label(id)
            image = image[:, :, np.newaxis] if image.ndim == 2 else image[..., :3]
            grey = to_grey(image)[..., np.newaxis]
            for name, change in changes.items():
                fluorescence = row["modality"] == "fluorescence"
                if name in FLUORESCENCE and not fluorescence:
                    continue
                source = grey if name in FLUORESCENCE else image
                rng = np.random.default_rng(number)
                label = objects(model, change(source, rng), arguments.tta, truth.shape)
                found.append((row["modality"], row["group"], name, match(truth, label)))
            baseline = match(truth, otsu_watershed(image, SMALLEST))
            found.append((row["modality"], row["group"], "Otsu with watershed", baseline))
    results = pd.DataFrame(found, columns=["modality", "group", "change", "matching"])
    print(by_modality(results))
    if not arguments.unchanged:
        print(by_change(results))
        print(on_empty_fields(model, arguments.tta))
    return 0


def by_modality(results: pd.DataFrame) -> str:
    """Scores of the images as they are, by modality and by group."""
    lines = []
    for level in ("modality", "group"):
        for name, rows in results.groupby(level):
            cells = [name, str((rows["change"] == "as it is").sum())]
            for way in ("as it is", "Otsu with watershed"):
                of_way = list(rows.loc[rows["change"] == way, "matching"])
                scores = scored([metrics.statistics(each) for each in of_way])
                true = np.array([each.n_true for each in of_way])
                predicted = np.array([each.n_predicted for each in of_way])
                error = np.median(np.abs(predicted - true) / np.maximum(true, 1))
                cells += [f"{scores['mean AP']:.3f}", f"{scores['F1']:.3f}", f"{100 * error:.0f}"]
            lines.append(cells)
    head = ["Images", "Number"]
    for who in ("Model", "Otsu with watershed"):
        head += [f"{who}: mean AP", "F1 at IoU 0.5", "Median count error, %"]
    return table(head, lines)


def by_change(results: pd.DataFrame) -> str:
    """Numbers of objects and F1 after each change, and what they are of the unchanged ones."""
    lines = []
    for name in CHANGES:
        rows = results[results["change"] == name]
        unchanged = results[results["change"] == "as it is"]
        if name in FLUORESCENCE:
            unchanged = unchanged[unchanged["modality"] == "fluorescence"]
        count, count_before = (
            sum(each.n_predicted for each in some["matching"]) for some in (rows, unchanged)
        )
        f1, f1_before = (
            scored([metrics.statistics(each) for each in some["matching"]])["F1"]
            for some in (rows, unchanged)
        )
        lines.append(
            [
                name,
                "fluorescence" if name in FLUORESCENCE else "all",
                str(count),
                f"{100 * count / max(count_before, 1):.0f}",
                f"{f1:.3f}",
                f"{100 * f1 / max(f1_before, 1e-9):.0f}",
            ]
        )
    head = ["Images", "Of", "Objects", "% of unchanged", "F1 at IoU 0.5", "% of unchanged"]
    return table(head, lines)


def on_empty_fields(model: Model, tta: bool) -> str:
    """Objects found in images of 512 x 512 pixels that have none."""
    lines = []
    for name, image in empty_fields(512, np.random.default_rng(0)).items():
        label = objects(model, image, tta, image.shape[:2])
        lines.append([name, str(len(np.unique(label)) - 1), f"{100 * (label > 0).mean():.1f}"])
    return table(["Empty field", "Objects", "Foreground, %"], lines)


if __name__ == "__main__":
    sys.exit(main())
