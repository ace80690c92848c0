"""The model `confluency`: `python benchmarks/confluency_model.py FOLDER [--livecell DATASET]`.

Writes the model folder: K-means with two clusters of texture under even light, fitted without
labels on simulated bright-field images; the rougher cluster is cells. With `--livecell` (a folder
with `images/*/*.tif` and annotations `livecell_coco_val.json` and `livecell_coco_test.json`, as of
OasisArtisan/LIVECell-Semantic-Segmentation) it prints the error of confluency on its images.
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

from coverslip.config.sections import KMeans, Preprocessing
from coverslip.data.simulate import brightfield
from coverslip.imaging.rows import Whole
from coverslip.models import model
from coverslip.models.kmeans import TextureFeatures

IMAGES = 12
SIZE = 512
PIXELS = 4000
"""Pixels of each image that the clusters are fitted on."""
SEED = 1


def sampled_features(scales: list[float]) -> np.ndarray:
    """Features of random pixels of the simulated images, float64 NxF."""
    found = []
    for seed in range(IMAGES):
        rng = np.random.default_rng(seed)
        dish = brightfield.draw_dish(SIZE, rng)
        image, _ = brightfield.draw_image(SIZE, dish, rng.uniform(0.1, 0.8), rng)
        texture = TextureFeatures(Whole(image[:, :, np.newaxis]), scales)
        features = np.concatenate([texture.features(rows) for rows in texture.strips()])
        points = features.reshape(-1, features.shape[-1])
        found.append(points[rng.integers(0, len(points), PIXELS)])
    return np.concatenate(found).astype(np.float64)


def write(folder: Path) -> None:
    """Fit the clusters, and write the model folder."""
    from sklearn.cluster import KMeans as Fit

    recipe = KMeans(clusters=[2])
    points = sampled_features(recipe.scales)
    mean, deviation = points.mean(axis=0), points.std(axis=0)
    fitted = Fit(2, n_init=4, random_state=SEED).fit((points - mean) / deviation)
    centres = sorted(fitted.cluster_centers_.tolist(), key=lambda centre: sum(centre[1:]))
    info = {
        "format": model.FORMAT,
        "kind": "kmeans",
        "task": "segmentation",
        "classes": ["background", "cell"],
        "head": "semantic",
        "num_classes": 1,
        "fitted": {},
        "threshold": 0.5,
        "seed": SEED,
        "licence": "MIT (simulated images)",
        "preprocessing": Preprocessing(
            channels="grey", input_scaling="none", normalization="dtype_range"
        ).model_dump(mode="json"),
        "kmeans": recipe.model_dump(mode="json"),
        "clusters": {
            "number": 2,
            "cells": [1],
            "mean": np.round(mean, 6).tolist(),
            "standard_deviation": np.round(deviation, 6).tolist(),
            "centres": np.round(centres, 6).tolist(),
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.json").write_text(json.dumps(info, indent=2) + "\n")


def true_masks(dataset: Path) -> dict[str, np.ndarray]:
    """What annotated cells cover of each image, bool HxW, by the name of its file."""
    masks = {}
    for name in ("livecell_coco_val.json", "livecell_coco_test.json"):
        document = json.loads((dataset / name).read_text())
        annotations = document["annotations"]
        polygons = defaultdict(list)
        for each in annotations.values() if isinstance(annotations, dict) else annotations:
            polygons[each["image_id"]] += each["segmentation"]
        for image in document["images"]:
            mask: np.ndarray = np.zeros((image["height"], image["width"]), np.uint8)
            for polygon in polygons[image["id"]]:
                points = np.round(np.reshape(polygon, (-1, 2))).astype(np.int32)
                cv2.fillPoly(mask, [points], 1)
            masks[image["file_name"]] = mask > 0
    return masks


def evaluate(folder: Path, dataset: Path) -> None:
    """Print the error of confluency, in percentage points, for each cell line and for all."""
    loaded = model.load(folder)
    errors = defaultdict(list)
    masks = true_masks(dataset)
    for path in sorted(dataset.glob("images/*/*.tif")):
        if path.name in masks:
            image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
            (found,) = loaded.predict([image])
            error = 100 * (found[..., 0].mean() - masks[path.name].mean())
            errors[path.name.split("_")[0]].append(error)
    errors["all"] = [error for line in errors.values() for error in line]
    print("| Cell line | Images | MAE, pp | Bias, pp | RMSE, pp |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for line, values in errors.items():
        e = np.array(values)
        rmse = np.sqrt((e**2).mean())
        print(f"| {line} | {len(e)} | {np.abs(e).mean():.1f} | {e.mean():+.1f} | {rmse:.1f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--livecell", type=Path)
    given = parser.parse_args()
    write(given.folder)
    if given.livecell:
        evaluate(given.folder, given.livecell)
