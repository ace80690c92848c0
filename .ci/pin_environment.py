"""Writes environment.yml: the direct dependencies at the versions of the lock (`make lock`)."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LINUX = {"sys_platform": "linux", "extra": ""}
HEAD = """\
# Manual installation with conda or mamba, and the environment of the rules under `--sdm conda`.
# Written by `make lock` from pyproject.toml and requirements.txt; do not edit by hand.
name: coverslip
channels:
  - conda-forge
dependencies:
  - python=3.11
  - pip
  - pip:
"""


def environment() -> str:
    """The text of environment.yml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lock = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    versions = {
        canonicalize_name(name): version
        for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock, flags=re.MULTILINE)
    }
    wanted = project["dependencies"] + project["optional-dependencies"]["cpu"]
    names = sorted(
        requirement.name
        for requirement in map(Requirement, wanted)
        if requirement.marker is None or requirement.marker.evaluate(LINUX)
    )
    return HEAD + "".join(
        f"      - {name}=={versions[canonicalize_name(name)]}\n" for name in names
    )


if __name__ == "__main__":
    (ROOT / "environment.yml").write_text(environment(), encoding="utf-8")
