"""Nuclei beside StarDist's and Otsu's: `python benchmarks/peers.py DATASET STUDY OUT`.

DATASET is the folder of a dataset (`results/datasets/dsb2018`), STUDY that of a finished study of
instances (`results/studies/nuclei-random`), OUT what `benchmarks/stardist_nuclei.py` made of its
split. All are scored by the same code on the test pictures of fold 0. Printed, as Markdown: the
main metrics of instances over all pictures and by modality, the difference of the study and
StarDist in mean AP with its interval over groups, minutes of training, and seconds and megapixels
a second to find the nuclei of all test pictures (`--repeats` times, the median; the network of the
study with and without flips).
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

from coverslip.data.store import Store
from coverslip.evaluation import instance_metrics as metrics
from coverslip.evaluation.intervals import limits, resampled_sums
from coverslip.evaluation.matching import match
from coverslip.evaluation.observations import INSTANCES
from coverslip.learning import device
from coverslip.models.model import load
from coverslip.reporting.markdown import table
from coverslip.reporting.results import baseline_label, label

RUN = "fold0_seed1"
METRICS = [metric for metric in metrics.instances() if metric.name in metrics.HEADLINES]


def test_rows(study: Path) -> pd.DataFrame:
    """Group and modality of the test pictures of fold 0, by id."""
    rows = pd.read_csv(study / "pictures.csv", dtype={"id": str})
    chosen = (rows["fold"] == 0) & (rows["seed"] == 1) & (rows["subset"] == "test")
    return rows[chosen].set_index("id")


def stored(paths: list[Path], ids: list[str]) -> dict[str, np.ndarray]:
    """Label maps by id, from files with `instance/<id>`."""
    found = {}
    for path in paths:
        with h5py.File(path) as file:
            found |= {id: file[f"instance/{id}"][()] for id in ids if f"instance/{id}" in file}
    return found


def answers(store: Store, study: Path, out: Path, ids: list[str]) -> dict[str, dict]:
    """Label maps of everyone: by name, by id."""
    area = json.loads((study / "run.json").read_text())["params"]["evaluation"]["minimum_area"]
    found = {
        "coverslip": stored(sorted((study / RUN / "predictions").glob("*.h5")), ids),
        "StarDist": stored([out / "instances.h5"], ids),
    }
    for name, baseline in INSTANCES.items():
        found[baseline_label(name)] = {id: baseline(store.image(id), area) for id in ids}
    return found


def counted(store: Store, labels: Mapping[str, np.ndarray], ids: list[str]) -> np.ndarray:
    """Statistics of each picture, (N, S)."""
    return np.stack([metrics.statistics(match(store.label(id), labels[id])) for id in ids])


def timed(store: Store, study: Path, ids: list[str], flips: bool, repeats: int) -> float:
    """Median seconds from pictures to label maps, by the network of the study."""
    model = load(study / RUN / "model")
    images = [store.image(id) for id in ids]
    seconds = []
    for _ in range(repeats + 1):  # what is compiled once, in the first, is not counted
        started = time.perf_counter()
        for answer in model.predict(images, flips=flips):
            model.objects(answer)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds[1:])


def difference(ours: np.ndarray, theirs: np.ndarray, groups: np.ndarray) -> str:
    """Mean AP of the study less StarDist's, with its 95 % interval over groups."""
    both = np.stack([ours, theirs], axis=1)
    values = metrics.mean_ap(both.sum(axis=0))
    resampled = metrics.mean_ap(resampled_sums(both, groups, 1000, 1))
    low, high = limits(resampled[:, 0] - resampled[:, 1])
    return f"{values[0] - values[1]:+.3f} ({low:+.3f} to {high:+.3f}, {len(set(groups))} groups)"


def print_scores(found: Mapping[str, np.ndarray]) -> None:
    """Print everyone's metrics, of statistics (N, S) by name."""
    sums = {name: values.sum(axis=0) for name, values in found.items()}
    head = ["Metric", *sums]
    lines = [
        [label(metric.name), *(f"{float(metric.compute(of)):.3f}" for of in sums.values())]
        for metric in METRICS
    ]
    print(table(head, lines))


def print_times(
    store: Store, options: argparse.Namespace, ids: list[str], peer: Mapping[str, Any]
) -> None:
    """Print minutes of training and the pace of prediction."""
    pixels = sum(np.prod(store.image(id).shape[:2]) for id in ids) / 1e6
    history = pd.read_csv(options.study / RUN / "model/history.csv")
    seconds = {
        "coverslip": timed(store, options.study, ids, False, options.repeats),
        "coverslip, flips and turns": timed(store, options.study, ids, True, options.repeats),
        "StarDist": peer["prediction"]["seconds"],
    }
    minutes = {"coverslip": history["seconds"].sum() / 60, "StarDist": peer["minutes"]}
    head = ["", "Minutes of training", "Seconds", "Megapixels a second", "StarDist's time"]
    lines = [
        [
            name,
            f"{minutes.get(name, minutes['coverslip']):.1f}",
            f"{value:.1f}",
            f"{pixels / value:.2f}",
            f"{seconds['StarDist'] / value:.1f} x",
        ]
        for name, value in seconds.items()
    ]
    print(table(head, lines))


def main() -> None:
    """Score everyone, time prediction, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("dataset", "study", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    device.prepare()
    rows = test_rows(options.study)
    ids, groups = list(rows.index), rows["group"].to_numpy(dtype=str)
    peer = json.loads((options.out / "stardist.json").read_text())
    with Store(options.dataset / "pictures.h5") as store:
        labels = answers(store, options.study, options.out, ids)
        found = {name: counted(store, maps, ids) for name, maps in labels.items()}
        for modality in ("all", *sorted(set(rows["modality"]))):
            chosen = np.ones(len(rows), bool) if modality == "all" else rows["modality"] == modality
            print(f"\n{modality}: {int(np.sum(chosen))} pictures\n")
            of = {name: values[chosen] for name, values in found.items()}
            print_scores(of)
            less = difference(of["coverslip"], of["StarDist"], groups[chosen])
            print(f"\nmean AP, coverslip less StarDist: {less}")
        print()
        print_times(store, options, ids, peer)


if __name__ == "__main__":
    main()
