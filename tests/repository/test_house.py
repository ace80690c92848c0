"""The files at the root tell one story: ranges, locks, versions, sizes, addresses."""

import ast
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from repository_files import LINUX, LOCKS, MADE, PIN, PROJECT, ROOT, direct, pins, text_files

PACKAGE = ROOT / "workflow/scripts/coverslip"
MADE |= {".pytest_cache", ".ruff_cache", ".hypothesis", ".mypy_cache", "htmlcov"}


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


@pytest.mark.parametrize("file", PIN["FILES"])
def test_environment_files_are_the_lock(file):
    lock, _, snakemake, _ = PIN["FILES"][file]
    written = (ROOT / file).read_text(encoding="utf-8")
    assert written == PIN["environment"](file), f"{file} drifted; run `make lock`"
    stated = [Requirement(p) for p in yaml.safe_load(written)["dependencies"][-1]["pip"]]
    locked = pins(lock)
    for package in stated:
        versions = {
            version
            for version, pin, _ in locked[canonicalize_name(package.name)]
            if not pin.marker or pin.marker.evaluate(PIN["PYTHON"])
        }
        assert {f"=={version}" for version in versions} == {str(package.specifier)}
    names = {package.name for package in stated}
    assert ("snakemake" in names) == snakemake
    assert any(name.startswith("tensorflow") for name in names) == (
        Path(file).stem not in ("core", "report")
    )


def rule_environments() -> dict[str, str]:
    """Environment file of each script, as its rule names it."""
    found = {}
    for file in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for rule in re.split(r"^(?:rule|use rule|    rule)\b", file.read_text("utf-8"), flags=re.M):
            script = re.search(r'script:\s+"\.\./scripts/(\w+\.py)"', rule)
            if script:
                found[script[1]] = re.search(r"conda:\s+(\S+)", rule)[1].strip('"')
    return found


def test_every_script_has_an_environment_that_exists():
    environments = rule_environments()
    scripts = {path.name for path in (ROOT / "workflow/scripts").glob("*.py")}
    assert set(environments) == scripts
    of_tools = {'TOOL_ENVS["stardist"]', "environment"}
    assert set(environments.values()) == {"TRAIN_ENV", "CORE_ENV", "REPORT_ENV"} | of_tools
    made = {path.name for path in (ROOT / "workflow/envs").glob("*.yaml")}
    assert made == {"core.yaml", "report.yaml", "train-cpu.yaml", "train-gpu.yaml"}
    ours = re.findall(
        r'Literal\["cpu", "gpu"\]', (PACKAGE / "config/sections.py").read_text("utf-8")
    )
    assert len(ours) == 1


WITHOUT_TENSORFLOW = """
import ast, importlib, sys
from pathlib import Path

sys.modules.update(dict.fromkeys(sys.argv[2].split()))
for script in sys.argv[3:]:
    tree = ast.parse(Path(sys.argv[1], script).read_text())
    imports = [n for n in ast.walk(tree) if isinstance(n, (ast.Import, ast.ImportFrom))]
    exec(compile(ast.Module(imports, []), script, "exec"), {})
for figure in Path(sys.argv[1], "coverslip/reporting/figures").glob("*.py"):
    importlib.import_module(f"coverslip.reporting.figures.{figure.stem}")
"""


def test_jobs_in_the_core_environment_import_no_tensorflow():
    """With Keras and what comes with it out of reach, all that these scripts import is there."""
    core = [script for script, env in rule_environments().items() if env == "CORE_ENV"]
    missing = "keras tensorflow tensorboard onnx tf2onnx safetensors"
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW, str(PACKAGE.parent), missing, *core],
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


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
    for folder in ("tests", "benchmarks"):
        local |= {path.stem for path in (ROOT / folder).rglob("*.py")}
    unasked = []
    for folder, group in (("workflow", None), ("tests", "dev")):
        asked = {canonicalize_name(requirement.name) for requirement in direct("train", group)}
        for path in sorted((ROOT / folder).rglob("*.py")):
            if path.parent == ROOT / "workflow/scripts/tools":
                continue  # they run in environments of their own
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
    for path in (ROOT / "README.md", ROOT / "config/README.md", *(ROOT / "docs").rglob("*.md")):
        text = path.read_text(encoding="utf-8")
        for block in re.findall(r"^```yaml\n(.*?)^```", text, re.DOTALL | re.MULTILINE):
            if "studies" in (config := yaml.safe_load(block)):
                assert validate.resolve(config, schema)["studies"], f"{path}:\n{block}"
                found += 1
    assert found >= 6


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
