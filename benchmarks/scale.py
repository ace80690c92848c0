"""What each step costs an image: `python benchmarks/scale.py [N] [M]`, 500 and 2,000 images.

Runs the workflow on N and on M distinct images of 256x256, grey, with one mask each, in a zip,
with one thread and one epoch of 64 patches. From the records of the two runs it prints for each
rule the CPU seconds and the memory at M, and what a further image adds to both and to the disk.
Pairs of images are compared in `group_images`, whose cost grows with their square.
"""

import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import cv2
import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from running import copy_project

SIZE = 256
CONFIG = {
    "datasets": {
        "own": {
            "title": "Own",
            "source": {"kind": "path", "path": "own.zip"},
            "format": "paired",
        }
    },
    "studies": {
        "one": {
            "title": "One",
            "dataset": "own",
            "preprocessing": {"channels": "grey", "patch": SIZE},
            "network": {"filters": 16, "depth": 3},
            "training": {"epochs": 1, "batch_size": 8, "patches_per_epoch": 64},
            "evaluation": {"overlap": 0},
        }
    },
}


def archive(path: Path, images: int) -> None:
    """Write distinct images with masks: windows of one large random field, with noise."""
    rng = np.random.default_rng(1)
    field = cv2.GaussianBlur(rng.normal(size=(4096, 4096)).astype(np.float32), (0, 0), 9)
    field /= field.std()
    with zipfile.ZipFile(path, "w") as file:
        for number in range(images):
            y, x = rng.integers(0, 4096 - SIZE, 2)
            window = field[y : y + SIZE, x : x + SIZE]
            light = 40 + 60 * np.clip(window, 0, 3) + rng.normal(0, 3, window.shape)
            image = np.clip(light, 0, 255).astype(np.uint8)
            mask = (window > 1).astype(np.uint8) * 255
            for folder, array in (("inputs", image), ("masks", mask)):
                file.writestr(
                    f"{folder}/{number:07d}.png", cv2.imencode(".png", array)[1].tobytes()
                )


def measured(images: int) -> tuple[dict[str, tuple[float, float]], dict[str, int]]:
    """CPU seconds and peak memory in MB of each rule, and bytes below each folder of results."""
    with tempfile.TemporaryDirectory() as name:
        project = copy_project(Path(name) / "project", ROOT)
        archive(project / "own.zip", images)
        (project / "config/config.yaml").write_text(yaml.safe_dump(CONFIG))
        command = [sys.executable, "-m", "snakemake", "--cores", "1"]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stderr)
        costs: dict[str, tuple[float, float]] = {}
        for file in sorted((project / "results").rglob("*run.json")):
            record = json.loads(file.read_text())
            seconds, memory = costs.get(record["rule"], (0.0, 0.0))
            seconds += record["cpu_seconds"]
            costs[record["rule"]] = (seconds, max(memory, record["peak_memory_mb"]))
        sizes = {}
        for part in ("datasets/own", "studies/one/patches", "studies/one/fold0_seed1/predictions"):
            files = (project / "results" / part).rglob("*")
            sizes[part] = sum(file.stat().st_size for file in files if file.is_file())
        return costs, sizes


def main(few: int, many: int) -> None:
    """Print a table."""
    (first, smaller), (second, larger) = measured(few), measured(many)
    print(f"{'rule':28} CPU s at {many}   MB at {many}   ms more an image   kB more an image")
    for rule in second:
        seconds, memory = (b - a for a, b in zip(first[rule], second[rule], strict=True))
        print(f"{rule:28} {second[rule][0]:11.1f} {second[rule][1]:11.0f}", end="")
        print(f" {1e3 * seconds / (many - few):19.2f} {1e3 * memory / (many - few):19.1f}")
    for part, size in larger.items():
        print(f"{part}: {(size - smaller[part]) / (many - few) / 1e3:.1f} kB more an image on disk")


if __name__ == "__main__":
    given = [int(number) for number in sys.argv[1:]]
    main(*(given or [500, 2000]))
