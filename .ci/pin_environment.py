"""Writes environment.yml and workflow/envs/*.yaml at the versions of the locks (`make lock`)."""

import re
import tomllib
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PYTHON = {"python_version": "3.11", "python_full_version": "3.11.0"}
LINUX = {"sys_platform": "linux", "extra": ""}
# File: (lock, extras, whether Snakemake runs in it, what it is).
FILES = {
    "environment.yml": (
        "requirements.txt",
        ("train", "kaggle", "slurm"),
        True,
        "Manual installation with conda or mamba: all that the workflow runs in.",
    ),
    "workflow/envs/core.yaml": (
        "requirements.txt",
        ("studies", "kaggle"),
        False,
        "Data, evaluation and figures: most jobs need no TensorFlow, so they start sooner.",
    ),
    "workflow/envs/report.yaml": (
        "requirements.txt",
        ("notebook",),
        False,
        "Notebooks and the report: Jupyter, which no other job needs.",
    ),
    "workflow/envs/train-cpu.yaml": (
        "requirements.txt",
        ("train",),
        False,
        "Jobs that train or run networks, on CPUs.",
    ),
    "workflow/envs/train-gpu.yaml": (
        "requirements-gpu.txt",
        ("gpu",),
        False,
        "The same for NVIDIA GPUs, with CUDA: `--config tensorflow=gpu`.",
    ),
}
HEAD = """\
# {title}
# Written by `make lock` from pyproject.toml and {lock}; do not edit by hand.
name: {name}
channels:
  - conda-forge
dependencies:
  - python=3.11
  - pip
  - pip:
"""


def environment(file: str) -> str:
    """Return the text of an environment file: direct dependencies at their locked versions."""
    lock, extras, snakemake, title = FILES[file]
    text = (ROOT / lock).read_text(encoding="utf-8")
    pinned = re.findall(r"^([\w.-]+)==([^\s;\\]+)(?: ; ([^\\\n]+))?", text, flags=re.MULTILINE)
    versions = {
        canonicalize_name(name): version
        for name, version, marker in pinned
        if not marker or Marker(marker).evaluate(PYTHON)
    }
    name = "coverslip" if file == "environment.yml" else f"coverslip-{Path(file).stem}"
    lines = {
        f"      - {each.name}{extras_of(each)}=={versions[canonicalize_name(each.name)]}\n"
        for each in direct_dependencies(*extras)
        if snakemake or not each.name.startswith("snakemake")
    }
    return HEAD.format(title=title, lock=lock, name=name) + "".join(sorted(lines))


def direct_dependencies(*extras: str) -> list[Requirement]:
    """Return the direct dependencies of the package with extras, on Linux."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [Requirement(text) for text in project["dependencies"]]
    names = list(extras)
    for extra in names:  # an extra may name others: `coverslip[networks]`
        for requirement in map(Requirement, project["optional-dependencies"][extra]):
            if requirement.name == project["name"]:
                names += sorted(requirement.extras)
            else:
                wanted.append(requirement)
    return [each for each in wanted if each.marker is None or each.marker.evaluate(LINUX)]


def extras_of(requirement: Requirement) -> str:
    """Return the extras of a requirement as pip reads them, `[and-cuda]`."""
    return f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""


if __name__ == "__main__":
    for file in FILES:
        (ROOT / file).write_text(environment(file), encoding="utf-8")
