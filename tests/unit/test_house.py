"""The files at the root tell one story: ranges, locks, versions, sizes, addresses."""

import ast
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = {
    "requirements.txt": ("cpu", None),
    "requirements-dev.txt": ("cpu", "dev"),
    "requirements-gpu.txt": ("gpu", None),
}
LINUX = {"sys_platform": "linux", "platform_machine": "x86_64"}
MADE = {"results", ".snakemake", ".venv", ".git", "__pycache__", "raw", "weights", ".cache"}
MADE |= {".pytest_cache", ".ruff_cache", ".hypothesis", ".mypy_cache", "htmlcov"}


def pins(lock: str) -> dict[str, list[tuple[str, Requirement, int]]]:
    """Name -> (version, requirement with its marker, number of hashes) of each pin of a lock."""
    text = (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", " ")
    found: dict[str, list[tuple[str, Requirement, int]]] = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        stated, *hashes = re.split(r"\s+--hash=", line)
        requirement = Requirement(stated)
        (pin,) = requirement.specifier
        assert pin.operator == "==", f"{lock}: {stated} is not pinned"
        entry = (pin.version, requirement, sum(h.startswith("sha256:") for h in hashes))
        found.setdefault(canonicalize_name(requirement.name), []).append(entry)
    return found


def direct(extra: str, group: str | None) -> list[Requirement]:
    """Direct dependencies that a lock stands for."""
    stated = list(PROJECT["project"]["dependencies"])
    stated += PROJECT["project"]["optional-dependencies"][extra]
    stated += PROJECT["dependency-groups"][group] if group else []
    return [Requirement(text) for text in stated]


def text_files() -> Iterator[tuple[Path, str]]:
    """Every text file of the project, less what is made or downloaded."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(name for name in folders if name not in MADE)
        for name in sorted(names):
            path = Path(folder) / name
            try:
                yield path, path.read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


@pytest.mark.parametrize("lock", LOCKS)
def test_every_direct_dependency_is_pinned_inside_its_range(lock):
    locked = pins(lock)
    wrong = []
    for requirement in direct(*LOCKS[lock]):
        if requirement.marker and not requirement.marker.evaluate(LINUX):
            continue
        found = locked.get(canonicalize_name(requirement.name), [])
        if not any(requirement.specifier.contains(version) for version, _, _ in found):
            wrong.append(f"{requirement}: {[version for version, _, _ in found] or 'not locked'}")
    assert not wrong, f"{lock} is behind pyproject.toml; run `make lock`: {wrong}"


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_its_hashes(lock):
    bare = [name for name, found in pins(lock).items() if not all(n for _, _, n in found)]
    assert bare == []


def test_locks_share_their_versions():
    runtime = pins("requirements.txt")
    for lock in ("requirements-dev.txt", "requirements-gpu.txt"):
        other = pins(lock)
        differ = {
            name: (found, other[name])
            for name, found in runtime.items()
            if name in other and {v for v, _, _ in found} != {v for v, _, _ in other[name]}
        }
        assert not differ, f"{lock} and requirements.txt differ; run `make lock`: {differ}"
    assert set(runtime) <= set(pins("requirements-dev.txt"))


@pytest.mark.parametrize(
    ("lock", "expected"),
    [("requirements.txt", {"tensorflow-cpu"}), ("requirements-gpu.txt", {"tensorflow"})],
)
def test_one_tensorflow_each(lock, expected):
    found = {
        name
        for name, entries in pins(lock).items()
        for _, requirement, _ in entries
        if name.startswith("tensorflow")
        and (requirement.marker is None or requirement.marker.evaluate(LINUX))
    }
    assert found == expected
    assert any(n.startswith("nvidia-cudnn") for n in pins(lock)) == (expected == {"tensorflow"})


def test_environment_is_the_lock():
    code = runpy.run_path(str(ROOT / ".ci/pin_environment.py"))
    written = (ROOT / "environment.yml").read_text(encoding="utf-8")
    assert written == code["environment"](), "environment.yml drifted; run `make lock`"
    packages = yaml.safe_load(written)["dependencies"][-1]["pip"]
    pinned = {canonicalize_name(p.split("==")[0]): p.split("==")[1] for p in packages}
    locked = pins("requirements.txt")
    fits = {
        name: {v for v, r, _ in locked[name] if not r.marker or r.marker.evaluate(code["PYTHON"])}
        for name in pinned
    }
    assert {name: {version} for name, version in pinned.items()} == fits
    assert "tensorflow-cpu" in pinned and "snakemake" in pinned


def test_python_version_is_one():
    supported = SpecifierSet(PROJECT["project"]["requires-python"])
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    low, high = re.search(
        r"\((3, \d+)\) <= sys.version_info\[:2\] <= \((3, \d+)\)", makefile
    ).groups()
    minors = [minor for minor in range(30) if f"3.{minor}" in supported]
    assert [f"3, {minors[0]}", f"3, {minors[-1]}"] == [low, high]
    assert PROJECT["tool"]["ruff"]["target-version"] == f"py3{minors[0]}"
    assert f"--python-version 3.{minors[0]} " in makefile
    stated = {c.rsplit(" ", 1)[1] for c in PROJECT["project"]["classifiers"] if ":: 3." in c}
    assert stated == {f"3.{minor}" for minor in minors}


def test_version_is_one():
    import coverslip

    assert PROJECT["project"]["dynamic"] == ["version"]
    attribute = PROJECT["tool"]["setuptools"]["dynamic"]["version"]["attr"]
    assert attribute == "coverslip.__version__"
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == coverslip.__version__
    released = re.findall(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert not released or released[0] == coverslip.__version__


def test_imports_are_direct_dependencies():
    """What the code imports is asked for by name, not got by chance through another package."""
    owners = metadata.packages_distributions()
    local = {path.stem for path in (ROOT / "workflow" / "scripts").iterdir()} | {"conftest"}
    local |= {path.stem for path in (ROOT / "tests").rglob("*.py")}
    unasked = []
    for folder, group in (("workflow", None), ("tests", "dev")):
        asked = {canonicalize_name(requirement.name) for requirement in direct("cpu", group)}
        for path in sorted((ROOT / folder).rglob("*.py")):
            for name in _imported(path):
                if name in sys.stdlib_module_names or name in local:
                    continue
                if not {canonicalize_name(owner) for owner in owners.get(name, [])} & asked:
                    unasked.append(f"{path.relative_to(ROOT)}: {name}")
    assert not unasked, f"name these in pyproject.toml and run `make lock`: {unasked}"


def _imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def test_no_registry_address():
    # put together here, so that this file is not what it looks for
    hosts = ["py" + r"pi\.(org|python)", "python" + "hosted", r"conda\.ana" + "conda"]
    options = ["index" + "-url", "find" + "-links", "trusted" + "-host", "/sim" + r"ple\b"]
    pattern = re.compile("|".join(hosts + options), re.IGNORECASE)
    allowed = re.compile(r"--no-emit-\S+")
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path, text in text_files()
        if (match := pattern.search(allowed.sub("", text)))
    ]
    assert found == []


CASES = """
import pytest
def test_data(): pytest.skip("COVERSLIP_DATA is not set")
def test_other(): pytest.skip("no browser")
@pytest.mark.skipif(True, reason="too slow")
def test_marked(): pass
@pytest.mark.xfail(reason="known", strict=True)
def test_known(): assert False
"""


@pytest.mark.parametrize(
    ("require", "outcome"),
    [("1", "1 failed, 1 skipped, 1 xfailed, 1 error"), ("", "3 skipped, 1 xfailed")],
)
def test_nothing_is_skipped_in_silence(tmp_path, require, outcome):
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_cases.py").write_text(CASES, encoding="utf-8")
    printed = _pytest(tmp_path, require)
    assert outcome in printed
    assert ("but: Skipped: no browser" in printed) == bool(require)


def test_no_module_is_skipped_in_silence(tmp_path):
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_cases.py").write_text(
        "import pytest\npytest.importorskip('there_is_no_such_module')\n", encoding="utf-8"
    )
    assert "1 error" in _pytest(tmp_path, "1")
    assert "1 skipped" in _pytest(tmp_path, "")


def _pytest(folder: Path, require: str) -> str:
    paths = [str(ROOT / "tests"), str(ROOT / "workflow" / "scripts")]  # the conftest's imports
    environment = os.environ | {"COVERSLIP_REQUIRE": require, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(folder)]
    done = subprocess.run(
        [*command, str(folder)], cwd=folder, env=environment, capture_output=True, text=True
    )
    return done.stdout


def test_old_python_is_refused_with_a_mend(tmp_path):
    old = tmp_path / "python3.9"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit\nexit 1\n')
    old.chmod(0o755)
    command = ["make", "demo", f"PYTHON={old}", f"VENV={tmp_path / 'venv'}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert "Python 3.11, 3.12 or 3.13 is needed" in done.stderr
    assert "Python 3.9.2; name another: make demo PYTHON=python3.11" in done.stderr
    assert not (tmp_path / "venv").exists()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "make results"),
        (
            ["CONFIGFILE=a.yaml b.yaml", "OUTPUT=c.md"],
            'make results CONFIGFILE="a.yaml b.yaml" OUTPUT="c.md"',
        ),
    ],
)
def test_a_page_of_results_tells_how_it_was_made(tmp_path, given, told):
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    python.chmod(0o755)
    (tmp_path / ".cpu").touch()
    command = ["make", "--silent", "results", f"VENV={tmp_path}", *given]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    arguments = done.stdout.splitlines()
    assert arguments[arguments.index("--command") + 1] == told


def test_configs_in_the_documents_are_valid():
    from coverslip.config import validate

    schema = ROOT / "workflow" / "schemas" / "config.schema.json"
    found = 0
    for name in ("README.md", "docs/usage.md", "config/README.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for block in re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            assert validate.resolve(yaml.safe_load(block), schema)["studies"], f"{name}:\n{block}"
            found += 1
    assert found >= 3


def test_scripts_read_no_config():
    """Law 2: what changes a result is a parameter or an input, so that Snakemake knows of it."""
    scripts = sorted((ROOT / "workflow" / "scripts").rglob("*.py"))
    reading = [p.name for p in scripts if "snakemake.config" in p.read_text(encoding="utf-8")]
    assert scripts and reading == []


def test_links_in_the_documents_lead_somewhere():
    broken = [
        f"{path.relative_to(ROOT)}: {target}"
        for path, text in text_files()
        if path.suffix == ".md"
        for target in re.findall(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)", text)
        if not (path.parent / target).exists()
    ]
    assert broken == []
