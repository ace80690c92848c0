"""The table of tools: each has a program, an environment, and facts of its models."""

from pathlib import Path
from typing import get_args

import pytest
import yaml

from coverslip.config.sections import ToolModel
from coverslip.pipeline import tools

WORKFLOW = Path(__file__).resolve().parents[3] / "workflow"
SECTION = {"model": None, "command": None, "train": None, "options": {}}


def test_each_tool_has_a_program_and_an_environment():
    names = set(get_args(ToolModel.model_fields["tool"].annotation)) - {"command"}
    assert names == set(tools.TOOLS)
    programs = {path.stem for path in (WORKFLOW / "scripts/tools").glob("run_*.py")}
    assert programs == {f"run_{name}" for name in names}
    environments = {path.stem for path in (WORKFLOW / "envs/tools").glob("*.yaml")}
    assert environments == names


def test_environments_pin_their_packages():
    for path in (WORKFLOW / "envs/tools").glob("*.yaml"):
        *_, packages = yaml.safe_load(path.read_text())["dependencies"]
        assert all("==" in package for package in packages["pip"]), path


def test_the_default_model_of_a_tool_is_known():
    for name, tool in tools.TOOLS.items():
        assert tools.pretrained(name, tool.default) is not None
        assert tools.model_name({**SECTION, "tool": name}) == tool.default


def test_downloads_have_an_address_and_a_place_of_their_own():
    assert tools.file_name("stardist", "2D_versatile_fluo") == "stardist/2D_versatile_fluo.zip"
    assert tools.file_name("micro_sam", "vit_b_lm") is None
    for name in tools.FILES:
        facts = tools.download_facts(name)
        assert facts["address"].startswith("https://")
        assert facts["sha256"] is None or len(facts["sha256"]) == 64


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            {"tool": "stardist", "model": "2D_versatile_he"},
            {"model_licence": "BSD-3-Clause", "trained_on_split": False},
        ),
        (
            {"tool": "stardist", "train": {}},
            {"training_data_licence": "CC0-1.0", "trained_on_split": True},
        ),
        (
            {"tool": "stardist", "model": "/my/model"},
            {"licence": "BSD-3-Clause", "training_data_licence": tools.UNKNOWN},
        ),
        ({"tool": "command"}, {"licence": tools.UNKNOWN, "model": None}),
    ],
)
def test_results_state_licences_and_training_data(keys, expected):
    described = tools.describe({**SECTION, **keys}, "CC0-1.0")
    assert expected.items() <= described.items()
