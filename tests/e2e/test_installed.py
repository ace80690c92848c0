"""A wheel brings the command and the workflow: it works in an empty folder, far from a clone."""

import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from running import ROOT, clean_environment

from coverslip.runtime.run_script import EXTRAS

pytestmark = pytest.mark.e2e

MORE = ("IPython", "mistune", "nbconvert", "pulp", "snakemake")
"""Modules of the extras that the code does not import itself, or not in scripts."""

SOURCES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """An environment with the wheel, and else with what this one has."""
    where = tmp_path_factory.mktemp("installed")
    source = where / "source"
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in ("workflow", "resources/models"):
        shutil.copytree(ROOT / folder, source / folder, ignore=ignore)
    for name in (*SOURCES, "config/config.yaml"):
        (source / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    offline = ["--no-index", "--no-deps"]
    wheel = [*pip, "wheel", *offline, "--no-build-isolation", str(source), "-w", str(where)]
    subprocess.run(wheel, check=True, cwd=where)
    shutil.rmtree(source)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", where / "env"], check=True)
    (site,) = (where / "env/lib").glob("python*/site-packages")
    (site / "base.pth").write_text(sysconfig.get_path("purelib"))
    (built,) = where.glob("*.whl")
    python = ["--python", str(where / "env/bin/python")]
    subprocess.run([*pip, *python, "install", *offline, str(built)], check=True, cwd=where)
    return where / "env"


def coverslip(installed: Path, where: Path, *words: str) -> str:
    """Run the command in a folder; return what it printed."""
    done = subprocess.run(
        [installed / "bin/coverslip", *words],
        cwd=where,
        env=clean_environment() | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def digest(folder: Path) -> str:
    """Digest of all files of an installation but for compiled modules."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            total.update(os.fsencode(path) + path.read_bytes())
    return total.hexdigest()


def test_the_wheel_works_in_an_empty_folder(installed, tmp_path):
    before = digest(installed)
    assert "measure" in coverslip(installed, tmp_path, "--help")
    assert str(installed) in coverslip(installed, tmp_path, "doctor")
    for folder in ("plate", "labels/images", "labels/masks"):
        (tmp_path / folder).mkdir(parents=True)
        image = np.zeros((64, 64), np.uint8)
        image[8:20, 8:20], image[30:50, 30:50] = 1, 2
        cv2.imwrite(str(tmp_path / folder / "a.png"), image)
    assert "1 image, label images in `masks`" in coverslip(installed, tmp_path, "init", "labels")
    assert "head: instance" in (tmp_path / "coverslip.yaml").read_text()
    words = ["init", "plate", "-o", "plate.yaml"]
    assert "then: coverslip run plate.yaml\n" in coverslip(installed, tmp_path, *words)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.json").write_text("{}")
    plan = coverslip(installed, tmp_path, "measure", "plate", "--model", "model", "--dry-run")
    assert "measure_tables" in plan and "workflow specific profile" in plan
    plan = coverslip(installed, tmp_path, "demo", "there", "--dry-run", "--", "--quiet", "all")
    assert (tmp_path / "there/config/config.yaml").is_file()
    made = {"coverslip.yaml", "labels", "model", "plate", "plate.yaml", "results", "there"}
    assert {path.name for path in tmp_path.iterdir()} == made | {".snakemake"}
    assert digest(installed) == before


def test_the_training_notebook_runs_to_a_measured_folder(installed, tmp_path):
    lesson = ROOT / "docs/tutorials/train.ipynb"
    shown = json.loads(lesson.read_text(encoding="utf-8"))
    cells = [cell for cell in shown["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in cells), "what readers see was executed"
    shutil.copy(lesson, tmp_path)
    execute = ["-m", "nbconvert", "--to", "notebook", "--execute", "--output", "done", lesson.name]
    path = os.pathsep.join([str(installed / "bin"), os.environ["PATH"]])
    done = subprocess.run(
        [installed / "bin/python", *execute],
        cwd=tmp_path,
        env=clean_environment() | {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (table,) = tmp_path.glob("results/measure/*/images.csv")
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 6 and all(int(row["n_objects"]) > 0 for row in rows)
    done = json.loads((tmp_path / "done.ipynb").read_text(encoding="utf-8"))
    images = [
        output
        for cell in done["cells"]
        for output in cell.get("outputs", ())
        if "image/png" in output.get("data", {})
    ]
    assert len(images) == 4


@pytest.fixture
def base(installed) -> Iterator[Path]:
    """The environment with the packages of the base alone: those of the extras are hidden."""
    (site,) = (installed / "lib").glob("python*/site-packages")
    hidden = [site / f"{module}.py" for module in (*EXTRAS, *MORE)]
    for path in hidden:
        path.write_text(f"raise ModuleNotFoundError('hidden', name={path.stem!r})\n")
    yield installed
    for path in hidden:
        path.unlink()


def test_the_base_measures_in_an_empty_folder(base, tmp_path):
    """With the nucleus model that comes along, and without TensorFlow."""
    (tmp_path / "plate").mkdir()
    image = np.full((96, 128), 8, np.uint8)
    for column in (30, 90):
        cv2.circle(image, (column, 48), 10, 160, -1)
    cv2.imwrite(str(tmp_path / "plate/a.png"), cv2.GaussianBlur(image, (0, 0), 1.5))
    coverslip(base, tmp_path, "measure", "plate", "--cores", "2")
    (table,) = tmp_path.glob("results/measure/*/images.csv")
    (row,) = csv.DictReader(table.read_text(encoding="utf-8").splitlines())
    assert (row["n_objects"], row["error"]) == ("2", "")
    assert {path.name for path in tmp_path.iterdir()} == {".snakemake", "plate", "results"}
