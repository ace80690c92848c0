"""Which images of a folder there are to measure, told at parse time; needs no other package."""

import hashlib
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from coverslip.data import folder_inventory
from coverslip.errors import CoverslipError
from coverslip.models.folder import member_folders

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
"""Endings of the names of images, in small letters; `.ome.tif` is one of them."""

ELSEWHERE = ("name", "shards", "time_pattern", "time_unit")
"""Settings that do not change what is found in a file."""

KINDS = "PNG, JPEG, TIFF, BMP or Zarr"

ZARR = ".zarr"
"""Ending of the name of a folder that is one image."""


def list_images(contents: Mapping[str, str]) -> dict[str, str]:
    """Names and digests of the images among the files of a folder, sorted by name.

    A folder `*.zarr` is one image, whose digest is of all its files.
    """
    found: dict[str, str] = {}
    zarrs: dict[str, dict[str, str]] = {}
    for name in sorted(contents):
        image = image_of(name)
        if image == name:
            found[name] = contents[name]
        elif image is not None:
            zarrs.setdefault(image, {})[name[len(image) :]] = contents[name]
    found |= {name: folder_inventory.summary(files) for name, files in zarrs.items()}
    return {name: found[name] for name in sorted(found)}


def image_of(name: str) -> str | None:
    """The image that a file belongs to, by its name: itself, or a folder `*.zarr`; or none."""
    parts = name.split("/")
    for count, part in enumerate(parts[:-1], start=1):
        if part.lower().endswith(ZARR):
            return "/".join(parts[:count])
    return name if name.lower().endswith(SUFFIXES) else None


def shard_of(name: str, shards: int) -> int:
    """Shard of an image: a hash of its name, so that other images do not matter."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % shards


def check(folder: Path) -> None:
    """Raise a CoverslipError where a folder is missing or holds no image."""
    folder = Path(folder)
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "no such folder"
        raise CoverslipError(f"images: {folder}: {what}; name a folder of images")
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    found = [name for name in files if not any(part.startswith(".") for part in name.parts)]
    if not found:
        raise CoverslipError(f"images: {folder}: the folder is empty; put images ({KINDS}) in")
    if not any(image_of(name.as_posix()) for name in found):
        raise CoverslipError(
            f"images: {folder}: none of the {len(found)} files is an image ({KINDS})"
        )


def digests(contents: Mapping[str, str] | None, shards: int) -> list[str]:
    """A digest of the names and contents of the images of each shard."""
    if contents is None:
        return [folder_inventory.UNREAD] * shards
    parts: list[dict[str, str]] = [{} for _ in range(shards)]
    for name, content in list_images(contents).items():
        parts[shard_of(name, shards)][name] = content
    return [folder_inventory.summary(part) for part in parts]


def name_of(config: Mapping[str, Any]) -> str:
    """Name of the folder of results: as configured, or that of the folder of images."""
    if config["measure"]["name"]:
        return config["measure"]["name"]
    name = Path(config["images"]).resolve().name
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_") or "images"


def model_of(config: Mapping[str, Any]) -> Path:
    """The model folder that `model` of the config means: a folder, or a study by its name."""
    model = config["model"]
    if not model:
        raise CoverslipError(
            "model: name the folder of a trained model, as in "
            "`--config images=FOLDER model=results/studies/STUDY/fold0_seed1/model`, or a study"
        )
    if model in config["studies"] and not Path(model).exists():
        seed = config["studies"][model]["seeds"][0]
        return Path("results/studies") / model / f"fold0_seed{seed}" / "model"
    path = Path(model)
    return path.parent if path.name in ("model.json", "model.keras") else path


def model_files(folder: Path, kmeans: Collection[str] = ()) -> list[str]:
    """Files of a model that predicting needs; those to come where the folder is not made yet.

    Those of an ensemble's members are among them.

    `kmeans` are names of studies whose models are K-means, which have no weights. Raises
    CoverslipError where the folder is none of a model and none that the workflow makes.
    """
    folder = Path(folder)
    if (folder / "model.json").is_file():
        kept = ("run.json", "history.csv")
        files = sorted(path for path in folder.iterdir() if path.is_file())
        within = [file for member in member_folders(folder) for file in model_files(member)]
        own = [str(p) for p in files if p.name not in kept and ".part" not in p.suffixes]
        return [*own, *within]
    if re.fullmatch(r"results/studies/[^/]+/(fold\d+_)?ensemble/model", folder.as_posix()):
        return [f"{folder}/model.json"]
    made = re.fullmatch(r"results/studies/([^/]+)/fold\d+_seed\d+/model", folder.as_posix())
    if made:
        weights = [] if made[1] in kmeans else [f"{folder}/model.keras"]
        return [*weights, f"{folder}/model.json"]
    raise CoverslipError(
        f"model: {folder}: not a model folder (it has no model.json); give the folder `model` of a "
        "finished training"
    )
