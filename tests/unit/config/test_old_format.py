"""Configs and results of format 1: one line for each old name, with the new one."""

import copy
import re

import pytest
import yaml
from running import ROOT, SCHEMA

from coverslip.config import old_format, validate
from coverslip.config.sections import Config
from coverslip.errors import CoverslipError

CONFIG = yaml.safe_load((ROOT / "config/config.yaml").read_text())


def message(path, value):
    """Return what is reported of the shipped config with one more key."""
    config = copy.deepcopy(CONFIG)
    *parents, key = path.split(".")
    section = config
    for name in parents:
        section = section.setdefault(name, {})
    section[key] = value
    with pytest.raises(CoverslipError) as error:
        validate.resolve(config, SCHEMA)
    return str(error.value).splitlines()[1:]


@pytest.mark.parametrize(
    ("path", "value", "now"),
    [
        ("datasets.synthetic-nuclei.groups", "pattern", "now `group_by: filename`"),
        ("studies.nuclei.protocol", "honest", "now `reproduces: null`"),
        ("studies.nuclei.flaws", ["few"], "now `known_issues`"),
        ("studies.nuclei.preprocessing.intensity", "percentile", "now `normalization: percentile`"),
        (
            "studies.nuclei.preprocessing.polarity",
            "dark-background",
            "now `invert_bright_background: true`",
        ),
        ("studies.nuclei.network.head", "instances", "`instances` is now `instance`"),
        ("studies.nuclei.split.method", "listed", "`listed` is now `archive_order`"),
        ("studies.nuclei.training.augmentation.flips", True, "now `flip: true`"),
        ("studies.nuclei.evaluation.flips", True, "now `tta: true`"),
        ("measure.padding", "none", "now `ignore_black_border: false`"),
    ],
)
def test_an_old_name_gives_one_line_with_the_new_one(path, value, now):
    assert message(path, value) == [f"  {path}: {now}"]


def test_old_names_in_a_search_space_are_found():
    space = {"preprocessing.scaling": {"choices": ["unit", "standard"]}}
    assert message("studies.nuclei.search", {"space": space}) == [
        "  studies.nuclei.search.space.preprocessing.scaling: now `preprocessing.input_scaling`",
        "  studies.nuclei.search.space.preprocessing.scaling: `standard` is now `zscore`",
    ]
    assert message("format", 1) == [
        "  format: 1 is not known; this version reads format 2 (config/README.md lists its keys)"
    ]


def test_every_new_name_is_a_key_and_no_old_one_is():
    known = Config.model_json_schema()
    for pattern, (name, values) in old_format.OLD_KEYS.items():
        node = known
        for key in pattern.split(".")[:-1]:
            node = node["additionalProperties"] if key == "*" else node["properties"][key]
            references = [node, *node.get("anyOf", ())]
            node = next((each for each in references if "$ref" in each), node)
            if "$ref" in node:
                node = known["$defs"][node["$ref"].rsplit("/", 1)[1]]
        key = pattern.rsplit(".", 1)[1]
        assert name in node["properties"], pattern
        assert (key in node["properties"]) == (key == name), pattern
        options = node["properties"][name].get("enum")
        if options:
            assert set(values.values()) <= set(options), pattern
            assert not set(values) & set(options), pattern


def test_results_of_an_earlier_version_are_rejected(tmp_path):
    results = tmp_path / "results"
    old_format.check_results(results)
    old = results / "datasets/nuclei/pictures.h5"
    old.parent.mkdir(parents=True)
    old.touch()
    with pytest.raises(CoverslipError, match=re.escape(f"`mv {results} {results}-format1`")) as e:
        old_format.check_results(results)
    assert str(e.value).startswith(f"{old}: ") and "\n" not in str(e.value)
    old.with_name("images.h5").touch()
    old_format.check_results(results)
