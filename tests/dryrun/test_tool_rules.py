"""What studies of other tools plan, and measuring with them."""

from pathlib import Path

import pytest
import yaml
from running import copy_project, jobs

COMMAND = "mytool {images} {labels}"


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    where = copy_project(tmp_path_factory.mktemp("clone") / "project")
    (where / "mine").mkdir()
    (where / "mine/a.png").write_bytes(b"")
    models = {
        "trained": {"tool": "stardist", "train": {"epochs": 2}},
        "published": {"tool": "stardist", "shards": 2},
        "any": {"tool": "command", "command": COMMAND},
    }
    config = {
        "datasets": {
            "nuclei": {
                "title": "Nuclei",
                "source": {"kind": "synthetic", "images": 12, "size": 64},
                "format": "dsb2018",
            }
        },
        "studies": {
            name: {"title": name, "dataset": "nuclei", "model": {"kind": "tool", **model}}
            for name, model in models.items()
        },
    }
    (where / "tools.yaml").write_text(yaml.safe_dump(config))
    return where


def test_each_tool_has_a_rule_and_only_stardist_is_trained(clone):
    counts = jobs(clone, "--configfile", "tools.yaml")
    assert counts["run_stardist"] == 3 and counts["run_command"] == 1
    assert counts["train_tool"] == counts["export_tool_training"] == 1
    assert counts["download_tool_weights"] == 1
    assert counts["import_labels"] == counts["evaluate"] == 3
    assert not {"train", "predict", "run_cellpose"} & set(counts)


@pytest.mark.parametrize(
    ("model", "rules"),
    [
        ("stardist:2D_versatile_he", {"download_tool_weights"}),
        (f"command:{COMMAND}", set()),
    ],
)
def test_a_tool_measures(clone, model, rules):
    (clone / "own.yaml").write_text(yaml.safe_dump({"images": "mine", "model": model}))
    counts = jobs(clone, "measure", "--configfile", "own.yaml")
    expected = {"measure_tool_images", "measure_tool", "measure_images", "measure_tables"}
    assert set(counts) == expected | {"measure_page", "measure"} | rules


def test_a_study_of_a_tool_measures_with_its_model(clone):
    own = ["--configfile", "tools.yaml", "--config", "images=mine", "model=trained"]
    counts = jobs(clone, "measure", *own)
    assert counts["train_tool"] == counts["measure_tool"] == 1
    assert not {"import_labels", "evaluate", "run_stardist"} & set(counts)
