"""Other people's tools as models: applied to a folder of images, or trained by their own package.

The programs are in `workflow/scripts/tools`, see `adapter.py` there. This module also runs in the
environments of the tools: besides the standard library it imports only tifffile.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from coverslip.errors import CoverslipError
from coverslip.files import WORKFLOW, read_sha256, write_json
from coverslip.pipeline import tools
from coverslip.runtime.run_record import processor
from coverslip.runtime.tool_process import Finished, run_process

PROGRAMS = WORKFLOW / "scripts/tools"

FACTS = "tool.json"
"""File in a folder of label images: what made them, and what it took."""

DIGEST = ".sha256"
"""Ending of the file with the SHA-256 of a downloaded model."""


def apply_tool(
    section: Mapping[str, Any],
    images: Path,
    labels: Path,
    model: Path | None,
    python: str,
    threads: int,
    log: Path,
    licence: str,
) -> dict[str, Any]:
    """Segment a folder of images, and write `tool.json` into the folder of the label images.

    Args:
        section: the section `model` of a study, `kind: tool`.
        images: folder of `<id>.tif`.
        labels: folder to write.
        model: file or folder of the model; none: the tool knows it by its name.
        python: Python interpreter that has the tool.
        threads: CPU threads.
        log: file that gets what the tool prints.
        licence: licence of the study's dataset.

    Returns:
        What `tool.json` has.

    Raises:
        CoverslipError: the tool is not installed, fails, or wrote no label images; or the model is
            another file than the one that is expected.
    """
    shutil.rmtree(labels, ignore_errors=True)
    labels.mkdir(parents=True)
    described = tools.describe(section, licence) | {"model_sha256": None}
    facts: dict[str, Any] = {}
    if section["tool"] == "command":
        with _explained("command"):
            took = run_process(fill_command(section["command"], images, labels), log, threads)
    else:
        if model is not None:
            described["model_sha256"] = check_model(section, model)
        noted = labels / "adapter.json"
        program = PROGRAMS / f"run_{section['tool']}.py"
        command = [python, str(program), str(images), str(labels), "--facts", str(noted)]
        command += ["--model", str(model or tools.model_name(section))]
        command += ["--options", json.dumps(section["options"])]
        with _explained(section["tool"]):
            took = run_process(command, log, threads)
        facts = json.loads(noted.read_text(encoding="utf-8"))
        noted.unlink()
    if not any(labels.iterdir()):
        raise CoverslipError(f"{section['tool']}: wrote no label image into {{labels}}: see {log}")
    count, megapixels = count_pixels(images)
    found = {
        **described,
        "version": facts.get("version"),
        "packages": facts.get("packages", {}),
        "device": facts.get("device", "cpu"),
        "images": count,
        "megapixels": megapixels,
        "seconds": took.seconds,
        "load_seconds": facts.get("load_seconds"),
        "predict_seconds": facts.get("predict_seconds"),
        "cpu_seconds": took.cpu_seconds,
        "peak_memory_mb": took.peak_memory_mb,
        "threads": threads,
        "machine": {"processor": processor(), "cores": os.cpu_count()},
    }
    write_json(labels / FACTS, found)
    return found


def train_tool(
    training: Mapping[str, Any],
    images: Path,
    output: Path,
    state: Path,
    seed: int,
    python: str,
    threads: int,
    log: Path,
) -> Finished:
    """Train StarDist by its own package.

    Args:
        training: the section `train`.
        images: folder with `train` and `validation`, in each `images` and `labels`.
        output: folder of the model to write.
        state: folder by which a training that was stopped goes on.
        seed, python, threads, log: see `apply_tool`.

    Raises:
        CoverslipError: see `apply_tool`.
    """
    part = output.with_name(f"{output.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    command = [python, str(PROGRAMS / "train_stardist.py")]
    command += [str(images / "train"), str(images / "validation"), str(part)]
    command += ["--state", str(state), "--seed", str(seed)]
    for key, value in training.items():
        command += [f"--{key.replace('_', '-')}", str(value)]
    with _explained("stardist"):
        took = run_process(command, log, threads)
    shutil.rmtree(output, ignore_errors=True)
    part.rename(output)
    return took


def fill_command(template: str, images: Path, labels: Path) -> str:
    """Return a command for the shell, with the absolute paths of both folders, quoted.

    >>> fill_command("tool {images} -o {labels}", Path("/a b"), Path("/c"))
    "tool '/a b' -o /c"
    """
    for name, path in (("images", images), ("labels", labels)):
        template = template.replace(f"{{{name}}}", shlex.quote(os.path.abspath(path)))
    return template


def check_model(section: Mapping[str, Any], model: Path) -> str | None:
    """Return the SHA-256 of the file of a model; none of a folder.

    Raises:
        CoverslipError: it is another file than was published, or than was downloaded.
    """
    if not model.is_file():
        return None
    digest = read_sha256(model)
    known = tools.pretrained(section["tool"], tools.model_name(section))
    expected = (known.sha256 if known else None) or noted_digest(model)
    if expected not in (None, digest):
        raise CoverslipError(
            f"{model}: has SHA-256 {digest}, expected {expected}: remove it, and it is downloaded"
        )
    return digest


def noted_digest(model: Path) -> str | None:
    """Return the SHA-256 that a download of a model noted next to it; none without a note."""
    noted = Path(f"{model}{DIGEST}")
    return noted.read_text(encoding="utf-8").split()[0] if noted.is_file() else None


def count_pixels(images: Path) -> tuple[int, float]:
    """Return the number of images in a folder of TIFF files, and their megapixels."""
    import tifffile

    count, pixels = 0, 0
    for path in sorted(images.glob("*.tif")):
        with tifffile.TiffFile(path) as file:
            page = file.pages.first
            count, pixels = count + 1, pixels + page.imagelength * page.imagewidth
    return count, pixels / 1e6


def merge_facts(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the `tool.json` of several shards as one; empty without any.

    Seconds, images and megapixels are added, of the peak memory the largest counts.
    """
    total = dict(parts[0]) if parts else {}
    for key in (
        "images",
        "megapixels",
        "seconds",
        "cpu_seconds",
        "load_seconds",
        "predict_seconds",
    ):
        values = [part[key] for part in parts if part.get(key) is not None]
        total |= {key: sum(values)} if values else {}
    peaks = [part["peak_memory_mb"] for part in parts if part.get("peak_memory_mb") is not None]
    return total | ({"peak_memory_mb": max(peaks)} if peaks else {})


class _explained:  # noqa: N801 (used as a function)
    """Context manager: errors of a tool begin with its name."""

    def __init__(self, tool: str) -> None:
        self.tool = tool

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, CoverslipError) and not str(error).startswith(self.tool):
            raise CoverslipError(f"{self.tool}: {error}") from error
