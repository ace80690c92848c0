"""What `task: classification` implies and forbids."""

import copy

import pytest
from running import SCHEMA

from coverslip.config import tasks, validate
from coverslip.config.sections import Config
from coverslip.config.tasks import head_of
from coverslip.errors import CoverslipError

CONFIG = {
    "datasets": {
        "mine": {
            "title": "My cells",
            "source": {"kind": "path", "path": "data/mine"},
            "format": "class_folders",
        },
        "masks": {
            "title": "Masks",
            "source": {"kind": "path", "path": "data/masks"},
            "format": "paired",
        },
    },
    "studies": {
        "types": {
            "title": "Types of my cells",
            "dataset": "mine",
            "task": "classification",
            "preprocessing": {"resize": [64, 96]},
        }
    },
}


def changed(path, value):
    config = copy.deepcopy(CONFIG)
    *folders, last = path.split(".")
    section = config
    for name in folders:
        section = section.setdefault(name, {})
    section[last] = value
    return config


def test_head_and_network_are_implied_and_may_be_said():
    resolved = validate.resolve(CONFIG, SCHEMA)
    network = resolved["studies"]["types"]["network"]
    assert (network["head"], network["architecture"]) == ("classification", "cnn")
    assert resolved == Config(**CONFIG).model_dump(mode="json")
    assert validate.resolve(resolved, SCHEMA) == resolved
    said = validate.resolve(changed("studies.types.network", {"architecture": "resnet18"}), SCHEMA)
    assert said["studies"]["types"]["network"]["architecture"] == "resnet18"
    assert said["studies"]["types"]["network"]["head"] == "classification"


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("studies.types.task", "segmentation", "`segmentation` needs a dataset with masks"),
        ("studies.types.dataset", "masks", "needs a dataset with classes, and `format: paired`"),
        ("studies.types.network.architecture", "unet", "`unet` gives masks, which is not what"),
        ("studies.types.network.head", "semantic", "head: `classification` goes with `task"),
        ("studies.types.preprocessing.resize", None, "resize: `task: classification` looks at"),
        ("studies.types.preprocessing.resize", [60, 90], "size of 60 pixels is not a multiple"),
        (
            "studies.types.preprocessing.min_foreground_fraction",
            0.1,
            "min_foreground_fraction: goes with m",
        ),
        ("studies.types.training.loss", "dice", "training.loss: .* `crossentropy` only"),
        ("studies.types.evaluation.resolution", "network", "evaluation.resolution: goes with"),
        ("studies.types.evaluation.tta_scales", [1.0, 0.5], "scales: need native size, without"),
        ("studies.types.kmeans", {}, "kmeans: K-means gives masks"),
        ("studies.types.network.weights", "imagenet", "efficientnet_lite0_unet and resnet18 have"),
        (
            "studies.types.split",
            {"method": "official"},
            "test_folder: goes with `method: official`",
        ),
        ("studies.types.split", {"test_folder": "x"}, "test_folder: goes with `method: official`"),
        (
            "studies.types.split",
            {"method": "official", "test_folder": "x", "folds": 2},
            "split.folds: `official` has one fold",
        ),
        (
            "studies.types.split",
            {"method": "train_test_split", "folds": 2},
            "split.folds: `train_test_split` has one fold",
        ),
        ("studies.types.split", {"method": "train_test_split", "test": 0}, "needs a test set"),
        ("studies.types.split", {"validation": 0}, "split.validation: 0 needs `reproduces`"),
        ("studies.types.preprocessing.resize_filter", "bicubicc", "did you mean `bicubic`"),
        (
            "studies.types.preprocessing",
            {"resize": [64, 96], "channels": "grey", "input_scaling": "imagenet"},
            "input_scaling: `imagenet` needs `channels: rgb`",
        ),
        ("studies.types.preprocessing.fit_scaling_on", "all", "goes with `input_scaling: zscore`"),
        ("studies.types.preprocessing.fit_scaling_on", "all", "needs `reproduces`"),
        ("studies.types.preprocessing.input_scaling", "column_l2", "set evaluation.overlap to 0"),
        ("studies.types.training", {"steps_per_epoch": 3, "patches_per_epoch": 9}, "combined"),
        ("studies.types.training", {"shuffle": "once", "patches_per_epoch": 9}, "at random"),
        ("studies.types.training.overwrite_masks", True, "overwrite_masks: needs `reproduces`"),
        ("studies.types.training.augmentation", {"zoom": [1.2, 0.8]}, "zoom: needs 0 < smallest"),
        ("datasets.mine.group_by", "metadata", "`metadata` goes with `format: livecell`"),
        ("datasets.mine.format", "livecell", "group_by: images of one well are alike"),
    ],
)
def test_mistakes(path, value, words):
    with pytest.raises(CoverslipError, match=words):
        validate.resolve(changed(path, value), SCHEMA)


def test_networks_for_classes_are_not_for_masks():
    config = changed("studies.types.task", "segmentation")
    config["studies"]["types"] |= {"dataset": "masks", "network": {"architecture": "resnet18"}}
    config["studies"]["types"].pop("preprocessing")
    with pytest.raises(CoverslipError, match="`resnet18` gives the class of an image") as error:
        validate.resolve(config, SCHEMA)
    assert len(str(error.value).splitlines()) == 2


def test_networks_bound_to_a_size_need_no_multiple():
    config = changed("studies.types.network", {"architecture": "livecell_cnn"})
    config["studies"]["types"]["preprocessing"]["resize"] = [100, 100]
    assert validate.resolve(config, SCHEMA)


def test_an_ensemble_of_seeds_needs_seeds_and_a_network():
    config = changed("studies.types.evaluation.ensemble", True)
    with pytest.raises(CoverslipError, match=r"evaluation\.ensemble: .* two `seeds` or more"):
        validate.resolve(config, SCHEMA)
    config["studies"]["types"]["seeds"] = [1, 2]
    assert validate.resolve(config, SCHEMA)["studies"]["types"]["evaluation"]["ensemble"]
    masks = {"title": "M", "dataset": "masks", "kmeans": {}, "seeds": [1, 2]}
    config["studies"]["kmeans"] = masks | {"evaluation": {"ensemble": True}}
    with pytest.raises(CoverslipError, match="K-means has no probabilities to average"):
        validate.resolve(config, SCHEMA)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("split.method", "grouped", "`patch` goes with `random` and `train_test_split`"),
        ("split.validation", 0.1, "`patch` needs `validation: 0`"),
        ("preprocessing.overlap", 0.5, "`patch` needs `validation: 0` and `preprocessing.overlap"),
        ("preprocessing.resize", [64, 64], "needs a network with `head: semantic` at native size"),
        ("network.head", "instance", "needs a network with `head: semantic` at native size"),
        ("reproduces", None, "split.unit: `patch` needs `reproduces`"),
        ("preprocessing.resize_filter", "bilinear", "resize_filter: goes with `resize`"),
        ("training.overwrite_masks", True, "`training.overwrite_masks` needs whole images"),
    ],
)
def test_mistakes_in_a_split_of_patches(path, value, words):
    config = copy.deepcopy(CONFIG)
    config["studies"] = {
        "cover": {
            "title": "Covered area",
            "dataset": "masks",
            "reproduces": "Study",
            "network": {"head": "semantic"},
            "split": {"method": "train_test_split", "unit": "patch", "validation": 0},
        }
    }
    assert validate.resolve(config, SCHEMA)
    *folders, last = path.split(".")
    section = config["studies"]["cover"]
    for name in folders:
        section = section.setdefault(name, {})
    section[last] = value
    with pytest.raises(CoverslipError, match=words):
        validate.resolve(config, SCHEMA)


def test_frozen_copies_and_widths_are_options_of_the_config():
    config = changed("studies.types.training", {"augmentation": {"frozen_copies": 1}})
    config["studies"]["types"]["network"] = {"architecture": "nuclei_cnn", "dense_1": 512}
    study = validate.resolve(config, SCHEMA)["studies"]["types"]
    assert study["training"]["augmentation"]["frozen_copies"] == 1
    assert (study["network"]["dense_1"], study["network"]["dense_2"]) == (512, 32)


LABELS = {
    "title": "Labels",
    "dataset": "masks",
    "model": {"kind": "labels", "path": "labels"},
}


def label_study(**changes):
    return {**CONFIG, "studies": {"labels": LABELS | changes}}


def test_a_model_that_is_not_trained_here():
    resolved = validate.resolve(label_study(), SCHEMA)
    assert resolved["studies"]["labels"]["model"] == {
        "kind": "labels",
        "path": "labels",
        "head": "instance",
        "mask_threshold": None,
    }
    assert resolved == Config(**label_study()).model_dump(mode="json")
    assert validate.resolve(resolved, SCHEMA) == resolved
    assert head_of(resolved["studies"]["labels"]) == "instance"
    confluency = validate.resolve(label_study(task="confluency"), SCHEMA)["studies"]["labels"]
    assert head_of(confluency) == "semantic"
    assert validate.resolve(confluency_of(confluency), SCHEMA)["studies"]["labels"] == confluency


def confluency_of(study):
    return {**CONFIG, "studies": {"labels": study}}


COMMAND = "mytool {images} {labels}"


def tool(name, **keys):
    return {"kind": "tool", "tool": name, **keys}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"network": {"depth": 2}}, "labels.network: goes with a model that is trained here"),
        ({"seeds": [1, 2]}, "labels.seeds: goes with a model that is trained"),
        ({"kmeans": {}}, "labels.kmeans: goes with"),
        ({"search": {"space": {"network.filters": {"choices": [1]}}}}, "labels.search: goes"),
        ({"evaluation": {"tta": True}}, "evaluation.tta: goes with a network"),
        ({"task": "classification"}, "labels.model: gives label images, not the class"),
        ({"split": {"method": "random", "unit": "patch"}}, "split.unit: `patch` goes with"),
        ({"model": {"kind": "label"}}, "model.kind: 'label' is not known; did you mean `labels`"),
        ({"model": {"path": "x"}}, "labels.model: the key `kind` is missing: baseline, labels"),
        ({"model": tool("command")}, "model.command: has no {images}"),
        ({"model": tool("command", command="a {images}")}, "model.command: has no {labels}"),
        ({"model": tool("command", command=COMMAND, model="x")}, "are part of the `command`"),
        ({"model": tool("stardist", command=COMMAND)}, "goes with `tool: command`"),
        ({"model": tool("cellpose", train={})}, "only `stardist` is trained here"),
        ({"model": tool("stardist", train={}, model="x")}, "makes a model: remove"),
        ({"model": tool("stardust")}, "'stardust' is not known; did you mean `stardist`"),
        ({"model": {"kind": "labels"}}, "labels.model: the key `path` is missing"),
        ({"model": {"kind": "labels", "path": 1}}, "labels.model.path: 1 is not of type"),
        ({"model": {"kind": "labels", "paths": "x"}}, "model.paths: unknown key; .*`path`"),
        ({"model": {"kind": "baseline", "method": "o"}}, "model.method: 'o' is not known; .*otsu"),
        ({"model": "labels"}, "labels.model: 'labels' is not"),
    ],
)
def test_mistakes_in_a_model_that_is_not_trained_here(changes, words):
    with pytest.raises(CoverslipError, match=words):
        validate.resolve(label_study(**changes), SCHEMA)


def test_a_tool_has_the_defaults_of_its_section():
    study = label_study(model=tool("stardist", train={"epochs": 3}, options={"prob_thresh": 0.4}))
    resolved = validate.resolve(study, SCHEMA)
    assert resolved == Config(**study).model_dump(mode="json")
    model = resolved["studies"]["labels"]["model"]
    assert model["train"]["epochs"] == 3 and model["train"]["rays"] == 32
    assert model["options"] == {"prob_thresh": 0.4}


@pytest.mark.parametrize(
    ("licence", "study", "words"),
    [
        ("CC-BY-NC-4.0", {}, "of datasets.masks is `CC-BY-NC-4.0`"),
        ("not stated", {}, "of datasets.masks is `not stated`"),
        ("CC0-1.0", {"model": {"kind": "baseline", "method": "otsu"}}, "trained here"),
    ],
)
def test_open_licence_refuses_what_is_not_open(licence, study, words):
    config = changed("studies", {"mine": {"title": "T", "dataset": "masks", **study}})
    config["datasets"]["masks"]["licence"] = licence
    validate.resolve(config, SCHEMA)
    config["studies"]["mine"]["open_licence"] = True
    with pytest.raises(CoverslipError, match=f"studies.mine.open_licence: .*{words}"):
        validate.resolve(config, SCHEMA)


def test_open_licence_takes_open_data_and_published_weights():
    network = {"architecture": "efficientnet_lite0_unet", "weights": "imagenet"}
    study = {"title": "T", "dataset": "masks", "open_licence": True, "network": network}
    config = changed("studies", {"mine": study})
    config["datasets"]["masks"]["licence"] = "cc-by-4.0"
    assert validate.resolve(config, SCHEMA)["studies"]["mine"]["open_licence"] is True


def test_pretrained_weights_have_a_licence():
    assert set(tasks.WEIGHTS_LICENCES) == {*tasks.ENCODERS, "resnet18"} == set(tasks.PRETRAINED)
