"""Locks install for ever: nothing in them is left to resolve, and nobody resolves."""

import re
from importlib import metadata

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from repository_files import LINUX, LOCKS, ROOT, direct, pins, text_files

PYTHONS = ("3.11", "3.12", "3.13")


def environment(python: str) -> dict[str, str]:
    """Values of markers on Linux with a version of CPython."""
    more = {"python_version": python, "python_full_version": f"{python}.0", "os_name": "posix"}
    names = {"implementation_name": "cpython", "platform_python_implementation": "CPython"}
    return LINUX | more | names | {"platform_system": "Linux"}


def requirements(name: str) -> list[Requirement] | None:
    """Requirements of an installed package; none where it is not installed.

    TensorFlow for GPUs is no part of the environment of tests; that for the CPU states the same.
    """
    try:
        stated = metadata.requires("tensorflow-cpu" if name == "tensorflow" else name)
    except metadata.PackageNotFoundError:
        return None
    return [Requirement(text) for text in stated or ()]


def locked(lock: str, here: dict[str, str]) -> dict[str, str]:
    """Versions that a lock gives in some environment."""
    return {
        name: version
        for name, found in pins(lock).items()
        for version, requirement, _ in found
        if holds(requirement, here)
    }


def holds(requirement: Requirement, here: dict[str, str], extra: str = "") -> bool:
    """Whether a requirement counts in an environment, with an extra of what requires it."""
    return requirement.marker is None or requirement.marker.evaluate(here | {"extra": extra})


def walk(lock: str, python: str) -> tuple[list[str], set[str]]:
    """Requirements that no pin of a lock satisfies; packages whose requirements are unknown."""
    here = environment(python)
    versions = locked(lock, here)
    todo = [("pyproject.toml", r) for r in direct(*LOCKS[lock]) if holds(r, here)]
    broken, unknown, done = [], set(), set()
    while todo:
        origin, requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        version = versions.get(name)
        if version is None or not requirement.specifier.contains(version, prereleases=True):
            broken.append(f"{origin}: {requirement}, locked: {version}")
        for extra in {"", *requirement.extras} - {extra for n, extra in done if n == name}:
            done.add((name, extra))
            found = requirements(name)
            if found is None:
                unknown.add(name)
            todo += [(name, r) for r in found or () if holds(r, here, extra)]
    return broken, unknown


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", LOCKS)
def test_nothing_in_a_lock_is_left_to_resolve(lock, python):
    broken, unknown = walk(lock, python)
    assert broken == [], "run `make lock`"
    # Known are those of what is installed: the lock for development, for this version of Python.
    assert unknown.isdisjoint(locked("requirements-dev.txt", default_environment()))


def test_what_only_gpus_need_is_whole():
    """Packages of NVIDIA, gigabytes that are not installed here, are all that TensorFlow names."""
    named = {canonicalize_name(r.name) for r in requirements("tensorflow") if "cuda" in str(r)}
    pinned = {name for name in pins("requirements-gpu.txt") if name.startswith("nvidia-")}
    assert len(pinned) > 5 and pinned == {name for name in named if name.startswith("nvidia-")}


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-gpu.txt"])
def test_what_locks_share_are_the_same_files(lock):
    """So `.ci/run`, which installs the lock for development, tries what the others hold as well."""
    tried, other = files("requirements-dev.txt"), files(lock)
    differ = {name for name in other if other[name] != tried.get(name)}
    assert differ == {name for name in other if name.startswith("nvidia-")}


def files(lock: str) -> dict[str, list[str]]:
    """Hashes of the files of each package of a lock."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in (ROOT / lock).read_text(encoding="utf-8").splitlines():
        name = re.split("=|@| ", line)[0] or name
        found.setdefault(name, []).extend(re.findall("--hash=([^ ]+)", line))
    return {name: sorted(hashes) for name, hashes in found.items() if hashes}


def test_locks_are_installed_without_resolving():
    """Older pip resolves `coverage[toml]` to the newest release, whatever is locked."""
    commands = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path, text in text_files()
        for line in text.splitlines()
        if re.search(r"\bpip install .*--require-hashes", line) and "uv pip" not in line
    ]
    assert {c.split(":")[0] for c in commands} >= {"Makefile", "README.md", "docs/how-to/gpu.md"}
    assert [command for command in commands if "--no-deps" not in command] == []
