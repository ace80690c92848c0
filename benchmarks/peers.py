"""Nuclei: coverslip, StarDist and Otsu's threshold: `python benchmarks/peers.py DATASET STUDY OUT`.

DATASET is the folder of a dataset (`results/datasets/dsb2018`), STUDY that of a finished study of
instances (`results/studies/nuclei-random`), OUT what `benchmarks/stardist_nuclei.py` made of its
split. All are scored by the same code on the test images of fold 0. Printed, as a part of
`docs/results.md` (`make results APPEND=FILE`): the main metrics of instances over all images and
by modality, the study with and without flips and turns (TTA); the difference of the study without
TTA and StarDist (which has none) with its 95 % CI over groups; how
long both were trained, with their learning curves (`--figure FILE.png`); and seconds to find the
nuclei of all test images (`--repeats` times, the median; the network of the study as it is, fast
and with flips, with the mean AP of each), beside what the networks have to multiply and what this
machine can. `--run` is the training of the study that is taken (`fold0_seed1`).
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import h5py
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

from multiply_adds import per_pixel
from results_page import table

from coverslip.data.image_store import ImageStore
from coverslip.evaluation.runs import fold_and_seed
from coverslip.metrics import instances
from coverslip.metrics.baselines import INSTANCES
from coverslip.metrics.definitions import BY_MODALITY
from coverslip.metrics.definitions import INSTANCES as INSTANCE_METRICS
from coverslip.metrics.intervals import MIN_GROUPS, jackknife_interval, sum_by_group
from coverslip.metrics.matching import match
from coverslip.metrics.metric import Layout, image_statistics
from coverslip.models.model import Model, load, read_network
from coverslip.reporting.figures.style import TRAIN, VALIDATION, new, save, styled
from coverslip.reporting.results import baseline_label, first_capital, label, number
from coverslip.runtime import device
from coverslip.runtime.run_record import processor

HEAD = """Written by `benchmarks/peers.py`: StarDist (Schmidt et al., 2018) learnt from the training
images of `{study}` on the same machine, with the network, losses and augmentation of its own
example. The same code scores all on the same test images."""
METRICS = [metric for metric in INSTANCE_METRICS if metric.name in BY_MODALITY]
EMPTY = instances.inputs(np.empty((0, len(instances.STATISTICS))))
LAYOUT = Layout(image_statistics(METRICS, EMPTY))
MEAN_AP = METRICS[0]
OURS = "coverslip, no TTA"
COMPARED = ("mean_ap", "ap50", "ap50_pooled")
"""Metrics whose differences are printed: at IoU 0.50, and the mean over ten thresholds."""


def test_rows(study: Path, run: str) -> pd.DataFrame:
    """Group and modality of the test images of a training, by id."""
    rows = pd.read_csv(study / "images.csv", dtype={"id": str})
    fold, seed = fold_and_seed(run)
    chosen = (rows["fold"] == fold) & (rows["seed"] == seed) & (rows["subset"] == "test")
    return rows[chosen].set_index("id")


def stored(paths: list[Path], ids: list[str]) -> dict[str, np.ndarray]:
    """Label maps by id, from files with `instance/<id>`."""
    found = {}
    for path in paths:
        with h5py.File(path) as file:
            found |= {id: file[f"instance/{id}"][()] for id in ids if f"instance/{id}" in file}
    return found


def answers(store: ImageStore, options: argparse.Namespace, ids: list[str]) -> dict[str, dict]:
    """Label maps of everyone: by name, by id."""
    record = json.loads((options.study / "run.json").read_text(encoding="utf-8"))
    area = record["params"]["sections"]["evaluation"]["min_area_px"]
    predictions = options.study / options.run / "predictions"
    used = bool(record["params"]["sections"]["evaluation"]["tta"])
    model = load(options.study / options.run / "model")
    images = [store.image(id) for id in ids]
    other = [model.objects(answer) for answer in model.predict(images, tta=not used)]
    ours = {
        used: stored(sorted(predictions.glob("*.h5")), ids),
        not used: dict(zip(ids, other, strict=True)),
    }
    found = {
        OURS: ours[False],
        f"{OURS} with TTA": ours[True],
        "StarDist": stored([options.out / "instances.h5"], ids),
    }
    for name, baseline in INSTANCES.items():
        found[baseline_label(name)] = {id: baseline(store.image(id), area) for id in ids}
    return found


def counted(store: ImageStore, labels: Mapping[str, np.ndarray], ids: list[str]) -> np.ndarray:
    """Statistics of each image, (N, S)."""
    numbers = [instances.statistics(match(store.label(id), labels[id])) for id in ids]
    return LAYOUT.pack(image_statistics(METRICS, instances.inputs(np.array(numbers))))


def timed(
    model: Model, images: list[np.ndarray], tta: bool, repeats: int
) -> tuple[float, float, list[np.ndarray]]:
    """Median seconds from images to label maps, of those that of the network, and the maps."""
    rounds = []
    next(model.predict(images[:1], tta=tta))  # what is compiled once is not counted
    for _ in range(repeats):
        found, objects = [], 0.0
        started = time.perf_counter()
        for answer in model.predict(images, tta=tta):
            answered = time.perf_counter()
            found.append(model.objects(answer))
            objects += time.perf_counter() - answered
        whole = time.perf_counter() - started
        rounds.append((whole, whole - objects))
    whole, network = np.median(rounds, axis=0)
    return whole, network, found


def seen(model: Model, images: list[np.ndarray]) -> int:
    """Pixels that the network of the study is given for these images, without flips: tiles
    overlap, and reach beyond small images."""
    import keras

    predict, counts = keras.Model.predict_on_batch, []

    def counting(self: Any, tiles: np.ndarray) -> np.ndarray:
        counts.append(int(np.prod(tiles.shape[:3])))
        return predict(self, tiles)

    with mock.patch.object(keras.Model, "predict_on_batch", counting):
        for _ in model.predict(images):
            pass
    return sum(counts)


def peak(side: int = 4096, repeats: int = 5) -> float:
    """Multiply-adds a second of a product of matrices, float32, the best of several."""
    import tensorflow as tf

    given = tf.random.normal((side, side), seed=1)
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        tf.linalg.matmul(given, given).numpy()
        seconds.append(time.perf_counter() - started)
    return side**3 / min(seconds)


def difference(ours: np.ndarray, theirs: np.ndarray, groups: np.ndarray) -> str:
    """Metrics of the study minus StarDist's, each with its 95 % CI over groups."""
    by_group = sum_by_group(np.stack([ours, theirs], axis=1), groups)
    total, parts = by_group.sum(axis=0), LAYOUT.unpack(by_group)
    sums, left_out = LAYOUT.unpack(total), LAYOUT.unpack(total - by_group)
    texts = []
    for metric in METRICS:
        if metric.name not in COMPARED:
            continue
        value, others = (of[..., 0] - of[..., 1] for of in map(metric.compute, (sums, left_out)))
        low, high = jackknife_interval(value, others, metric.count(parts)[:, 0])
        within = f" (95 % CI {low:+.3f} to {high:+.3f})" if len(by_group) >= MIN_GROUPS else ""
        texts.append(f"{label(metric.name)} {value:+.3f}{within}")
    return "; ".join(texts) + f"; {len(by_group)} groups"


def print_scores(found: Mapping[str, np.ndarray]) -> None:
    """Print everyone's metrics, of statistics (N, S) by name."""
    sums = {name: LAYOUT.unpack(values.sum(axis=0)) for name, values in found.items()}
    head = ["Metric", *sums]
    lines = [
        [label(metric.name), *(f"{float(metric.compute(of)):.3f}" for of in sums.values())]
        for metric in METRICS
    ]
    print(table(head, lines))


def print_training(options: argparse.Namespace, peer: Mapping[str, Any]) -> None:
    """Print how long everyone was trained, and draw the learning curves."""
    folder = options.study / options.run / "model"
    history = pd.read_csv(folder / "history.csv")
    training = json.loads((folder / "run.json").read_text(encoding="utf-8"))["params"]["sections"][
        "training"
    ]
    theirs = pd.DataFrame(peer["history"])
    seconds = history["seconds"].sum()
    patches = len(history) * training["patches_per_epoch"]
    parameters = read_network(load(folder)).count_params()
    lines = [
        ["coverslip", f"{seconds / 60:.1f}", str(len(history)), f"{patches / seconds:.1f}"],
        [
            "StarDist",
            f"{peer['minutes']:.1f}",
            str(len(theirs)),
            f"{peer['patches_per_second']:.1f}",
        ],
    ]
    for line, count in zip(lines, (parameters, peer["parameters"]), strict=True):
        line.append(number(count, "count"))
    head = [
        "Network",
        "Minutes of training",
        "Epochs",
        "Patches of 256 x 256 a second",
        "Parameters",
    ]
    print(table(head, lines))
    fastest = history["seconds"].min()
    print(
        f"\nIf all epochs of coverslip were as fast as the fastest ({fastest:.1f} s), with nothing "
        f"else on the machine, all would take {fastest * len(history) / 60:.1f} minutes."
    )
    rates = theirs["learning_rate"]
    low = np.flatnonzero(rates < rates[0] / 100)
    if len(low):
        print(
            "StarDist's learning rate, halved where its validation loss stands still, was below a "
            f"hundredth of its height after {peer['minutes'] * low[0] / len(theirs):.0f} minutes."
        )
    if options.figure:
        curves = {
            "coverslip: cross-entropy + Dice": (
                history["seconds"].cumsum() / 60,
                history["loss"],
                history["validation_loss"],
            ),
            "StarDist: its own loss": (
                peer["minutes"] * (theirs.index + 1) / len(theirs),
                theirs["loss"],
                theirs["val_loss"],
            ),
        }
        draw_curves(curves, options.figure)
        print(f"\n![Loss while training]({options.figure.name})")


@styled
def draw_curves(curves: Mapping[str, tuple], output: Path) -> None:
    """Loss of training and validation by minutes, a panel for each: (minutes, loss, validation)."""
    figure = new(8.6, 3.8)
    panels = figure.subplots(1, len(curves))
    for axes, (title, (at, training, validation)) in zip(panels, curves.items(), strict=True):
        axes.plot(at, training, color=TRAIN, label="training")
        axes.plot(at, validation, color=VALIDATION, label="validation")
        top = 1.05 * max(np.max(training[2:]), np.quantile(validation, 0.95))
        axes.set(title=title, xlabel="minutes", ylabel="Loss", ylim=(0, top))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    save(figure, output)


def pace(
    store: ImageStore, options: argparse.Namespace, ids: list[str], policy: str
) -> Iterator[tuple[str, float, float, float, float]]:
    """Each way to predict with the network of the study: its name, seconds, those of the network,
    mean AP, and multiply-adds a pixel of the images."""
    folder = options.study / options.run / "model"
    images = [store.image(id) for id in ids]
    pixels = sum(np.prod(image.shape[:2]) for image in images)
    model = load(folder)
    multiplied = per_pixel(read_network(model)) * seen(model, images) / pixels
    for name, fast, tta in (
        ("coverslip", None, False),
        (f"coverslip, fast ({policy})", policy, False),
        ("coverslip, flips and turns", None, True),
        ("coverslip, fast, flips and turns", policy, True),
    ):
        model = load(folder, fast)
        whole, network, labels = timed(model, images, tta, options.repeats)
        score = mean_ap(counted(store, dict(zip(ids, labels, strict=True)), ids))
        yield name, whole, network, score, multiplied * (8 if tta else 1)


def mean_ap(statistics: np.ndarray) -> float:
    """Mean AP of statistics (N, S)."""
    return float(MEAN_AP.compute(LAYOUT.unpack(statistics.sum(axis=0))))


def print_times(
    rows: Iterable[tuple], pixels: int, theirs: Mapping[str, Any], score: float
) -> None:
    """Print the pace of everyone, and what the networks multiply.

    Args:
        rows: those of the study, see `pace`.
        pixels: of all images.
        theirs: what StarDist's run tells of its prediction.
        score: its mean AP.
    """
    told = ("seconds", "network_seconds", "multiply_adds")
    seconds, network, multiplied = (theirs[name] for name in told)
    rows = [*rows, ("StarDist", seconds, network, score, multiplied)]
    head = [
        "Network",
        "Mean AP",
        "Seconds",
        "Megapixels a second",
        "StarDist's time over it",
        "Of these the network's",
    ]
    head += ["Its multiply-adds a pixel of the images", "Its multiply-adds a second"]
    lines = [
        [
            name,
            f"{score:.3f}",
            f"{seconds:.1f}",
            f"{pixels / 1e6 / seconds:.2f}",
            f"{theirs['seconds'] / seconds:.2f} times",
            f"{network:.1f}",
            number(multiplied, "count"),
            f"{multiplied * pixels / network / 1e9:.0f} billion",
        ]
        for name, seconds, network, score, multiplied in rows
    ]
    print(table(head, lines))
    print(
        f"\nA product of two matrices of 4096 x 4096, float32, reaches {peak() / 1e9:.0f} billion "
        f"multiply-adds a second on this machine ({processor()})."
    )


def main() -> None:
    """Score everyone, time prediction, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("dataset", "study", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--run", default="fold0_seed1")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--figure", type=Path, help="draw the learning curves there (png or svg)")
    options = parser.parse_args()
    policy = device.prepare().dtype_policy
    rows = test_rows(options.study, options.run)
    ids, groups = list(rows.index), rows["group"].to_numpy(dtype=str)
    peer = json.loads((options.out / "stardist.json").read_text())
    print(f"## Nuclei: coverslip and StarDist\n\n{HEAD.format(study=options.study.name)}")
    with ImageStore(options.dataset / "images.h5") as store:
        labels = answers(store, options, ids)
        found = {name: counted(store, maps, ids) for name, maps in labels.items()}
        for modality in ("all", *sorted(set(rows["modality"]))):
            chosen = np.ones(len(rows), bool) if modality == "all" else rows["modality"] == modality
            what = "all images" if modality == "all" else modality
            print(f"\n### {first_capital(what)}: {int(np.sum(chosen))}\n")
            of = {name: values[chosen] for name, values in found.items()}
            print_scores(of)
            minus = difference(of[OURS], of["StarDist"], groups[chosen])
            print(f"\ncoverslip minus StarDist: {minus}.")
        print("\n### Training\n")
        print_training(options, peer)
        print(f"\n### From {len(ids)} images to nuclei\n")
        pixels = sum(labels["StarDist"][id].size for id in ids)
        score = mean_ap(found["StarDist"])
        print_times(pace(store, options, ids, policy), pixels, peer["prediction"], score)


if __name__ == "__main__":
    main()
