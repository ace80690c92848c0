"""Own images in a folder a class: the config that config/README.md shows, from end to end."""

import json
import re

import cv2
import numpy as np
import outputs
import pandas as pd
import pytest
import yaml
from running import ROOT, copy_project, jobs, snakemake

pytestmark = pytest.mark.e2e

TINY = {
    "preprocessing": {"channels": "grey", "resize": [32, 32]},
    "network": {"filters": 4, "depth": 2},
    "training": {"epochs": 2, "batch_size": 8},
    "split": {"method": "random", "test": 0.3, "validation": 0.2},
    "attribution": {
        "images": 1,
        "occlusion": [{"window": 8, "stride": 8}],
        "steps": 4,
        "smooth_samples": 1,
    },
}
"""Laid over the config, for speed."""


def shown() -> str:
    """The config for folders of classes in config/README.md."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "config/README.md").read_text(), re.DOTALL)
    (block,) = [block for block in blocks if "class_folders" in block]
    return block


def draw(kind: str, shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """An image of round or of long cells, equally bright."""
    image = np.full(shape, 60, np.uint8)
    for _ in range(6):
        centre = tuple(int(rng.integers(6, side - 6)) for side in shape[::-1])
        axes = {"round": (4, 4), "long": (10, 2), "rare": (8, 8)}[kind]
        cv2.ellipse(image, centre, axes, float(rng.uniform(0, 180)), 0, 360, 170, -1)
    return np.clip(image + rng.normal(0, 5, shape), 0, 255).astype(np.uint8)


def test_folders_of_classes_from_images_to_report(tmp_path):
    where = copy_project(tmp_path / "project")
    block = shown()
    assert len(block.splitlines()) <= 11, "it is said to be short"
    config = yaml.safe_load(block)
    (study,), (dataset,) = config["studies"], config["datasets"].values()
    (where / "own.yaml").write_text(block)
    (where / "tiny.yaml").write_text(yaml.safe_dump({"studies": {study: TINY}}))
    rng = np.random.default_rng(0)
    for kind, count in (("round", 16), ("long", 16), ("rare", 1)):
        folder = where / dataset["source"]["path"] / kind
        folder.mkdir(parents=True)
        for number in range(count):
            shape = ((40, 48), (64, 36))[number % 2]
            cv2.imwrite(str(folder / f"{number:02d}.png"), draw(kind, shape, rng))
    own = ["--configfile", "own.yaml", "tiny.yaml"]
    snakemake(where, *own)

    assert outputs.differences(where, {"classes", "network"}) == []
    home = where / "results/studies" / study
    scores = json.loads((home / "metrics.json").read_text())
    assert scores["task"] == "classification" and scores["classes"] == ["long", "rare", "round"]
    found = {
        record["name"]: record
        for record in scores["metrics"]
        if (record["subset"], record["run"], record["class"]) == ("test", "all", None)
    }
    table = pd.read_csv(home / "images.csv")
    of_test = table[table["subset"] == "test"]
    assert found["accuracy"]["support"] == len(of_test) >= 8
    assert found["accuracy"]["value"] == pytest.approx(of_test["correct"].mean(), abs=1e-5)
    assert set(found["accuracy"]["baselines"]) == {"majority class", "brightness"}
    checked = json.loads(
        (where / f"results/datasets/{next(iter(config['datasets']))}/check/report.json").read_text()
    )
    assert checked["classes"] == {"long": 16, "rare": 1, "round": 16}
    assert "Class rare has a single image: it is either learned or tested." in checked["warnings"]
    labels = pd.read_csv(home / "predicted_classes.csv")
    assert set(labels["Label"]) <= set(scores["classes"]) and len(labels) == len(of_test)
    assert labels["Filename"].is_unique
    assert (home / "attribution/maps.h5").is_file()
    report = (where / "results/report.html").read_text()
    assert config["studies"][study]["title"] in report
    assert "Confusion" in report or "confusion" in report
    assert jobs(where, *own) == {}


def test_one_class_is_refused_by_name(tmp_path):
    where = copy_project(tmp_path / "project")
    (where / "own.yaml").write_text(shown())
    folder = where / "data/mine/only"
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "1.png"), np.zeros((40, 40), np.uint8))
    told = snakemake(where, "--configfile", "own.yaml", "--until", "ingest", check=False)
    line = next(line for line in told.splitlines() if line.startswith("coverslip: "))
    assert "all images are of one class, 'only'" in line
