"""What flips, ensembles and speed cost: `python benchmarks/tta.py DATASET STUDY MODEL [MODEL..]`.

DATASET is the folder of a dataset (`results/datasets/NAME`), STUDY that of a finished study
(`results/studies/NAME`), and a MODEL one of its model folders, of a single network or of an
ensemble (`fold0_seed1/model`, `fold0_ensemble/model`). Each predicts the test images of its fold
as they are, fast (`evaluation.mixed_precision`), and as the mean over their eight flips and turns;
a table tells scores, seconds an image, and both as compared with the first line. An ensemble of
several folds is refused: each of its test images is one that another member was trained on.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

from coverslip.data.image_store import ImageStore
from coverslip.data.tables import select_images
from coverslip.errors import CoverslipError
from coverslip.metrics.matching import match
from coverslip.metrics.pixels import image_iou, pixel_counts
from coverslip.models.model import Model, load
from coverslip.runtime import device


def fold_of(model: Model) -> int:
    """The one fold that a network, or all members of an ensemble, were trained on."""
    members = model.info.get("members", [model.info])
    folds = {member["fold"] for member in members}
    if len(folds) != 1:
        raise SystemExit(
            f"{model.folder}: members of folds {sorted(folds)}: what one tests, another one knows"
        )
    return folds.pop()


def of_mask(model: Model, truth: np.ndarray, answer: np.ndarray) -> dict[str, float]:
    """Scores of one image: IoU, and with instances mean AP (0.50 to 0.95) and AP at 0.5."""
    _, fp, fn, tp = pixel_counts(truth > 0, model.mask(answer) > 0)
    scores = {"IoU": float(image_iou(*(np.array([float(n)]) for n in (tp, fp, fn)))[0])}
    if model.head == "instance":
        accuracy = match(truth, model.objects(answer)).accuracy
        scores |= {"mean AP": float(accuracy.mean()), "AP50": float(accuracy[0])}
    return scores


def of_class(model: Model, truth: str, answer: np.ndarray) -> dict[str, float]:
    """Scores of one image: whether its class is right, and the log loss."""
    place = [str(name) for name in model.info["classes"]].index(truth)
    loss = -np.log(max(float(answer[place]), 1e-15))
    return {"accuracy": float(answer.argmax() == place), "log loss": loss}


def scored(
    model: Model, store: ImageStore, rows: pd.DataFrame, tta: bool
) -> tuple[dict[str, float], float]:
    """Mean scores over images, and seconds an image, without the time to score."""
    images = [store.image(id) for id in rows.index]
    next(model.predict(images[:1], tta=tta))  # what is compiled once is not counted
    started = time.perf_counter()
    answers = list(model.predict(images, tta=tta))
    seconds = (time.perf_counter() - started) / len(images)
    return pd.DataFrame(list(_scores(model, store, rows, answers))).mean().to_dict(), seconds


def _scores(
    model: Model, store: ImageStore, rows: pd.DataFrame, answers: list[np.ndarray]
) -> Iterator[dict[str, float]]:
    for (id, row), answer in zip(rows.iterrows(), answers, strict=True):
        if model.head == "classification":
            yield of_class(model, row["stratum"], answer)
        else:
            yield of_mask(model, store.label(id), answer)


def main(arguments: list[str]) -> None:
    """Predict, score, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("study", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--images", type=int, help="so many of the test images, spread evenly")
    parser.add_argument("--json", type=Path, help="write the rows of the table there, too")
    told = parser.parse_args(arguments)
    found_device = device.prepare()
    print(found_device.line())
    ways = (
        ("as it is", None, False),
        (f"fast ({found_device.dtype_policy})", found_device.dtype_policy, False),
        ("flips and turns", None, True),
        ("fast, flips and turns", found_device.dtype_policy, True),
    )
    found, first = [], None
    with ImageStore(told.dataset / "images.h5") as store:
        for folder in told.models:
            place = folder if (folder / "model.json").is_file() else told.study / folder
            model = load(place)
            rows = select_images(told.study / "split.csv", fold_of(model), ["test"])
            if told.images and told.images < len(rows):
                rows = rows.iloc[np.linspace(0, len(rows) - 1, told.images).round().astype(int)]
            for what, policy, tta in ways:
                scores, seconds = scored(load(place, policy), store, rows, tta)
                first = first or (scores, seconds)
                parts = [
                    f"{name} {value:.4f} ({value - first[0][name]:+.4f})"
                    for name, value in scores.items()
                ]
                print(
                    f"{model.folder.parent.name}, {what}: {len(rows)} images, "
                    f"{', '.join(parts)}; {seconds:.3f} s an image ({seconds / first[1]:.1f}x)",
                    flush=True,
                )
                facts = {"model": str(folder), "way": what, "images": len(rows)}
                found.append(facts | scores | {"seconds": round(seconds, 4)})
    if told.json:
        told.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except CoverslipError as error:
        raise SystemExit(str(error)) from error
