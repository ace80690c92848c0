"""The config is validated, completed and cross-checked, in words that name the fix."""

import copy

import pytest
import yaml
from running import ROOT, SCHEMA

from coverslip.config import validate
from coverslip.config.sections import Config
from coverslip.errors import CoverslipError


@pytest.fixture
def config() -> dict:
    return yaml.safe_load((ROOT / "config/config.yaml").read_text())


def refuse(config: dict) -> str:
    with pytest.raises(CoverslipError) as caught:
        validate.resolve(config, SCHEMA)
    return str(caught.value)


@pytest.mark.parametrize("name", ["config", "kaggle"])
def test_shipped_configs_resolve_to_what_pydantic_fills_in(name):
    raw = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())
    resolved = validate.resolve(raw, SCHEMA)
    model = Config(**raw).model_dump(mode="json")
    assert resolved == model
    assert list(resolved["studies"]) == list(raw["studies"])


def test_resolving_twice_changes_nothing(config):
    once = validate.resolve(config, SCHEMA)
    assert validate.resolve(once, SCHEMA) == once


def test_order_of_keys_is_the_schemas(config):
    turned = copy.deepcopy(config)
    study = turned["studies"]["nuclei"]
    turned["studies"]["nuclei"] = dict(reversed(study.items()))
    turned["studies"]["nuclei"]["training"] = dict(reversed(study["training"].items()))
    one, two = validate.resolve(config, SCHEMA), validate.resolve(turned, SCHEMA)
    assert repr(one["studies"]["nuclei"]) == repr(two["studies"]["nuclei"])


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("studies.nuclei.trainin", {}, "nuclei.trainin: unknown key; did you mean `training`"),
        ("dataset", {}, "dataset: unknown key; did you mean `datasets`"),
        ("studies.nuclei.network.architecture", "unett", "did you mean `unet`"),
        ("studies.nuclei.network.architecture", "zzz", "known: cnn, efficientnet_lite0_unet"),
        ("studies.nuclei.training.learning_rate", "1e-3", "write 1.0e-3"),
        (
            "measure.mixed_precision",
            "true",
            "true is text: write it without quotes; what is inside",
        ),
        ("studies.nuclei.training.patience", 0, "studies.nuclei.training.patience: 0 is less"),
        ("studies.nuclei.dataset", "synthetic-nucle", "did you mean `synthetic-nuclei`"),
        ("studies.nuclei.compare_with", "nucle", "did you mean `nuclei`"),
        ("studies.nuclei.seeds", [1, 1], "a seed is listed twice"),
        ("studies.nuclei.seeds", [], "studies.nuclei.seeds"),
        ("studies.nuclei.preprocessing.mask_resize", "bilinear-ceil", "needs `reproduces`"),
        ("studies.nuclei.evaluation.blank_test_labels", True, "needs `reproduces`"),
        ("studies.nuclei.evaluation.resolution", "network", "preprocessing.resize"),
        ("studies.nuclei.evaluation.tta_scales", [1.0, 1.0], "a scale is listed twice"),
        (
            "studies.nuclei.evaluation.tta_scales",
            [0.0],
            "evaluation.tta_scales.0: 0.0 is less than",
        ),
        ("studies.nuclei.evaluation.tta_scales", [], "studies.nuclei.evaluation.tta_scales"),
        (
            "studies.confluency-kmeans.evaluation",
            {"tta_scales": [0.5]},
            "no probabilities to average",
        ),
        ("studies.nuclei.preprocessing.patch", 100, "not a multiple of 16"),
        ("studies.nuclei.split.method", "file", "studies.nuclei.split.file"),
        ("studies.nuclei.network.weights", "imagenet", "only mobilenetv2_unet"),
        ("studies.nuclei.network.freeze_encoder", True, "random features"),
        ("studies.nuclei.training.augmentation.scale", [2.0, 1.0], "smallest <= largest"),
        (
            "studies.nuclei.training.warm_restarts",
            [500],
            "needs rising numbers below training.epochs",
        ),
        (
            "studies.nuclei.training.warm_restarts",
            [6, 3],
            "needs rising numbers below training.epochs",
        ),
        (
            "studies.confluency-kmeans.training",
            {"schedule": "step", "warm_restarts": [3]},
            "goes with `schedule: cosine`",
        ),
        ("datasets.synthetic-nuclei.format", "dsb", "did you mean `dsb2018`"),
        ("datasets.synthetic-nuclei.group_pattern", None, "group_by: filename"),
        ("datasets.synthetic-nuclei.group_pattern", "(", "not a regular expression"),
        ("datasets.synthetic-nuclei.group_pattern", "plate", "no named group"),
        ("datasets.synthetic-nuclei.source", {"kind": "path"}, "name an archive or a folder"),
        ("datasets.synthetic-nuclei.source", {"kind": "kaggle"}, "`competition` or a `dataset`"),
        ("run", "nuclei", "write a list: [nuclei]; on the command line: '[nuclei]'"),
        ("measure.min_area_px", "small", "a number is wanted"),
        ("measure.z", "maximum", "'maximum' is not known"),
        ("run", ["nucle"], "did you mean `nuclei`"),
    ],
)
def test_a_mistake_is_named_with_its_mend(config, path, value, words):
    *parents, last = path.split(".")
    node = config
    for key in parents:
        node = node.setdefault(key, {})
    node[last] = value
    assert words in refuse(config)


def test_a_folder_to_measure_needs_no_datasets_or_studies():
    told = refuse({})
    assert "the key `datasets` is missing" in told and "the key `studies` is missing" in told
    resolved = validate.resolve({"images": "mine", "model": "model"}, SCHEMA)
    assert resolved["datasets"] == resolved["studies"] == {}
    assert resolved["measure"]["min_area_px"] == 16


def test_a_missing_key_and_a_bad_name_are_named(config):
    del config["datasets"]["synthetic-nuclei"]["format"]
    assert "datasets.synthetic-nuclei: the key `format` is missing" in refuse(config)


def test_a_name_with_a_slash_is_refused(config):
    config["studies"]["a/b"] = config["studies"].pop("nuclei")
    assert "only letters, digits" in refuse(config)


def test_all_mistakes_are_told_at_once(config):
    config["studies"]["nuclei"]["oops"] = 1
    config["datasets"]["synthetic-nuclei"]["source"]["kind"] = "web"
    message = refuse(config)
    assert "oops" in message and "'web' is not known" in message
