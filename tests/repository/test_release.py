"""The checks before a release: the tag agrees with version, changelog and citation."""

import runpy
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
RELEASE = runpy.run_path(str(ROOT / ".ci/release.py"))

FILES = {
    "workflow/scripts/coverslip/__init__.py": '__version__ = "0.2.0"\n',
    "CITATION.cff": "cff-version: 1.2.0\nversion: 0.2.0\ndate-released: 2026-12-01\n",
    "CHANGELOG.md": """\
# Changelog

## [Unreleased]

## [0.2.0] - 2026-12-01

### Added

- A command.

## [0.1.0] - 2026-11-01

- The first.
""",
}


@pytest.fixture
def project(tmp_path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_release_that_agrees_has_its_section_as_notes(project):
    assert list(RELEASE["problems"]("v0.2.0", project)) == []
    assert RELEASE["notes"]("v0.2.0", project) == "### Added\n\n- A command."


@pytest.mark.parametrize(
    ("tag", "file", "old", "new", "problem"),
    [
        ("0.2.0", None, "", "", "0.2.0: a tag is `v` and a version"),
        ("v0.3.0", None, "", "", "has version 0.2.0, the tag 0.3.0"),
        ("v0.2.0", "CITATION.cff", "0.2.0", "0.1.0", "CITATION.cff: has version 0.1.0"),
        ("v0.2.0", "CITATION.cff", "12-01", "12-02", "date-released is 2026-12-02"),
        ("v0.2.0", "CHANGELOG.md", " - 2026-12-01", "", "has no section `## [0.2.0]"),
        ("v0.2.0", "CHANGELOG.md", "2026-12-01", "2026-13-01", "2026-13-01 is no date"),
        ("v0.2.0", "CHANGELOG.md", "### Added\n\n- A command.\n", "", "of 0.2.0 is empty"),
        ("v0.2.0", "CHANGELOG.md", "[Unreleased]", "[0.3.0]", "the newest section is of 0.3.0"),
    ],
)
def test_what_does_not_agree_is_named(project, tag, file, old, new, problem):
    if file is not None:
        text = (project / file).read_text()
        assert old in text
        (project / file).write_text(text.replace(old, new, 1))
    assert any(problem in line for line in RELEASE["problems"](tag, project))


def test_actions_of_github_use_what_is_there():
    """Workflows are YAML with jobs, and the scripts and targets that they run exist."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    commands = []
    for file in sorted((ROOT / ".github/workflows").glob("*.yml")):
        for job in yaml.safe_load(file.read_text("utf-8"))["jobs"].values():
            commands += [step["run"] for step in job["steps"] if "run" in step]
    for command in commands:
        words = command.split()
        if words[0] == "make":
            assert f"\n{words[1]}:" in makefile, command
        paths = [word for word in words if word.startswith((".ci/", "benchmarks/", "config/"))]
        assert all((ROOT / path).exists() for path in paths), command
    assert any(command.startswith("make lint") for command in commands)
    assert any(".ci/run" in command for command in commands)
    assert any("release.py check" in command for command in commands)
