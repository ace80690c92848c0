"""Model folders: their interface, `model.json`, and how a name, a folder or a zip names one."""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from coverslip.errors import CoverslipError
from coverslip.files import read_sha256

ENSEMBLE = "ensemble"
"""The `kind` in `model.json` of an ensemble."""


class ModelFolder(Protocol):
    """A model as read from its folder; `coverslip.models.model.Model` is one."""

    folder: Path
    """The folder."""
    info: dict[str, Any]
    """`model.json`."""

    @property
    def head(self) -> str:
        """What the network predicts, see `coverslip.models.heads`."""
        ...

    @property
    def temperature(self) -> float:
        """What the logits of classes are divided by."""
        ...


def read_info(folder: Path) -> dict[str, Any]:
    """Return `model.json` of a model folder, unchecked.

    Raises:
        CoverslipError: there is none, or it is no JSON object.
    """
    path = Path(folder) / "model.json"
    try:
        info = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except OSError as error:
        raise CoverslipError(
            f"{folder}: not a model folder ({error.strerror}: model.json): "
            "give the folder `model` of a finished training"
        ) from error
    except (ValueError, RecursionError) as error:
        raise CoverslipError(f"{path}: not JSON ({error}): train again") from error
    if not isinstance(info, dict):
        raise CoverslipError(
            f"{path}: not written by coverslip: give the folder `model` of a finished training"
        )
    return info


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def member_folders(folder: Path, info: Mapping[str, Any] | None = None) -> list[Path]:
    """Model folders of the members of an ensemble; none for another kind of model.

    Args:
        folder: the model folder.
        info: its `model.json`; read from there if it is not given.

    Raises:
        CoverslipError: `model.json` cannot be read, or does not contain them.
    """
    path = Path(folder) / "model.json"
    try:
        info = read_info(folder) if info is None else info
        if info.get("kind") != ENSEMBLE:
            return []
        found = [os.path.normpath(Path(folder) / each["folder"]) for each in info["members"]]
        if not found:
            raise ValueError("none")
    except (ValueError, KeyError, TypeError) as error:
        raise CoverslipError(
            f"{path}: contains no members ({error}): make the ensemble again"
        ) from error
    return [Path(each) for each in found]


# --- Find a model by what a person names: a model that comes with coverslip, a folder, or a zip

INFO = "model.json"

SHIPPED = "nuclei"
"""Name of the model that is used where none is named."""

UNPACKED_BYTES = 2_000_000_000
"""Most bytes that a zip of a model may have unpacked."""

DEPTH = 6
"""Most folders above a file of such a zip."""


def shipped_model(name: str = SHIPPED) -> Path | None:
    """Return the folder of a model that comes with coverslip; none without that model.

    Args:
        name: `nuclei-1`, or without its number (`nuclei`) for the newest one.
    """
    package = Path(__file__).resolve().parents[1]
    if not re.fullmatch(r"[\w.-]+", name):
        return None
    for home in (package.parents[2], package / "_workflow"):
        folder = home / "resources/models"
        numbered = [
            (int(found[1]), path)
            for path in folder.glob(f"{name}-*")
            if (found := re.fullmatch(rf"{re.escape(name)}-(\d+)", path.name))
        ]
        for path in (folder / name, *(path for _, path in sorted(numbered, reverse=True))):
            if (path / INFO).is_file():
                return path
    return None


def find_model(source: str | Path, unpacked: Path) -> Path:
    """Return the model folder that a name or path means.

    Args:
        source: a model that comes with coverslip by its name, a model folder, its `model.json`, or
            a zip of one.
        unpacked: where zips are unpacked.

    Raises:
        CoverslipError: there is no such model.
    """
    if shipped := shipped_model(str(source)):
        return shipped
    path = Path(source)
    if path.is_file() and path.suffix.lower() == ".zip":
        return unpack_model(path, unpacked)
    folder = path.parent if path.name == INFO else path
    if not (folder / INFO).is_file():
        what = "not a model folder (it has no model.json)" if path.is_dir() else "no such model"
        raise CoverslipError(
            f"{source}: {what}: give the name of a model that comes with coverslip (`nuclei`), the "
            "folder `model` of a finished training, or a zip of one"
        )
    return folder


def unpack_model(path: Path, into: Path) -> Path:
    """Unpack a zip of a model folder, once, and return the folder.

    The zip has the files of a model folder, or that folder, or an ensemble with the folders of its
    members.

    Args:
        path: the zip.
        into: folder of unpacked models; each has the digest of its zip as name.

    Raises:
        CoverslipError: it is no zip, has no model, or has names that lead out of it.
    """
    target = into / read_sha256(path)[:16]
    if not target.is_dir():
        part = into / f"{target.name}.part"
        shutil.rmtree(part, ignore_errors=True)
        try:
            with zipfile.ZipFile(path) as archive:
                for member in _checked(path, archive):
                    archive.extract(member, part)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            raise CoverslipError(f"{path}: not a zip that can be read ({error})") from error
        part.rename(target)
    found = sorted(target.rglob(INFO), key=lambda info: (len(info.parts), info))
    ensembles = [info for info in found if read_info(info.parent).get("kind") == ENSEMBLE]
    if not found or (len(found) > 1 and len(ensembles) != 1):
        what = "has several models" if found else "has no model.json"
        raise CoverslipError(f"{path}: {what}: zip one model folder")
    return (ensembles or found)[0].parent


def _checked(path: Path, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    members = archive.infolist()
    if sum(member.file_size for member in members) > UNPACKED_BYTES:
        raise CoverslipError(f"{path}: more than {UNPACKED_BYTES / 1e9:g} GB unpacked: no model")
    for member in members:
        parts = PurePosixPath(member.filename.replace("\\", "/")).parts
        if ".." in parts or member.filename.startswith("/") or len(parts) > DEPTH:
            raise CoverslipError(f"{path}: has the file `{member.filename}`, outside of the model")
    return [member for member in members if not member.is_dir()]
