"""A made-up folder of results, as a run of config/kaggle.yaml leaves it; nothing is trained."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

from coverslip.config import validate

ROOT = Path(__file__).resolve().parents[1]
FIGURES = (
    "learning_curves",
    "metrics",
    "classification_report",
    "confusion",
    "examples",
    "network",
)
CLASSES = ["background", "nucleus"]
TRUTH = {
    "nuclei-mobilenet-reproduced": {"pixel_accuracy": 0.9688, "iou": 0.8121},
    "nuclei-semantic-reproduced": {
        "pixel_accuracy": 0.9641,
        "accuracy_blank_labels": 0.8655,
        "iou": 0.7984,
    },
    "nuclei-random": {"pixel_accuracy": 0.9786, "iou": 0.8893},
    "nuclei-grouped": {"pixel_accuracy": 0.9712, "iou": 0.8612},
}
BASELINES = {
    "pixel_accuracy": {"all background": 0.8611, "otsu": 0.9402},
    "accuracy_blank_labels": {"all background": 1.0, "otsu": 0.84},
    "iou": {"all background": 0.0, "otsu": 0.6931},
    "precision": {"all background": 0.0, "otsu": 0.81},
    "recall": {"all background": 0.0, "otsu": 0.88},
    "object_count_mae": {"all background": 43.3, "otsu": 17.25},
}
DEFINITIONS = {
    "pixel_accuracy": "Share of all pixels whose class is right.",
    "accuracy_blank_labels": "Share of pixels predicted as background.",
    "iou": "Intersection over union of the foreground, TP / (TP + FP + FN), of each image, then "
    "the mean over images; an image with foreground in neither counts as 1.",
    "precision": "Of the pixels predicted as this class, the share that is of it: TP / (TP + FP).",
    "recall": "Of the true pixels of this class, the share that was found: TP / (TP + FN).",
    "object_count_mae": "Mean over images of |predicted - true| number of objects.",
}


def config(names: list[str] | None = None) -> dict[str, Any]:
    """The studies of nuclei of config/kaggle.yaml, with all defaults."""
    with open(ROOT / "config" / "kaggle.yaml", encoding="utf-8") as file:
        loaded = yaml.safe_load(file)
    loaded["studies"] = {name: loaded["studies"][name] for name in TRUTH}
    used = {study["dataset"] for study in loaded["studies"].values()}
    loaded["datasets"] = {name: loaded["datasets"][name] for name in sorted(used)}
    schema = ROOT / "workflow" / "schemas" / "config.schema.json"
    return validate.resolve(loaded | {"run": names}, schema)


def results(folder: Path) -> tuple[dict[str, Any], list[Path]]:
    """Write `folder` as a run leaves `results/`; return the config and the figures."""
    completed = config()
    _write(folder / "datasets/dsb2018/check/report.json", check_report())
    figures = []
    for name, section in completed["studies"].items():
        home = folder / "studies" / name
        _write(home / "metrics.json", metrics(name, section["reproduces"] is not None))
        _write(home / "split.json", split_summary(section["split"]["method"]))
        for fold in range(section["split"]["folds"]):
            _write(home / f"fold{fold}_seed1/model/run.json", run_record(name))
        (home / "notebook.html").write_text("<!DOCTYPE html><title>Notebook</title>")
        (home / "figures").mkdir()
        rng = np.random.default_rng(7)
        for figure in FIGURES:
            path = home / "figures" / f"{figure}.{'png' if figure == 'examples' else 'svg'}"
            if figure == "examples":
                cv2.imwrite(str(path), panels(rng))
            else:
                path.write_text(chart(figure, rng))
            figures.append(path)
    return completed, figures


def metrics(name: str, reproduction: bool) -> dict[str, Any]:
    """Metrics of a study on three subsets, by seed 1 and over all."""
    records = []
    for subset, better in (("validation", 0.004), ("test", 0.0), ("train", 0.009)):
        for metric, value in TRUTH[name].items():
            if metric != "accuracy_blank_labels" or subset == "test":
                records.append(record(metric, subset, value + better))
        if subset != "train":
            for index, class_name in enumerate(CLASSES):
                records.append(record("precision", subset, 0.985 - 0.07 * index, class_name))
                records.append(record("recall", subset, 0.979 - 0.05 * index, class_name))
            records.append(record("object_count_mae", subset, 4.317))
    single = [r | {"run": "fold0_seed1"} for r in records if r["name"] == "iou"]
    return {
        "format": 2,
        "study": name,
        "reproduction": reproduction,
        "task": "segmentation",
        "classes": CLASSES,
        "metrics": records + single,
        "confusion": {
            "test": {"classes": CLASSES, "counts": [[7_901_233, 80_112], [90_410, 1_010_002]]}
        },
        "examples_subset": "test",
        "examples": {
            "best": ["0a7d30b2"],
            "median": ["4f91ce03"],
            "worst": ["b1eb0123" * 8],
            "random": ["77c2", "9d1e"],
        },
    }


def record(metric: str, subset: str, value: float, class_name: str | None = None) -> dict[str, Any]:
    """A record of `metrics.json`."""
    whole = metric.startswith("object")
    return {
        "name": metric,
        "subset": subset,
        "class": class_name,
        "run": "all",
        "value": value,
        "ci_low": None if subset == "train" else round(value * 0.985, 6),
        "ci_high": None
        if subset == "train"
        else round(value + (1 - value) * (0.4 if not whole else -0.3), 6),
        "support": 134 if metric == "iou" else 9_081_757,
        "support_unit": "images" if metric == "iou" else "pixels",
        "groups": 21,
        "interval_reason": "taken from the history of the training" if subset == "train" else None,
        "unit": "objects per image" if whole else "fraction",
        "definition": DEFINITIONS[metric],
        "baselines": {"all background": None, "otsu": None}
        if subset == "train"
        else BASELINES[metric],
        "difference_to_baseline": {}
        if subset == "train"
        else _differences(value, BASELINES[metric]),
    }


def _differences(value: float, baselines: dict[str, float]) -> dict[str, dict[str, float]]:
    found = {name: round(value - other, 6) for name, other in baselines.items()}
    return {
        name: {"value": value, "ci_low": round(value - 0.01, 6), "ci_high": round(value + 0.01, 6)}
        for name, value in found.items()
    }


def check_report() -> dict[str, Any]:
    """The data report of a dataset."""
    return {
        "format": 1,
        "dataset": "Made up",
        "images": 670,
        "sizes": {"256x256": 334, "256x320": 112, "520x696": 92, "360x360": 91, "1024x1024": 16},
        "dtypes": {"uint8": 670},
        "channels": {"4": 670},
        "modalities": {"fluorescence": 546, "histology": 108, "brightfield": 16},
        "classes": {},
        "objects": {"total": 29461, "images without": 0, **_spread(43.97, 1, 4, 27, 136, 375)},
        "foreground": _spread(0.139, 0.003, 0.02, 0.12, 0.34, 0.61),
        "diameter": {"unit": "pixels", **_spread(19.2, 4.9, 9.6, 17.4, 35.1, 109.0)},
        "masks": {"empty": 0, "overlapping pixels": 12, "images with overlap": 3},
        "duplicates": {"exact": 2, "near": 14, "abutting": 51},
        "groups": {
            "method": "acquisition",
            "count": 73,
            "single images": 19,
            "largest": {"g001": 92},
            **_spread(9.2, 1, 1, 4, 41, 92),
        },
        "warnings": ["Images with overlapping masks: 3 (a, b, c).", "Exact duplicates: 2 pairs."],
        "faults": [],
    }


def split_summary(method: str) -> dict[str, Any]:
    """The summary of a split; all but a grouped one tear groups apart."""
    sizes = {"train": (432, 51), "validation": (108, 11), "test": (130, 11)}
    torn = method != "grouped"
    return {
        "format": 1,
        "method": method,
        "folds": 1,
        "seed": 1,
        "stratify": "none" if torn else "modality",
        "images": 670,
        "groups": 73,
        "counts": [
            {
                "fold": 0,
                "subset": subset,
                "images": images,
                "fraction": round(images / 670, 4),
                "groups": groups,
                "strata": {"fluorescence": images},
            }
            for subset, (images, groups) in sizes.items()
        ],
        "leaking": torn,
        "leaks": [{"groups": 44 if torn else 0, "pairs": 23 if torn else 0}],
    }


def _spread(*values: float) -> dict[str, float]:
    return dict(zip(("mean", "min", "p5", "median", "p95", "max"), values, strict=True))


def run_record(name: str) -> dict[str, Any]:
    """The record of a training."""
    return {
        "rule": "train",
        "wildcards": {"study": name, "fold": "0", "seed": "1"},
        "code": "5f1b20c9a7e4d310",
        "started": "2026-03-02T09:14:05+00:00",
        "ended": "2026-03-02T09:26:41+00:00",
        "seconds": 756.2,
        "peak_memory_mb": 1834,
        "threads": 2,
        "machine": {"processor": "Intel Xeon Platinum", "cores": 2, "system": "Linux"},
        "python": "3.11.7",
        "packages": {"tensorflow-cpu": "2.21.0", "keras": "3.15.0", "numpy": "2.4.0"},
        "git": None,
        "device": {"name": "CPU", "gpu": False, "threads": 2},
        "training": {"epochs": 40, "training_seconds": 731.0, "resumed_after_epoch": 0},
    }


def panels(rng: np.random.Generator, side: int = 240, lines: int = 4) -> np.ndarray:
    """Panels of image, truth and prediction: uint8 HxWx3."""
    sheet = []
    for _ in range(lines):
        image = rng.normal(24, 6, (side, side)).astype(np.float32)
        truth = np.zeros((side, side), np.uint8)
        for _ in range(14):
            centre = tuple(int(v) for v in rng.integers(10, side - 10, 2))
            axes = tuple(int(v) for v in rng.integers(9, 19, 2))
            cv2.ellipse(truth, centre, axes, int(rng.integers(180)), 0, 360, 255, -1)
        image += cv2.GaussianBlur(truth, (0, 0), 2) * 0.6
        predicted = cv2.erode(truth, np.ones((3, 3), np.uint8))
        errors = np.full((side, side, 3), 20, np.uint8)
        errors[(truth > 0) & (predicted > 0)] = 220
        errors[(truth > 0) & (predicted == 0)] = (0, 94, 213)
        grey = np.clip(image, 0, 255).astype(np.uint8)
        tiles = [
            cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR),
            cv2.cvtColor(truth, cv2.COLOR_GRAY2BGR),
            errors,
        ]
        gap = np.full((side, 10, 3), 255, np.uint8)
        sheet.append(np.hstack([tiles[0], gap, tiles[1], gap, tiles[2]]))
        sheet.append(np.full((10, sheet[0].shape[1], 3), 255, np.uint8))
    return np.vstack(sheet[:-1])


def chart(name: str, rng: np.random.Generator) -> str:
    """A small line chart as SVG."""
    lines = []
    for at, colour in enumerate(("#0072B2", "#D55E00")):
        y = 220 - 170 * (1 - np.exp(-np.arange(40) / 8)) + 12 * at + rng.normal(0, 2, 40)
        points = " ".join(f"{40 + 15 * x:.0f},{v:.1f}" for x, v in enumerate(y))
        lines.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
    return (
        '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 680 260" '
        'width="680" height="260"><path d="M40 20V225H650" fill="none" stroke="#555"/>'
        f'<text x="330" y="252" font-family="sans-serif" font-size="13">{name}</text>'
        f"{''.join(lines)}</svg>"
    )


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")
