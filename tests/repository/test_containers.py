"""Dockerfile and Apptainer definition build from the lock, of files that exist."""

import re

import pytest
import yaml
from running import ROOT

DOCKER = (ROOT / "Dockerfile").read_text(encoding="utf-8")
APPTAINER = (ROOT / "coverslip.def").read_text(encoding="utf-8")


def docker_sources() -> set[str]:
    """Files and folders that Dockerfile copies, besides the lock."""
    copies = re.findall(r"^COPY (.+) \S+$", DOCKER, flags=re.MULTILINE)
    return {word for line in copies for word in line.split() if "LOCK" not in word}


def apptainer_sources() -> set[str]:
    """Files and folders that the Apptainer definition copies, besides the lock."""
    files = APPTAINER.split("%files\n")[1].split("\n\n")[0]
    return {line.split()[0] for line in files.splitlines() if "LOCK" not in line}


def test_both_images_have_the_same_files():
    assert docker_sources() == apptainer_sources()
    assert all((ROOT / source).exists() for source in docker_sources())
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8")
    for source in docker_sources():
        assert f"!{source}\n" in ignored


def test_the_images_have_all_that_a_wheel_is_built_from():
    manifest = (ROOT / "MANIFEST.in").read_text(encoding="utf-8")
    parts = re.findall(r"^(?:graft|include|recursive-include) (\S+)", manifest, flags=re.MULTILINE)
    assert set(parts) | {"pyproject.toml", "setup.py"} <= docker_sources()


@pytest.mark.parametrize("text", [DOCKER, APPTAINER])
def test_an_image_installs_the_lock_whole_and_resolves_nothing(text):
    installs = re.findall(r"pip install (.+)", text)
    assert len(installs) == 2 and all("--no-deps" in command for command in installs)
    # Not below /tmp, which Apptainer replaces by that of the host.
    assert "--require-hashes -r /src/lock.txt" in installs[0]
    lock = re.search(r"LOCK=(\S+)", text)
    assert lock and (ROOT / lock[1]).is_file()
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python = re.search(r"python:(3\.\d+)-slim", text)
    assert python and f"python={python[1]}" in environment["dependencies"]
    # The package is built without its own environment, by what the lock has.
    pins = (ROOT / lock[1]).read_text(encoding="utf-8")
    assert re.search(r"^setuptools==", pins, flags=re.MULTILINE)
