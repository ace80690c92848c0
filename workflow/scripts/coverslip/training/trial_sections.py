"""What a search chose, put into the sections of its study."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from coverslip.config.search_space import SECTIONS, place_values, variant_name
from coverslip.models import pretrained


def training_sections(params: Mapping[str, Any], best: Sequence[str]) -> dict[str, Any]:
    """The sections of a study that a job has as parameters, with the best values of a search.

    Args:
        params: parameters of the job; `preprocessing`, `network` and `training` are sections.
        best: `best.json` of the search; empty where the study has none.
    """
    sections = {name: params[name] for name in SECTIONS if name in params}
    for file in best:
        values = json.loads(Path(file).read_text(encoding="utf-8"))["values"]
        own = {key: value for key, value in values.items() if key.split(".")[0] in sections}
        sections = place_values(sections, own)
    return sections


def weights_file(
    files: Iterable[str], network: Mapping[str, Any], preprocessing: Mapping[str, Any]
) -> Path | None:
    """Of some files of pretrained weights the one that a network begins with; none without."""
    if network["weights"] == "none":
        return None
    resize = preprocessing.get("resize")
    name = pretrained.file_name(network["architecture"], network["weights"], resize)
    return next(Path(file) for file in files if Path(file).name == name)


def patch_folders(files: Iterable[str], preprocessing: Mapping[str, Any]) -> list[Path]:
    """Folders of the patches that a section asks for, sorted.

    Args:
        files: patch files. Where trials have patches of their own, these lie in folders
            `patches/<variant>/<shard>`; else in `patches/<shard>`.
        preprocessing: the section with all defaults.
    """
    folders = sorted({Path(file).parent for file in files})
    own = [folder for folder in folders if folder.parent.name == variant_name(preprocessing)]
    return own or folders
