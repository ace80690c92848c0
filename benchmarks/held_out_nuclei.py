"""Nuclei of unseen acquisitions: `python benchmarks/held_out_nuclei.py STUDY DATASET`.

STUDY is the folder of a study with grouped folds (`results/studies/nuclei-1-grouped`), whose models
are trained; DATASET that of its dataset (`results/datasets/dsb2018`). Of each acquisition group at
most `--images` test images are predicted by the model of the fold that holds the group out: as they
are, and resized to the objects of training (`preprocessing.rescale_objects`). Otsu's threshold with
watershed is next to them. Printed as Markdown: scores by modality and by group with differences
over groups; what goes wrong; how well the confidence of objects is calibrated; and how well the
distance of an image from the training images predicts its score. `--table FILE` keeps the rows.
"""

from __future__ import annotations

import argparse
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

from results_page import table

from coverslip.data.image_store import ImageStore
from coverslip.imaging.image_statistics import (
    KEPT,
    image_statistics,
    summarize_training,
    unlike_training,
)
from coverslip.metrics import instances as metrics
from coverslip.metrics.baselines import otsu_watershed
from coverslip.metrics.matching import match, overlap
from coverslip.models import heads
from coverslip.models.confidence import object_confidence
from coverslip.models.model import Model, load
from coverslip.models.scale import typical_diameter
from coverslip.runtime import device

SMALLEST = 16
"""Smaller objects are not counted, in pixels, as in an evaluation."""
BINS = (0.0, 0.2, 0.4, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
"""Limits of the confidence in the table of its calibration."""
WAYS = ("native", "rescaled", "otsu")


def main() -> int:
    """Predict, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("study", "dataset"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--table", type=Path, default=Path("held_out_nuclei"))
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    device.prepare(arguments.threads)
    groups = pd.read_csv(arguments.dataset / "check" / "groups.csv", dtype=str).set_index("id")
    split = pd.read_csv(arguments.study / "split.csv", dtype={"id": str})
    split["modality"] = groups["modality"].reindex(split["id"]).to_numpy()
    rows, objects = [], []
    with ImageStore(arguments.dataset / "images.h5") as store:
        for fold, of_fold in split.groupby("fold"):
            folder = next(arguments.study.glob(f"fold{fold}_seed*")) / "model"
            trained = of_fold.loc[of_fold["subset"] == "train", "id"].sort_values()
            every = max(1, len(trained) // KEPT)
            statistics = summarize_training(store.image(id) for id in trained[::every])
            model = load(folder)
            test = of_fold[of_fold["subset"] == "test"].sample(frac=1, random_state=0)
            for image in test.groupby("group").head(arguments.images).itertuples():
                facts = {"id": image.id, "group": image.group, "modality": image.modality}
                pixels = store.image(image.id)
                facts["unlike"] = unlike_training(image_statistics(pixels), statistics)
                for way, row, found in scored(model, pixels, store.label(image.id)):
                    rows.append({**facts, "fold": fold, "way": way, **row})
                    objects.append(found.assign(**facts, fold=fold, way=way))
            print(f"fold {fold}: done", file=sys.stderr, flush=True)
    results, found = pd.DataFrame(rows), pd.concat(objects)
    results.to_csv(arguments.table.with_suffix(".images.csv"), index=False)
    found.to_csv(arguments.table.with_suffix(".objects.csv"), index=False)
    for part in (scores(results), errors(results), calibration(found), unlike(results)):
        print(part)
    return 0


def scored(model: Model, image: np.ndarray, truth: np.ndarray):
    """Yield the way of predicting, the numbers of an image, and a table of its objects."""
    pixels = image[:, :, np.newaxis] if image.ndim == 2 else image[..., :3]
    yield "otsu", numbers(truth, otsu_watershed(pixels, SMALLEST)), pd.DataFrame()
    for way in ("native", "rescaled"):
        rescale = {"rescale_objects": way == "rescaled"}
        model.preprocessing = model.preprocessing.model_copy(update=rescale)
        (found,) = model.predict([image])
        label = model.objects(found)
        label = np.where(np.bincount(label.ravel())[label] < SMALLEST, 0, label)
        label = np.unique(label, return_inverse=True)[1].reshape(label.shape).astype(np.int32)
        pairs = overlap(truth, label)
        right = pairs.predicted_labels[pairs.predicted_index[pairs.iou >= 0.5]]
        rows = pd.DataFrame({"confidence": model.object_confidence(found, label)})
        rows["inside"] = object_confidence(heads.foreground(found), label)
        rows["matched"] = np.isin(np.arange(1, len(rows) + 1), right)
        yield way, {**numbers(truth, label), "factor": model.scale_of(image)}, rows


def numbers(truth: np.ndarray, label: np.ndarray) -> dict[str, float | None]:
    """Return what is counted of an image, its mean AP and F1, and the typical diameter."""
    matching = match(truth, label)
    counted = dict(zip(metrics.STATISTICS, metrics.statistics(matching), strict=True))
    total = matching.n_true + matching.n_predicted
    return counted | {
        "mean_ap": float(matching.accuracy.mean()) if total else 1.0,
        "f1_50": 2 * counted["tp_50"] / total if total else 1.0,
        "count_error": abs(matching.n_predicted - matching.n_true) / max(matching.n_true, 1),
        "diameter": typical_diameter(truth),
    }


def scores(results: pd.DataFrame) -> str:
    """Return mean AP, F1 and count error by modality and by group, of all ways.

    Scores of several groups are the means of their means, so that groups count alike; differences
    have the standard error over groups in brackets.
    """
    of_group = results.groupby(["modality", "group", "way"])[["mean_ap", "f1_50"]].mean()
    median = results.groupby(["modality", "group", "way"])["count_error"].median()
    of_group = of_group.assign(count_error=100 * median).unstack("way")
    sizes = results[results["way"] == "otsu"].groupby(["modality", "group"]).size()
    diameters = results.groupby(["modality", "group"])["diameter"].median()
    lines = []

    def line(name: str, rows: pd.DataFrame, number: float, diameter: float | str) -> None:
        cells = [name, str(len(rows)), f"{number:.0f}", str(diameter)]
        for way in WAYS:
            cells += [f"{rows['mean_ap', way].mean():.3f}", f"{rows['f1_50', way].mean():.3f}"]
            cells.append(f"{rows['count_error', way].mean():.0f}")
        for first, second in (("native", "otsu"), ("rescaled", "native")):
            difference = rows["mean_ap", first] - rows["mean_ap", second]
            spread = difference.std() / np.sqrt(len(rows)) if len(rows) > 1 else np.nan
            error = "" if np.isnan(spread) else f" ({spread:.3f})"
            cells.append(f"{difference.mean():+.3f}{error}")
        lines.append(cells)

    line("all", of_group, sizes.sum(), "")
    for modality, rows in of_group.groupby("modality"):
        line(modality, rows, sizes[modality].sum(), "")
    for (modality, group), rows in of_group.groupby(["modality", "group"]):
        line(group, rows, sizes[modality, group], f"{diameters[modality, group]:.0f}")
    head = ["Images", "Groups", "Number", "Diameter, px"]
    for way in ("As it is", "Rescaled", "Otsu with watershed"):
        head += [f"{way}: mean AP", "F1 at IoU 0.5", "Count error, %"]
    return table([*head, "As it is minus Otsu", "Rescaled minus as it is"], lines)


def errors(results: pd.DataFrame) -> str:
    """Return what goes wrong by modality and group, in percent of the true objects."""
    lines = []
    native = results[results["way"] == "native"]
    for level in ("modality", "group"):
        for name, rows in native.groupby(level):
            total = rows.sum(numeric_only=True)
            true = max(total["n_true"], 1)
            shares = [100 * total[key] / true for key in ("missed", "spurious", "splits", "merges")]
            contour = total["iou_50"] / max(total["tp_50"], 1)
            lines.append([name, f"{true:.0f}", *(f"{x:.1f}" for x in shares), f"{contour:.3f}"])
    head = ["Images", "Nuclei", "Missed, %", "Spurious, %", "Split, %", "Merged, %"]
    return table([*head, "Mean IoU of matched"], lines)


def calibration(objects: pd.DataFrame) -> str:
    """Return the fraction of objects that match at IoU 0.5, by confidence."""
    native = objects[objects["way"] == "native"]
    lines = []
    for low, high in pairwise(BINS):
        cells = [f"{low:g} to {high:g}"]
        for column in ("confidence", "inside"):
            last = native[column] <= high if high == 1 else native[column] < high
            rows = native[(native[column] >= low) & last]
            cells += [str(len(rows))]
            cells += [f"{rows[column].mean():.2f}", f"{rows['matched'].mean():.2f}"]
        lines.append(cells)
    head = ["Range", "Objects", "Mean confidence", "Fraction that matches"]
    return table([*head, "Objects", "Mean probability inside", "Fraction that matches"], lines)


def unlike(results: pd.DataFrame) -> str:
    """Return how the score falls with the distance from the training images."""
    native = results[results["way"] == "native"]
    of_group = native.groupby("group")[["unlike", "mean_ap"]].mean()
    lines = [
        ["images", str(len(native)), f"{native.unlike.corr(native.mean_ap, 'spearman'):.2f}"],
        ["groups", str(len(of_group)), f"{of_group.unlike.corr(of_group.mean_ap, 'spearman'):.2f}"],
    ]
    for name, rows in (
        ("at most 1", native[native["unlike"] <= 1]),
        ("above 1", native[native["unlike"] > 1]),
    ):
        lines.append([f"images {name}: mean AP", str(len(rows)), f"{rows['mean_ap'].mean():.3f}"])
    return table(["Distance and mean AP", "Number", "Spearman correlation, or mean AP"], lines)


if __name__ == "__main__":
    sys.exit(main())
