"""Which images of a folder there are to measure, found at parse time; needs no other package."""

import difflib
import hashlib
import json
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from coverslip.data.image_suffixes import COMPANIONS, HOW_TO_CONVERT, SUFFIXES, TO_CONVERT, ZARR
from coverslip.errors import CoverslipError
from coverslip.models.folder import SHIPPED, member_folders, read_info, shipped_model, unpack_model
from coverslip.pipeline import folder_inventory, paths
from coverslip.pipeline.targets import tool_model_file
from coverslip.pipeline.tools import TOOLS

T = TypeVar("T")

INFO = "model.json"

WEIGHTS = ("model.keras", "model.onnx", "model.int8.onnx")
"""Weights of a network; one of the first two is enough."""

FILES = (WEIGHTS[0], INFO)
"""Files of a model folder that a training makes: K-means has no weights."""

UNPACKED = Path(".snakemake/coverslip/models")
"""Where zips of models are unpacked."""

ELSEWHERE = ("name", "shards", "time_pattern", "time_unit")
"""Settings that do not change what is found in a file."""

KINDS = "PNG, JPEG, BMP, GIF, WebP, TIFF, Zarr, CZI, LIF, ND2, OIB, OIF or OIR"

LONG = 220
"""Bytes of the longest name that is kept: endings have to follow, and 255 are possible."""


def list_images(contents: Mapping[str, str]) -> dict[str, str]:
    """Names and digests of the images among the files of a folder, sorted by name.

    A folder `*.zarr` is one image, and so is a file `*.oif` with its folder; their digest is of all
    their files.
    """
    return {
        image: files[image]
        if list(files) == [image]
        else folder_inventory.summary({name[len(image) :]: files[name] for name in files})
        for image, files in parts(contents).items()
    }


def parts(files: Mapping[str, T]) -> dict[str, dict[str, T]]:
    """The files of each image of a folder, sorted by name: one, or those of its own folder."""
    found: dict[str, dict[str, T]] = {}
    for name in sorted(files):
        image = image_of(name)
        if image is not None:
            found.setdefault(image, {})[name] = files[name]
    return dict(sorted(found.items()))


def image_of(name: str) -> str | None:
    """The image that a file belongs to, by its name; or none.

    That is the file itself, a folder `*.zarr`, or the file `*.oif` of a folder `*.oif.files`.
    """
    parts = name.split("/")
    for count, part in enumerate(parts[:-1], start=1):
        if part.lower().endswith(ZARR):
            return "/".join(parts[:count])
        if part.lower().endswith(COMPANIONS):
            return "/".join(parts[:count])[: -len(".files")]
    return name if name.lower().endswith((*SUFFIXES, ZARR)) else None


def shard_of(name: str, shards: int) -> int:
    """Shard of an image: a hash of its name, so that other images do not matter."""
    return int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8], "big") % shards


def printable_name(name: str) -> str:
    """A name as text in one line: bytes that are no UTF-8, and control characters, as `\\xff`."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return re.sub(r"[\x00-\x1f\x7f]", lambda found: f"\\x{ord(found[0]):02x}", text)


def beside(image: str, ending: str) -> str:
    """Name of a file about an image, `<image>.<ending>`; a long one is cut and has a digest."""
    folder, slash, name = image.rpartition("/")
    if len(name.encode()) > LONG:
        digest = hashlib.sha256(name.encode()).hexdigest()[:12]
        name = f"{name.encode()[: LONG - 13].decode('utf-8', 'ignore')}-{digest}"
    return f"{folder}{slash}{name}.{ending}"


def check(folder: Path) -> None:
    """Raise a CoverslipError where a folder is missing or holds no image."""
    folder = Path(folder)
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "no such folder"
        raise CoverslipError(f"images: {folder}: {what}; name a folder of images, or a study")
    count = 0
    for name in folder_inventory.names(folder, own_results(folder)):
        if image_of(name):
            return
        count += 1
    if not count:
        raise CoverslipError(f"images: {folder}: the folder is empty; put images ({KINDS}) in")
    raise CoverslipError(f"images: {folder}: none of the {count} files is an image ({KINDS})")


def own_results(folder: Path) -> list[str]:
    """Folders of results of this working directory; below the images they are left out."""
    own = (os.path.realpath(path) for path in ("results", "results/measure", "results/state"))
    return [path for path in own if path != os.path.realpath(folder)]


def left_out(contents: Mapping[str, str]) -> dict[str, Any]:
    """What of a folder is no image: how many files by their ending, and names of links."""
    others = [name for name in contents if image_of(name) is None]
    links = [name for name in others if contents[name] == folder_inventory.NO_FILE]
    endings = Counter(Path(name).suffix.lower() for name in others if name not in links)
    names = [printable_name(name) for name in links]
    return {"endings": dict(sorted(endings.items())), "links": sorted(names)}


def left_out_lines(found: Mapping[str, Any]) -> list[str]:
    """Sentences on images and folders that were left out, see `left_out`."""
    endings = {each: count for each, count in found["endings"].items() if each in TO_CONVERT}
    lines = []
    if endings:
        counts = ", ".join(f"{count} {each}" for each, count in endings.items())
        lines.append(f"files that are not read: {counts}: {HOW_TO_CONVERT}")
    if found["links"]:
        names = ", ".join(found["links"][:5]) + (", ..." if len(found["links"]) > 5 else "")
        lines.append(
            f"links to folders, pipes or devices are not followed: {names}: copy the folder"
        )
    return lines


def plain(path: str | Path) -> str:
    """One way to write a path: from the working directory where it is below that, or absolute."""
    whole = os.path.abspath(path)
    below = os.path.relpath(whole)
    return whole if below.startswith("..") else below


def digests(contents: Mapping[str, str] | None, shards: int) -> list[str]:
    """A digest of the names and contents of the images of each shard."""
    if contents is None:
        return [folder_inventory.UNREAD] * shards
    parts: list[dict[str, str]] = [{} for _ in range(shards)]
    for name, content in list_images(contents).items():
        parts[shard_of(name, shards)][name] = content
    return [folder_inventory.summary(part) for part in parts]


def name_of(config: Mapping[str, Any]) -> str:
    """Name of the folder of results: as configured, or of the folder of images and a digest.

    The digest is of the absolute paths of images and model, so that folders of one name, and
    results of two models, do not replace each other.
    """
    if config["measure"]["name"]:
        return config["measure"]["name"]
    folder = os.path.realpath(config["images"])
    tool = tool_of(config)
    model = json.dumps(tool) if tool else os.path.realpath(model_of(config))
    if config.get("classifier"):
        model += "\n" + os.path.realpath(model_of(config, "classifier"))
    words = unicodedata.normalize("NFC", Path(folder).name)
    # Letters of four bytes are possible, and a name of a file has at most 255 bytes.
    name = re.sub(r"[^\w-]+", "-", words)[:40].strip("-_") or "images"
    digest = hashlib.sha256(os.fsencode(f"{folder}\n{model}")).hexdigest()
    return f"{name}-{digest[:6]}"


def tool_of(config: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the section `kind: tool` that `model` of the config means; none for another model.

    `stardist` or `stardist:MODEL`, the same for the other tools, `command:COMMAND`, or the name of
    a study of a tool.

    Raises:
        CoverslipError: a command without both folders.
    """
    model = str(config["model"] or "")
    if names_a_study(config):
        section = config["studies"][model].get("model")
        return section if section is not None and section["kind"] == "tool" else None
    tool, _, name = model.partition(":")
    if (tool not in TOOLS and tool != "command") or Path(model).exists():
        return None
    command = name if tool == "command" else None
    if command is not None and not ("{images}" in command and "{labels}" in command):
        raise CoverslipError(
            f"model: {model}: name both folders, as in `command:mytool {{images}} {{labels}}`"
        )
    given = {"model": None if command else name or None, "command": command}
    return {"tool": tool, **given, "train": None, "options": {}}


def tool_folder(config: Mapping[str, Any]) -> str | list[str]:
    """Return the file or folder of the model of a tool; none where the tool knows it by name."""
    section = tool_of(config)
    if section is None:
        return []
    if section["train"] is not None:
        study = config["studies"][config["model"]]
        return paths.TOOL_MODEL.format(study=config["model"], fold=0, seed=study["seeds"][0])
    return tool_model_file(section)


def names_a_study(config: Mapping[str, Any], key: str = "model") -> bool:
    """Whether `model` (or another key) of the config is the name of a study, and not a path."""
    return config[key] in config["studies"] and not Path(config[key]).exists()


def classifies(config: Mapping[str, Any], key: str = "model") -> bool:
    """Return whether a model of the config gives the class of a whole image.

    Raises:
        CoverslipError: it is not a model folder.
    """
    if key == "model" and tool_of(config) is not None:
        return False
    if names_a_study(config, key):
        return config["studies"][config[key]]["task"] == "classification"
    return read_info(model_of(config, key)).get("head") == "classification"


def model_of(config: Mapping[str, Any], key: str = "model") -> Path:
    """Return the model folder that `model` (or `classifier`) of the config means.

    A study by its name, a model that comes with coverslip by its name, or the path of a model
    folder or of a zip of one; without any, the nucleus model that comes with coverslip. A
    CoverslipError is raised where there is none.
    """
    model = config[key] or SHIPPED
    if names_a_study(config, key):
        seed = config["studies"][model]["seeds"][0]
        return Path("results/studies") / model / f"fold0_seed{seed}" / "model"
    if shipped := shipped_model(model):
        return shipped
    if not config[key]:
        raise CoverslipError(
            "model: name the folder of a trained model, as in "
            "`--config images=FOLDER model=results/studies/STUDY/fold0_seed1/model`, or a study"
        )
    path = Path(plain(model))
    if path.suffix.lower() == ".zip" and path.is_file():
        return unpack_model(path, UNPACKED)
    return path.parent if path.name in (*WEIGHTS, INFO) else path


def model_inputs(
    config: Mapping[str, Any], kmeans: Collection[str] = (), key: str = "model"
) -> list[str]:
    """Return the files of the model that `model` (or `classifier`) means, as inputs of rules.

    The workflow makes those of a study. Those of a folder have absolute paths, which no rule makes,
    so that nothing is trained for it. Studies of `kmeans` have no weights.

    Raises:
        CoverslipError: it is not a model folder, or `classifier` is no model of classes.
    """
    if key == "model" and tool_of(config) is not None:
        return []
    folder = model_of(config, key)
    study = names_a_study(config, key)
    if not study and not (folder / INFO).is_file():
        raise CoverslipError(f"{key}: {config[key]}: {_no_model(folder, config['studies'])}")
    if key == "classifier" and not classifies(config, key):
        raise CoverslipError(
            f"classifier: {config[key]}: predicts no classes of images: give the model of a "
            "classification, and name this one as `model`"
        )
    if study:
        if (other := config["studies"][config[key]].get("model")) is not None:
            raise CoverslipError(
                f"{key}: {config[key]}: is a study of `kind: {other['kind']}`, which is not "
                "trained here and cannot measure other images: name a trained model"
            )
        names = [name for name in FILES if name == INFO or config[key] not in kmeans]
        return [f"{folder}/{name}" for name in names]
    return [os.path.abspath(file) for file in model_files(folder)]


def _no_model(folder: Path, studies: Collection[str]) -> str:
    """Why a folder is none of a model, and what to give instead."""
    made = re.fullmatch(r"results/studies/([^/]+)/(\w+)/model", folder.as_posix())
    if made and made[1] in studies:
        target = "all ensemble" if made[2].endswith("ensemble") else "all"
        return f"no model yet; train it first: `snakemake --cores {target}`"
    near = difflib.get_close_matches(str(folder), studies, n=1)
    what = "not a model folder (it has no model.json)" if folder.is_dir() else "no such folder"
    if near:
        return f"{what}; did you mean the study `{near[0]}`?"
    return f"{what}; give the folder `model` of a finished training, or the name of a study"


def model_files(folder: Path) -> list[str]:
    """Return `model.json` of a model folder and its weights, or those of its members.

    Weights are `model.keras` and `model.onnx`, or one of them; K-means has none. Other files are no
    part of the model. A CoverslipError is raised where something is missing.
    """
    folder = Path(folder)
    members = member_folders(folder)
    networks = [*members, folder] if read_info(folder).get("kind") == "network" else members
    found: list[Path] = []
    for each in networks:
        weights = [each / name for name in WEIGHTS if (each / name).is_file()]
        found += [*(weights or [each / WEIGHTS[0]]), each / INFO]
    if folder / INFO not in found:
        found.append(folder / INFO)
    for path in found:
        if not path.is_file():
            raise CoverslipError(
                f"{path}: missing: a model folder needs it; copy the whole folder"
                + (", and those of the ensemble's members" if members else "")
            )
    return [str(path) for path in found]
