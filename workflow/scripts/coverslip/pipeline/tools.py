"""Other people's tools: how they are installed, their pretrained models, and the licences of both.

Facts of the tools' own pages and papers, as of 2026-11; `source` is where they are stated. Nothing
here is imported from a tool.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

UNKNOWN = "not stated"


@dataclass(frozen=True)
class Pretrained:
    """A published model of a tool."""

    training_data: str
    """Images that it was trained on."""
    training_data_licence: str
    """Licence of these images."""
    source: str
    """Page or paper that states it."""
    licence: str | None = None
    """Licence of the weights, where it is not that of the tool."""
    address: str | None = None
    """Address of the file on the web; none: the tool downloads it itself."""
    sha256: str | None = None
    """SHA-256 of the file; none: it is noted at the first download, and compared later."""


@dataclass(frozen=True)
class Tool:
    """A tool that is applied by `workflow/scripts/tools/run_<name>.py`."""

    licence: str
    """Licence of its code."""
    default: str
    """Model that is used where none is named."""
    models: Mapping[str, Pretrained] = field(default_factory=dict)
    """Published models by name."""


DSB2018_SUBSET = "fluorescence images of DSB 2018 (BBBC038), a subset of stage 1 training"
STARDIST = "https://github.com/stardist/stardist#pretrained-models-for-2d"
STARDIST_FILES = "https://github.com/stardist/stardist-models/releases/download/v0.1"
INSTANSEG = "https://github.com/instanseg/instanseg"
INSTANSEG_FILES = f"{INSTANSEG}/releases/download"
CELLPOSE = "https://github.com/MouseLand/cellpose and https://huggingface.co/mouseland/cellpose-sam"
MICRO_SAM = "https://doi.org/10.1038/s41592-024-02580-4"

TOOLS: dict[str, Tool] = {
    "stardist": Tool(
        licence="BSD-3-Clause",
        default="2D_versatile_fluo",
        models={
            "2D_versatile_fluo": Pretrained(
                DSB2018_SUBSET,
                "CC0-1.0",
                STARDIST,
                address=f"{STARDIST_FILES}/python_2D_versatile_fluo.zip",
                sha256="4ad678d0758eed6e55625f1b5ae30771e59adb79f1239e09b9772eac8846c3dd",
            ),
            "2D_paper_dsb2018": Pretrained(
                DSB2018_SUBSET,
                "CC0-1.0",
                STARDIST,
                address=f"{STARDIST_FILES}/python_2D_paper_dsb2018.zip",
                sha256="4c11cf68512341d9e8ce3d1278c64ceb8ac400582739f85fcab079a2e82840d2",
            ),
            "2D_versatile_he": Pretrained(
                "H&E images of MoNuSeg 2018 and TNBC",
                "CC-BY-NC-SA-4.0 (MoNuSeg), CC-BY-4.0 (TNBC)",
                STARDIST,
                address=f"{STARDIST_FILES}/python_2D_versatile_he.zip",
                sha256="f1696ef0631bd7e1c0e5c0d3017e2b4c6a95e284c6aab9c22fc2f08317817b28",
            ),
        },
    ),
    "cellpose": Tool(
        licence="BSD-3-Clause",
        default="cpsam_v2",
        models={
            name: Pretrained(
                "Cellpose, Omnipose, TissueNet, LIVECell and further data sets of cells and "
                "nuclei, from the weights of SAM (ViT-L)",
                "CC-BY-NC-4.0 among others",
                CELLPOSE,
                address=f"https://huggingface.co/mouseland/cellpose-sam/resolve/main/{name}",
            )
            for name in ("cpsam_v2", "cpsam")
        },
    ),
    "instanseg": Tool(
        licence="Apache-2.0",
        default="fluorescence_nuclei_and_cells",
        models={
            "fluorescence_nuclei_and_cells": Pretrained(
                UNKNOWN,
                UNKNOWN,
                INSTANSEG,
                address=f"{INSTANSEG_FILES}/instanseg_models_v0.1.1/"
                "fluorescence_nuclei_and_cells.zip",
            ),
            "brightfield_nuclei": Pretrained(
                "TNBC 2018, LyNSeC, NuInsSeg, IHC TMA and CoNSeP (H&E and IHC)",
                "CC-BY-4.0 and Apache-2.0 (CoNSeP)",
                INSTANSEG,
                address=f"{INSTANSEG_FILES}/instanseg_models_v0.1.1/brightfield_nuclei.zip",
            ),
            "single_channel_nuclei": Pretrained(
                UNKNOWN,
                UNKNOWN,
                INSTANSEG,
                address=f"{INSTANSEG_FILES}/instanseg_models_v0.1.2/single_channel_nuclei.zip",
            ),
        },
    ),
    "micro_sam": Tool(
        licence="MIT",
        default="vit_b_lm",
        models={
            "vit_b_lm": Pretrained(
                "LIVECell, DeepBacs, TissueNet, PlantSeg, NeurIPS CellSeg, DSB 2018 and further "
                "light microscopy, from the weights of SAM (ViT-B)",
                "CC-BY-NC-4.0 (LIVECell) among others",
                MICRO_SAM,
                licence=UNKNOWN,
            ),
        },
    ),
}
"""Tools by name. `command` is none of them: it is any program."""


def model_name(section: Mapping[str, Any]) -> str:
    """Return the name or folder of the model of a section `kind: tool`; `command` has none."""
    if section["tool"] == "command":
        return ""
    return section["model"] or TOOLS[section["tool"]].default


def pretrained(tool: str, model: str) -> Pretrained | None:
    """Return the facts of a published model; none where it is not one of the table."""
    return TOOLS[tool].models.get(model) if tool in TOOLS else None


def file_name(tool: str, model: str) -> str | None:
    """Return the path of a downloaded model in `resources/tools`, as `stardist/NAME.zip`.

    None where the workflow has no address: the tool finds such a model itself.
    """
    found = pretrained(tool, model)
    if found is None or found.address is None:
        return None
    return f"{tool}/{model}" + (".zip" if found.address.endswith(".zip") else "")


FILES = {
    name: found
    for tool, facts in TOOLS.items()
    for model, found in facts.models.items()
    if (name := file_name(tool, model))
}
"""Models that the workflow downloads, by their path in `resources/tools`."""


def download_facts(name: str) -> dict[str, Any]:
    """Return what a downloaded model depends on: its address and digest."""
    return {
        key: value for key, value in asdict(FILES[name]).items() if key in ("address", "sha256")
    }


def describe(section: Mapping[str, Any], licence: str) -> dict[str, Any]:
    """Return what the results say of a tool and its model: licences and training data.

    Args:
        section: the section `model` of a study, `kind: tool`.
        licence: licence of the study's dataset, that of the training data where it is trained here.
    """
    tool, model = section["tool"], model_name(section)
    known = pretrained(tool, model)
    trained = section["train"] is not None
    facts: dict[str, Any] = {
        "tool": tool,
        "model": "trained on the split" if trained else model or None,
        "licence": TOOLS[tool].licence if tool in TOOLS else UNKNOWN,
        "model_licence": UNKNOWN,
        "training_data": UNKNOWN,
        "training_data_licence": UNKNOWN,
        "trained_on_split": trained,
        "source": None,
    }
    if trained:
        facts |= {"model_licence": licence, "training_data_licence": licence}
        facts["training_data"] = "the training images of the split"
    elif known is not None:
        facts |= {
            "model_licence": known.licence or facts["licence"],
            "training_data": known.training_data,
            "training_data_licence": known.training_data_licence,
            "source": known.source,
        }
    return facts


def adapter(tool: str) -> Path:
    """Return the program that applies a tool, in `workflow/scripts`."""
    return Path("tools") / f"run_{tool}.py"
