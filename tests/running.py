"""Runs of the workflow in a copy of the project, for tests."""

import atexit
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from copy import deepcopy
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[1]
SCHEMA = ROOT / "workflow/schemas/config.schema.json"
PARTS = ("workflow", "config")


SHARED = ("SNAKEMAKE_OUTPUT_CACHE", "COVERSLIP_COMMAND")


def snakemake(where: Path, *arguments: str, check: bool = True, **variables: str) -> str:
    """Run Snakemake in a folder, with these environment variables; return what it printed."""
    with tempfile.TemporaryDirectory() as told:
        stdout, stderr = Path(told, "stdout"), Path(told, "stderr")
        request = {
            "arguments": ["--cores", "2", *arguments],
            "cwd": str(where),
            "environment": clean_environment() | variables,
            "stdout": str(stdout),
            "stderr": str(stderr),
        }
        server = preloaded()
        server.stdin.write(json.dumps(request) + "\n")
        server.stdin.flush()
        status = server.stdout.readline().strip()
        text = stdout.read_text() + stderr.read_text()
    assert not check or status == "0", text[-4000:]
    return text


@cache
def preloaded() -> subprocess.Popen:
    """A process of this test worker that has imported Snakemake and forks for each run."""
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "tests/preloaded.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    atexit.register(server.communicate)
    return server


def clean_environment() -> dict[str, str]:
    """The environment less what one run would hand on to another."""
    kept = {name: value for name, value in os.environ.items() if name not in SHARED}
    return kept | {"PYTHONDONTWRITEBYTECODE": "1"}


def jobs(where: Path, *arguments: str) -> dict[str, int]:
    """Jobs by rule that a run would do now; the rules of single figures count as `figure`."""
    text = snakemake(where, "--dry-run", *arguments)
    if "Nothing to be done" in text:
        return {}
    table = text.split("Job stats:")[1].split("\n\n")[0]
    counts = dict(re.findall(r"^(\w+)\s+(\d+)\s*$", table, flags=re.MULTILINE))
    found: dict[str, int] = {}
    for rule, count in counts.items():
        if rule not in ("total", "all"):
            name = "plot" if rule.startswith("plot_") else rule
            found[name] = found.get(name, 0) + int(count)
    return found


def copy_project(where: Path, root: Path = ROOT) -> Path:
    """The files of the project that a run needs, with new time stamps, as a clone has them."""
    where.mkdir(exist_ok=True)
    for part in PARTS:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(root / part, where / part, ignore=ignore, copy_function=shutil.copyfile)
    return where


def place_data(where: Path) -> Path:
    """Put placeholders where the shipped configs have data that nothing can download."""
    (where / "resources/raw/brightfield").mkdir(parents=True, exist_ok=True)
    (where / "resources/raw/nuclei-patches.zip").touch()
    return where


def finish(where: Path, **variables: str) -> Path:
    """Make a project of two tiny studies and run it to its end."""
    from coverslip.data.simulate import nuclei

    copy_project(where)
    archive = where / "own.zip"
    nuclei.nuclei(archive, images=8, size=64, seed=2)
    with zipfile.ZipFile(archive) as file:
        file.extractall(where / "own")
    archive.unlink()
    (where / "config/config.yaml").write_text(yaml.safe_dump(tiny(Path("own")), sort_keys=False))
    snakemake(where, **variables)
    return where


def finish_others(where: Path, **variables: str) -> Path:
    """Run the other tasks to their end: a classification, K-means, and a measured folder."""
    copy_project(where)
    (where / "mine").mkdir()
    rng = np.random.default_rng(1)
    for name in "ab":
        field = cv2.GaussianBlur(rng.normal(size=(96, 96)).astype(np.float32), (0, 0), 6)
        cv2.imwrite(str(where / f"mine/{name}.png"), (255 * (field > 0)).astype(np.uint8))
    (where / "config/config.yaml").write_text(yaml.safe_dump(others(), sort_keys=False))
    snakemake(where, *OTHERS, **variables)
    return where


OTHERS = [
    "results/studies/classes/attribution/scores.json",
    "results/studies/classes/predicted_classes.csv",
    "results/studies/classes/metrics.json",
    "results/measure/mine/measure.html",
]
"""What `finish_others` makes, with all that it needs."""


def others() -> dict:
    """A classification, a study of K-means, and a folder that the latter measures."""
    study = {"split": {"method": "random", "test": 0.25}}
    dishes = {"kind": "synthetic", "simulator": "brightfield", "images": 8, "size": 96}
    patches = {"kind": "synthetic", "simulator": "histology_patches", "images": 32, "size": 32}
    return {
        "datasets": {
            "dishes": {"title": "Dishes", "source": dishes, "format": "paired"},
            "patches": {"title": "Patches", "source": patches, "format": "labelled_csv"},
        },
        "studies": {
            "kmeans": deepcopy(study) | {"title": "K-means", "dataset": "dishes", "kmeans": {}},
            "classes": deepcopy(study)
            | {
                "title": "Classes",
                "dataset": "patches",
                "task": "classification",
                "preprocessing": {"resize": [32, 32]},
                "network": {"filters": 2, "depth": 1},
                "training": {"epochs": 1, "batch_size": 8},
                "attribution": {"images": 1},
            },
        },
        "images": "mine",
        "model": "kmeans",
        "measure": {"shards": 1},
    }


def tiny(folder: Path) -> dict:
    """Two datasets (an archive made by the workflow, a folder), a study of each."""
    study = {
        "title": "Tiny",
        "preprocessing": {"channels": "grey", "patch": 32},
        "network": {"architecture": "unet", "filters": 2, "depth": 1},
        "training": {"epochs": 1, "batch_size": 4},
        "split": {"method": "random", "test": 0.25, "validation": 0.25},
    }
    made = {"kind": "synthetic", "images": 8, "size": 64}
    own = {"kind": "path", "path": str(folder)}
    return {
        "datasets": {
            "made": {"title": "Made", "source": made, "format": "dsb2018"},
            "own": {"title": "Own", "source": own, "format": "dsb2018"},
        },
        "studies": {
            "one": deepcopy(study) | {"dataset": "made"},
            "two": deepcopy(study)
            | {"dataset": "own", "network": {"architecture": "unet_confluency"}},
        },
    }
