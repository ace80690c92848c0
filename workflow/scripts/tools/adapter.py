"""What the programs of this folder share: from a folder of images to a folder of label images.

Each `run_<tool>.py` applies one tool of other people, by this command line:

    python run_<tool>.py IMAGES LABELS [--model NAME_OR_FOLDER] [--options JSON] [--facts FILE]

IMAGES has TIFF files `<id>.tif` (HxW, or HxWx3 in RGB; uint8 or uint16). LABELS gets one label
image for each of them, `<id>.tif` (HxW, uint16 or uint32, 0 is background). The programs run in the
environment of the tool: they import the tool, NumPy and tifffile, and nothing of coverslip.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

Predict = Callable[[Any], Any]
"""From an image (HxW or HxWxC) to its label image (HxW integers)."""


class Loaded(NamedTuple):
    """A tool that is ready to predict."""

    predict: Predict
    device: str
    """What it computes on, `cpu` or the name of a GPU."""


def main(
    tool: str,
    packages: tuple[str, ...],
    default: str,
    load: Callable[[str, dict[str, Any]], Loaded],
) -> None:
    """Read the command line, predict all images, and write what was done as JSON.

    Args:
        tool: its name.
        packages: names of the packages whose versions are recorded; the first is the tool.
        default: the model that is used where none is named.
        load: from model and options to what predicts; it imports the tool.
    """
    parser = argparse.ArgumentParser(description=f"Segment a folder of images with {tool}.")
    parser.add_argument("images", type=Path, help="folder of images, <id>.tif")
    parser.add_argument("labels", type=Path, help="folder of the label images to write")
    parser.add_argument("--model", default=default, help=f"name or folder of a model ({default})")
    parser.add_argument(
        "--options", type=json.loads, default={}, help="arguments of the tool's function, as JSON"
    )
    parser.add_argument("--facts", type=Path, help="JSON file to write: versions, seconds, images")
    given = parser.parse_args()
    with one_line_errors(tool, packages[0]):
        started = time.perf_counter()
        loaded = load(given.model, given.options)
        ready = time.perf_counter()
        given.labels.mkdir(parents=True, exist_ok=True)
        count, pixels = 0, 0
        for path in image_files(given.images):
            image = read_image(path)
            write_labels(given.labels / path.name, predict_one(loaded.predict, image, path), image)
            count, pixels = count + 1, pixels + image.shape[0] * image.shape[1]
        facts = {
            "tool": tool,
            **version_facts(packages),
            "model": given.model,
            "device": loaded.device,
            "images": count,
            "megapixels": pixels / 1e6,
            "load_seconds": ready - started,
            "predict_seconds": time.perf_counter() - ready,
        }
    text = json.dumps(facts, indent=1) + "\n"
    if given.facts:
        given.facts.write_text(text, encoding="utf-8")
    print(text, end="")


class one_line_errors:  # noqa: N801 (used as a function)
    """Context manager: a package that is missing, or an error of the tool, ends as one line."""

    def __init__(self, tool: str, package: str) -> None:
        self.tool, self.package = tool, package

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, ModuleNotFoundError):
            sys.exit(
                f"{self.tool}: {sys.executable} has no package {error.name}: "
                f"`{sys.executable} -m pip install {self.package}`, or name the Python that has it "
                f"(`tool_python: {{{self.tool}: PATH}}` in the config)"
            )


def version_facts(packages: tuple[str, ...]) -> dict[str, Any]:
    """Return the versions of the tool, of Python and of other packages, as far as installed."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    python = ".".join(map(str, sys.version_info[:3]))
    return {"version": found.get(packages[0]), "packages": {**found, "python": python}}


def image_files(folder: Path) -> Iterator[Path]:
    """Return the TIFF files of a folder, sorted."""
    if not folder.is_dir():
        sys.exit(f"{folder}: no such folder: name a folder of TIFF files")
    return iter(sorted(path for path in folder.iterdir() if path.suffix == ".tif"))


def read_image(path: Path) -> Any:
    """Return an image, HxW or HxWxC."""
    import tifffile

    return tifffile.imread(path)


def predict_one(predict: Predict, image: Any, path: Path) -> Any:
    """Return the label image of an image; an error of the tool names the file."""
    import numpy as np

    try:
        labels = np.asarray(predict(image))
    except Exception as error:  # tools raise anything
        if os.environ.get("COVERSLIP_TRACEBACK"):
            raise
        sys.exit(f"{path.name}: {type(error).__name__}: {' '.join(str(error).split())}")
    if labels.shape != image.shape[:2]:
        sys.exit(f"{path.name}: the label image is {labels.shape}, the image {image.shape[:2]}")
    return labels


def write_labels(path: Path, labels: Any, image: Any) -> None:
    """Write a label image as uint16, or uint32 where its numbers are larger."""
    import numpy as np
    import tifffile

    kind = np.uint16 if labels.max(initial=0) <= np.iinfo(np.uint16).max else np.uint32
    tifffile.imwrite(path, labels.astype(kind), compression="zlib")


def one_channel(image: Any) -> Any:
    """Return one channel of an image, HxW: the one with the most contrast.

    That is the largest range between the 1st and 99.8th percentile, as coverslip's own models
    choose it (`preprocessing.channels: max_contrast`): of a tinted image the stained one.
    """
    import numpy as np

    if image.ndim == 2:
        return image
    low, high = np.percentile(image[..., :3], (1, 99.8), axis=(0, 1))
    return image[..., int(np.argmax(high - low))]


def three_channels(image: Any) -> Any:
    """Return an image as HxWx3; a grey one has its values three times."""
    import numpy as np

    grey = image[..., 0] if image.ndim == 3 and image.shape[-1] < 3 else image
    return np.stack([grey] * 3, axis=-1) if grey.ndim == 2 else grey[..., :3]


def torch_device() -> str:
    """Return what PyTorch computes on: the first GPU that it finds, or `cpu`."""
    import torch

    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


@contextmanager
def unpacked(model: str, file: str) -> Iterator[Path | None]:
    """Context manager: the folder of a model, or none where the model is a name.

    Args:
        model: path of a folder, or of a zip with one folder or with its files, which is unpacked
            for as long; or a name.
        file: pattern of a file that the folder must have.
    """
    path = Path(model).resolve()
    if not path.exists():
        yield None
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = path
        if path.suffix == ".zip":
            folder = Path(scratch) / path.stem
            with zipfile.ZipFile(path) as archive:
                archive.extractall(folder)
            inside = [each for each in folder.iterdir() if each.name[0] not in "._"]
            folder = inside[0] if len(inside) == 1 and inside[0].is_dir() else folder
        if not any(folder.rglob(file)):
            sys.exit(f"{model}: not a model of this tool: it has no {file}")
        yield folder


def check_options(options: dict[str, Any], *ours: str) -> dict[str, Any]:
    """Return the options; raise where one is given by this program itself."""
    if taken := sorted(set(options) & set(ours)):
        sys.exit(f"options: {', '.join(taken)}: set by coverslip, remove it")
    return options
