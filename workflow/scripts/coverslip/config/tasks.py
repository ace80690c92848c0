"""What the task of a study implies and forbids, at parse time (see `sections`).

Needs only the standard library.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from coverslip.errors import join_names

MASKS = ("dsb2018", "paired", "livecell_coco")
"""Formats with masks."""

CLASSES = ("livecell_coco", "livecell", "labelled_csv", "class_folders")
"""Formats with classes of images."""

CLASS_NETWORKS = ("cnn", "livecell_cnn", "livecell_cnn_bn", "nuclei_cnn", "resnet18")
"""Architectures whose answer is the class of the image."""

ENCODERS = ("mobilenetv2_unet", "efficientnet_lite0_unet")
"""Architectures for masks whose encoder may be pretrained, and frozen."""

WEIGHTS_LICENCES = {
    "mobilenetv2_unet": "Apache-2.0",
    "efficientnet_lite0_unet": "Apache-2.0",
    "resnet18": "BSD-3-Clause",
}
"""Licences of the pretrained weights (docs/data.md)."""

PRETRAINED = tuple(WEIGHTS_LICENCES)
"""Architectures for which there are pretrained weights."""

OPEN_LICENCES = (
    *("CC0-1.0", "PDDL-1.0", "Unlicense"),
    *("CC-BY-2.0", "CC-BY-2.5", "CC-BY-3.0", "CC-BY-4.0", "ODC-By-1.0", "CDLA-Permissive-2.0"),
    *("CC-BY-SA-3.0", "CC-BY-SA-4.0", "ODbL-1.0", "CDLA-Sharing-1.0"),
    *("MIT", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0"),
)
"""SPDX names of licences that allow use, change and sharing by anyone for any purpose, as the Open
Definition 2.1 (https://opendefinition.org/licenses/) and the Open Source Initiative list them."""


def add_implied(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config with what tasks imply, see `add_implied_to_study`."""
    studies = {
        name: add_implied_to_study(study) for name, study in config.get("studies", {}).items()
    }
    return {**config, "studies": studies}


COLOURS = {"channels": "rgb", "normalization": "dtype_range"}
"""What classes and K-means look at: colours and brightness as they are."""


def add_implied_to_study(study: Mapping[str, Any]) -> dict[str, Any]:
    """Return the study with the defaults of its task."""
    defaults: dict[str, dict[str, Any]] = {}
    if study.get("task") == "classification":
        defaults["network"] = {"architecture": "cnn", "head": "classification"}
        defaults["training"] = {"loss": "crossentropy"}
    elif study.get("task") == "confluency":
        defaults["network"] = {"head": "semantic"}
        if study.get("model") is not None:
            defaults["model"] = {"head": "semantic"}
    if study.get("task") == "classification" or study.get("kmeans") is not None:
        defaults["preprocessing"] = COLOURS
    sections = {name: {**values, **study.get(name, {})} for name, values in defaults.items()}
    return {**study, **sections}


def head_of(study: Mapping[str, Any]) -> str:
    """Return what the model of a study predicts: `semantic`, `instance` or `classification`.

    Args:
        study: its section of the config, with all defaults.
    """
    if study["kmeans"] is not None:
        return "semantic"
    return (study["model"] or study["network"])["head"]


UNTRAINED = (
    "preprocessing",
    "network",
    "training",
    "search",
    "kmeans",
    "attribution",
    "tensorboard",
    "seeds",
)
"""Sections and keys of a study that a model which is not trained here cannot have."""


def check_model(where: str, study: Mapping[str, Any], defaults: Mapping[str, Any]) -> Iterable[str]:
    """Mistakes in a study whose model is not trained here.

    Args:
        where: path of the study in the config.
        study: its section, with all defaults.
        defaults: the same with nothing but defaults, task and model.
    """
    kind = study["model"]["kind"]
    for key in UNTRAINED:
        if study[key] != defaults[key]:
            yield f"{where}.{key}: goes with a model that is trained here, not `kind: {kind}`"
    for key, value in study["evaluation"].items():
        if key != "min_area_px" and value != defaults["evaluation"][key]:
            yield f"{where}.evaluation.{key}: goes with a network, not with `kind: {kind}`"
    if study["task"] == "classification":
        yield f"{where}.model: gives label images, not the class of an image"
    if study["split"]["unit"] == "patch":
        yield f"{where}.split.unit: `patch` goes with a network"
    if kind == "tool":
        yield from _check_tool(f"{where}.model", study["model"])


def _check_tool(where: str, model: Mapping[str, Any]) -> Iterable[str]:
    command = model["command"] or ""
    if model["tool"] == "command":
        for part in ("{images}", "{labels}"):
            if part not in command:
                yield f"{where}.command: has no {part}, as in `mytool {{images}} {{labels}}`"
        if model["model"] or model["options"]:
            yield f"{where}: `model` and `options` are part of the `command`"
    elif command:
        yield f"{where}.command: goes with `tool: command`, and only with it"
    if model["train"] is not None and model["tool"] != "stardist":
        yield f"{where}.train: only `stardist` is trained here"
    if model["train"] is not None and model["model"]:
        yield f"{where}.train: makes a model: remove `model`, or `train`"


def kind_of_result(
    study: Mapping[str, Any], group_by: str | None = None
) -> Literal["reproduced", "random", "grouped"]:
    """Return what the numbers of a study are: a reproduction, or its kind of split.

    `reproduced`: the protocol of a published study; `random`: images or patches at random, which
    may share a group with those of training; `grouped`: no group is in two subsets (a split whose
    groups cross raises an error when it is made).

    Args:
        study: its section, with `reproduces` and `split`.
        group_by: how the groups of its dataset are known; with `image` none are known.
    """
    if study["reproduces"] is not None:
        return "reproduced"
    split = study["split"]
    at_random = split["method"] in ("random", "train_test_split") or split.get("unit") == "patch"
    return "random" if at_random or group_by == "image" else "grouped"


def check(where: str, study: Mapping[str, Any], dataset: Mapping[str, Any] | None) -> Iterable[str]:
    """Mistakes in what belongs to the task."""
    network = study["network"]
    architecture, head = network["architecture"], network["head"]
    for_classes = study["task"] == "classification"
    if (architecture in CLASS_NETWORKS) != for_classes:
        kind = "the class of an image" if architecture in CLASS_NETWORKS else "masks"
        yield (
            f"{where}.network.architecture: `{architecture}` gives {kind}, which is not what "
            f"`task: {study['task']}` asks for"
        )
    if (head == "classification") != for_classes:
        yield (
            f"{where}.network.head: `classification` goes with `task: classification`, and only "
            "with it"
        )
    known = CLASSES if for_classes else MASKS
    if dataset is not None and dataset["format"] not in known:
        yield (
            f"{where}.task: `{study['task']}` needs a dataset with "
            f"{'classes' if for_classes else 'masks'}, and `format: {dataset['format']}` has none; "
            f"known: {', '.join(known)}"
        )
    if architecture not in PRETRAINED and network["weights"] != "none":
        yield f"{where}.network.weights: only {join_names(PRETRAINED)} have pretrained weights"
    if network["freeze_encoder"] and architecture not in ENCODERS:
        yield f"{where}.network.freeze_encoder: only {join_names(ENCODERS)} have an encoder"
    if for_classes:
        yield from _check_classification(where, study)


def _check_classification(where: str, study: Mapping[str, Any]) -> Iterable[str]:
    if study["kmeans"] is not None:
        yield f"{where}.kmeans: K-means gives masks, not the class of an image"
    if study["preprocessing"]["resize"] is None:
        yield (
            f"{where}.preprocessing.resize: `task: classification` looks at whole images: give "
            "height and width"
        )
    if study["preprocessing"]["min_foreground_fraction"] > 0:
        yield f"{where}.preprocessing.min_foreground_fraction: goes with masks"
    if study["training"]["loss"] != "crossentropy":
        yield f"{where}.training.loss: `task: classification` has `crossentropy` only"
    if study["evaluation"]["resolution"] != "native":
        yield f"{where}.evaluation.resolution: goes with masks"


def check_preprocessing(where: str, study: Mapping[str, Any]) -> Iterable[str]:
    """Mistakes in the keys of the preprocessing that go together."""
    preprocessing = study["preprocessing"]
    scaling, channels = preprocessing["input_scaling"], preprocessing["channels"]
    where = f"{where}.preprocessing"
    if scaling == "imagenet" and channels != "rgb":
        yield f"{where}.input_scaling: `imagenet` needs `channels: rgb`"
    if preprocessing["resize_filter"] != "area" and preprocessing["resize"] is None:
        yield f"{where}.resize_filter: goes with `resize`, and only with it"
    if preprocessing["fit_scaling_on"] != "training" and scaling != "zscore":
        yield f"{where}.fit_scaling_on: goes with `input_scaling: zscore`, and only with it"
    if preprocessing["fit_scaling_on"] == "each_subset" and study["task"] != "classification":
        yield f"{where}.fit_scaling_on: `each_subset` goes with `task: classification`"
    if study["training"]["overwrite_masks"] and preprocessing["resize"] is None:
        yield f"{where}.resize: `training.overwrite_masks` needs whole images of one size"
    if scaling == "column_l2" and study["evaluation"]["overlap"] > 0:
        yield f"{where}.scaling: `column_l2` is that of a patch: set evaluation.overlap to 0"


def check_scales(where: str, study: Mapping[str, Any]) -> Iterable[str]:
    """Mistakes in the scales that images are predicted at."""
    scales = study["evaluation"]["tta_scales"]
    if len(set(scales)) != len(scales):
        yield f"{where}.evaluation.tta_scales: a scale is listed twice"
    if scales == [1.0]:
        return
    if study["kmeans"] is not None:
        yield f"{where}.evaluation.tta_scales: K-means has no probabilities to average"
    elif study["preprocessing"]["resize"] is not None:
        yield f"{where}.evaluation.tta_scales: need native size, without preprocessing.resize"


def check_ensemble(where: str, study: Mapping[str, Any]) -> Iterable[str]:
    """Mistakes in what an ensemble needs."""
    if not study["evaluation"]["ensemble"]:
        return
    if study["kmeans"] is not None:
        yield f"{where}.evaluation.ensemble: K-means has no probabilities to average"
    elif len(study["seeds"]) < 2:
        yield (
            f"{where}.evaluation.ensemble: scores the mean of a fold's seeds: give two `seeds` "
            "or more"
        )


def check_training(where: str, training: Mapping[str, Any]) -> Iterable[str]:
    """Mistakes in the keys of a training that go together."""
    restarts, epochs = training["warm_restarts"], training["epochs"]
    if restarts and training["schedule"] != "cosine":
        yield f"{where}.warm_restarts: goes with `schedule: cosine`, and only with it"
    if restarts != sorted(set(restarts)) or any(restart >= epochs for restart in restarts):
        yield f"{where}.warm_restarts: needs rising numbers below training.epochs ({epochs})"
    if training["steps_per_epoch"] and training["patches_per_epoch"]:
        yield f"{where}.steps_per_epoch: cannot be combined with `patches_per_epoch`"
    if training["shuffle"] == "once" and training["patches_per_epoch"]:
        yield f"{where}.shuffle: `patches_per_epoch` draws patches at random"
    for key in ("scale", "zoom", "contrast", "gamma"):
        low, high = training["augmentation"][key]
        if not 0 < low <= high:
            yield f"{where}.augmentation.{key}: needs 0 < smallest <= largest"


def check_split(where: str, split: Mapping[str, Any]) -> Iterable[str]:
    """Mistakes in the keys of a split that go together."""
    if (split["method"] == "official") != (split["test_folder"] is not None):
        yield f"{where}.split.test_folder: goes with `method: official`, and only with it"
    if split["method"] == "train_test_split" and split["test"] == 0:
        yield f"{where}.split.test: `train_test_split` needs a test set"
    for method in ("archive_order", "official", "train_test_split"):
        if split["folds"] > 1 and split["method"] == method:
            yield f"{where}.split.folds: `{method}` has one fold"


def check_split_of_patches(where: str, study: Mapping[str, Any]) -> Iterable[str]:
    """Mistakes in what a split of patches needs."""
    split = study["split"]
    if split["unit"] != "patch":
        return
    if split["method"] not in ("random", "train_test_split") or split["folds"] > 1:
        yield f"{where}.split.unit: `patch` goes with `random` and `train_test_split`, one fold"
    if split["validation"] > 0 or study["preprocessing"]["overlap"] > 0:
        yield f"{where}.split.unit: `patch` needs `validation: 0` and `preprocessing.overlap: 0`"
    whole = study["preprocessing"]["resize"] is not None or study["kmeans"] is not None
    if whole or study["network"]["head"] != "semantic":
        yield f"{where}.split.unit: `patch` needs a network with `head: semantic` at native size"


def check_groups(where: str, dataset: Mapping[str, Any]) -> Iterable[str]:
    """Yield mistakes in how the groups of a dataset are defined."""
    if dataset["group_by"] == "metadata" and dataset["format"] not in ("livecell", "livecell_coco"):
        yield (
            f"{where}.group_by: `metadata` goes with `format: livecell` and `livecell_coco`: wells"
        )
    if dataset["group_by"] == "image" and dataset["format"] == "livecell":
        yield (
            f"{where}.group_by: images of one well are alike: set `group_by: metadata`, so that "
            "wells are known"
        )


def check_licences(
    where: str, study: Mapping[str, Any], dataset: Mapping[str, Any]
) -> Iterable[str]:
    """Yield what of a study with `open_licence` has no open licence.

    Examples:
        >>> study = {"open_licence": True, "dataset": "d", "model": None, "kmeans": None}
        >>> study["network"] = {"architecture": "unet", "weights": "none"}
        >>> list(check_licences("studies.s", study, {"licence": "cc0-1.0"}))
        []
        >>> [line] = check_licences("studies.s", study, {"licence": "CC-BY-NC-4.0"})
    """
    if not study["open_licence"]:
        return
    if study["model"] is not None:
        yield f"{where}.open_licence: goes with a model that is trained here: remove the key"
        return
    names = {"datasets." + study["dataset"]: dataset["licence"]}
    architecture, weights = study["network"]["architecture"], study["network"]["weights"]
    if study["kmeans"] is None and weights != "none" and architecture in WEIGHTS_LICENCES:
        names[f"{where}.network.weights"] = WEIGHTS_LICENCES[architecture]
    known = {name.lower() for name in OPEN_LICENCES}
    for source, licence in names.items():
        if licence.lower() not in known:
            yield (
                f"{where}.open_licence: the licence of {source} is `{licence}`, which is none of "
                f"{', '.join(OPEN_LICENCES)}: use other data, or remove the key"
            )
