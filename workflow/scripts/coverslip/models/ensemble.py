"""Several trained networks that answer as one: the mean of their probabilities.

Lakshminarayanan, Pritzel and Blundell, Simple and scalable predictive uncertainty estimation using
deep ensembles, NeurIPS 2017. An ensemble is a model folder (`coverslip.models.model`) without
weights of its own. Its `model.json` has the `kind` `ensemble` and `members`: the folder of each,
relative to its own, with the SHA-256 of `model.keras` and `model.json` there.

What is averaged are probabilities, of classes after each member's own temperature, and with the
head `instance` the depth, too; objects are then made once, by one watershed. What training settles
on validation images is settled by the mean of the members here: the threshold, and the rules of
instances (of the smallest area in pixels the median). Tuning it again would need
validation images that no member was trained on; members from several folds have none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median_low
from typing import Any, TypeVar

import numpy as np

from coverslip.errors import CoverslipError
from coverslip.files import read_sha256, write_json
from coverslip.models import heads
from coverslip.models.folder import ENSEMBLE, ModelFolder, member_folders
from coverslip.models.tiles import HasSizeDivisor, Predict
from coverslip.models.watershed import WatershedParams

M = TypeVar("M", bound=ModelFolder)


# --- Several trained networks that answer as one: the mean of their probabilities

FORMAT = 2

FILES = ("model.keras", "model.json")
"""Files of a member that predicting needs."""

ALIKE = ("head", "num_classes", "classes", "preprocessing")
"""What all members must have in common."""

SHARED = ("task", "architecture", "channels", "patch", "study", "licence")
"""Keys that are copied from the first member."""

SETTLED = "threshold and rules: mean of the members (smallest area: median), not tuned again"


def write(members: Sequence[Path], folder: Path, facts: Mapping[str, Any] | None = None) -> None:
    """Write the model folder of an ensemble.

    Args:
        members: model folders of trained networks, two or more; they stay where they are.
        folder: the model folder to write.
        facts: merged into `model.json`.

    Raises:
        CoverslipError: too few members, one that is no network or cannot be read, or members that
            do not go together.
    """
    if len(members) < 2:
        raise CoverslipError(
            f"{folder}: an ensemble needs two trained networks or more: give the study several "
            "seeds or folds"
        )
    infos = [_member_info(Path(member)) for member in members]
    for member, info in zip(members[1:], infos[1:], strict=True):
        for name in ALIKE:
            if info.get(name) != infos[0].get(name):
                raise CoverslipError(
                    f"{member}: its {name} differs from that of {members[0]}, so that their "
                    "answers cannot be averaged: train them by one study"
                )
    document = {
        "format": FORMAT,
        "kind": ENSEMBLE,
        **{name: infos[0][name] for name in (*SHARED, *ALIKE) if name in infos[0]},
        "fitted": {},
        **_combine_params(infos),
        "parameters": sum(info.get("parameters", 0) for info in infos),
        "members": [
            {
                "folder": Path(os.path.relpath(member, folder)).as_posix(),
                "fold": info.get("fold"),
                "seed": info.get("seed"),
                "sha256": {name: _sha256(Path(member) / name) for name in FILES},
            }
            for member, info in zip(members, infos, strict=True)
        ],
        **(facts or {}),
    }
    write_json(Path(folder) / "model.json", document, indent=2, allow_nan=False)


def ensemble_predictor(
    model: M, load: Callable[[Path], M], network: Callable[[M], Predict]
) -> Predict:
    """Return the ensemble of a folder as a function of uint8 tiles.

    Args:
        model: the ensemble.
        load: reads a model folder.
        network: gives the function of a member, see `model.KINDS`.

    Returns:
        A function that gives the mean of the probabilities, or, with the head `classification`,
        the logits
        of each member over its temperature, one member after the other; see `class_logits`.

    Raises:
        CoverslipError: a member is missing, is another one than when the ensemble was made, or
            cannot be read.
    """
    folders = member_folders(model.folder, model.info)
    for folder, entry in zip(folders, model.info["members"], strict=True):
        _check(folder, entry)
    loaded = [load(folder) for folder in folders]
    for member in loaded:
        same = all(
            member.info.get(key) == model.info.get(key) for key in ("num_classes", "classes")
        )
        if member.info["kind"] != "network" or member.head != model.head or not same:
            raise CoverslipError(
                f"{member.folder}: is no network like the ensemble {model.folder}: make the "
                "ensemble again"
            )
    members = [network(member) for member in loaded]
    scales = [np.float32(1 / member.temperature) for member in loaded]

    def mean(tiles: np.ndarray) -> np.ndarray:
        total = np.array(members[0](tiles), np.float32)
        for member in members[1:]:
            total += member(tiles)
        return total / np.float32(len(members))

    def concatenated(tiles: np.ndarray) -> np.ndarray:
        found = [member(tiles) * scale for member, scale in zip(members, scales, strict=True)]
        return np.concatenate(found, axis=-1)

    grains = [member.grain if isinstance(member, HasSizeDivisor) else None for member in members]
    known = [grain for grain in grains if grain is not None]
    alike = max(known) if len(known) == len(grains) else None  # powers of two
    return concatenated if model.head == "classification" else HasSizeDivisor(mean, alike)


def class_logits(logits: np.ndarray, classes: int) -> np.ndarray:
    """Logarithm of the members' mean probabilities, float32 (K,): a softmax gives them back.

    Args:
        logits: float32 (M K,), the logits of M members over their heads.
        classes: K.
    """
    mean = heads.calibrated_probabilities(logits.reshape(-1, classes)).mean(axis=0)
    return np.log(np.maximum(mean, np.finfo(np.float32).tiny)).astype(np.float32)


def _combine_params(infos: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Threshold, temperature and rules."""
    if infos[0]["head"] == "classification":
        return {"threshold": None, "temperature": 1.0}
    found: dict[str, Any] = {"threshold": _mean([info["threshold"] for info in infos])}
    if infos[0]["head"] == "instance":
        rules = [WatershedParams(**info["instances"]) for info in infos]
        found["instances"] = WatershedParams(
            threshold=_mean([each.threshold for each in rules]),
            seed=_mean([each.seed for each in rules]),
            min_area_px=median_low(each.min_area_px for each in rules),
            minimum_share=_mean([each.minimum_share for each in rules]),
        ).facts()
    return found | {"settled": SETTLED}


def _mean(values: Sequence[float]) -> float:
    return round(fmean(values), 6)


def _member_info(folder: Path) -> dict[str, Any]:
    path = folder / "model.json"
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
        kind = info["kind"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CoverslipError(
            f"{path}: not that of a trained network ({error}): train again"
        ) from error
    if kind != "network":
        raise CoverslipError(
            f"{path}: a model of kind `{kind}` has no probabilities to average: choose a study "
            "with a network"
        )
    return {"head": "semantic"} | info


def _check(folder: Path, entry: Mapping[str, Any]) -> None:
    for name, expected in entry.get("sha256", {}).items():
        path = folder / name
        if not path.is_file():
            raise CoverslipError(
                f"{path}: a member of the ensemble is missing: an ensemble has no weights of its "
                "own; copy the folders of its members along, or make it again"
            )
        if _sha256(path) != expected:
            raise CoverslipError(
                f"{path}: is not the member that the ensemble was made of: make the ensemble again"
            )


def _sha256(path: Path) -> str:
    try:
        return read_sha256(path)
    except OSError as error:
        raise CoverslipError(f"{path}: cannot be read ({error.strerror}): train again") from error
