"""Sources: raw archives from Kaggle, by its official client.

Credentials stay where Kaggle's users keep them; they are never part of the config, and no message
here shows them. Importing the client already asks for them, so it is imported only to download.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coverslip.archive import sha256
from coverslip.config import Source
from coverslip.errors import CoverslipError
from coverslip.full_disk import told_when_full

LOG = logging.getLogger("coverslip")

CREDENTIALS = (
    "set KAGGLE_API_TOKEN (made under Settings, API on kaggle.com), or put kaggle.json into "
    "~/.kaggle/, or set KAGGLE_USERNAME and KAGGLE_KEY"
)


def download(source: Source, output: Path) -> None:
    """Download the archive of a Kaggle competition or dataset, or one file of it.

    It is downloaded into the folder `<output>.download` and renamed when it is whole and has the
    expected SHA-256. A download that broke off stays there, and the client goes on from it the next
    time if it is still the same file.

    Args:
        source: of kind `kaggle`, with `competition` or `dataset`, and `file` for one file.
        output: where the archive shall lie.

    Raises:
        CoverslipError: no or refused credentials, rules of the competition not accepted, no such
            thing, Kaggle out of reach, another SHA-256, or no space left.
    """
    output = Path(output)
    if bool(source.competition) == bool(source.dataset):
        raise CoverslipError(
            f"{output}: give either `competition` or `dataset` of the source in the config"
        )
    folder = output.with_name(output.name + ".download")
    with told_when_full(output):
        folder.mkdir(parents=True, exist_ok=True)
        LOG.info("%s: downloading %s from Kaggle", output, described(source))
        with explained(source, output):
            fetch(client(), source, folder)
        found = only_file(folder, source)
        check_digest(found, source, output)
        os.replace(found, output)
        shutil.rmtree(folder)


def described(source: Source) -> str:
    """Name of what is downloaded."""
    whole = source.competition or source.dataset
    return f"{source.file} of {whole}" if source.file else str(whole)


def page(source: Source) -> str:
    """Address of the page where a user can read, accept rules and download by hand."""
    if source.competition:
        return f"https://www.kaggle.com/competitions/{source.competition}"
    return f"https://www.kaggle.com/datasets/{source.dataset}"


def client() -> Any:
    """Return the authenticated client of Kaggle.

    Raises:
        CoverslipError: the client is not installed, or finds no valid credentials.
    """
    # The package logs in as soon as it is imported and, without credentials, prints a page of help.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            from kaggle.api.kaggle_api_extended import KaggleApi
        except ImportError as error:
            raise CoverslipError(
                f"Kaggle's client cannot be imported ({error}): install the package kaggle"
            ) from error
        api = KaggleApi()
        try:
            api.authenticate()
        except SystemExit as error:
            raise CoverslipError(f"no valid Kaggle credentials: {CREDENTIALS}") from error
    return api


def fetch(api: Any, source: Source, folder: Path) -> None:
    """Download into a folder; the client chooses the file's name."""
    if source.competition and source.file:
        api.competition_download_file(source.competition, source.file, str(folder), quiet=True)
    elif source.competition:
        api.competition_download_files(source.competition, str(folder), quiet=True)
    elif source.file:
        api.dataset_download_file(source.dataset, source.file, str(folder), quiet=True)
    else:
        api.dataset_download_files(source.dataset, str(folder), quiet=True, unzip=False)


@contextlib.contextmanager
def explained(source: Source, output: Path) -> Iterator[None]:
    """Turn what the client raises into a CoverslipError with the mend."""
    from requests import exceptions

    by_hand = f"or download it in a browser from {page(source)} and put it at {output}"
    try:
        yield
    except CoverslipError as error:
        raise CoverslipError(f"{output}: {error}; {by_hand}") from error
    except exceptions.HTTPError as error:
        status = error.response.status_code if error.response is not None else None
        what = described(source)
        told = {
            401: f"Kaggle refuses the credentials: {CREDENTIALS}",
            403: f"Kaggle forbids the download of {what}: accept the rules at {page(source)}"
            + ("/rules" if source.competition else ""),
            404: f"Kaggle has no {what}: mend `source` in the config",
            429: "Kaggle asks to wait (too many requests): run again later",
        }.get(status or 0, f"Kaggle answers with status {status}: run again later")
        raise CoverslipError(f"{output}: {told}; {by_hand}") from error
    except exceptions.RequestException as error:
        raise CoverslipError(
            f"{output}: Kaggle cannot be reached, or the connection broke: run again, {by_hand}"
        ) from error
    except ValueError as error:
        # The client's own check of sizes and names.
        raise CoverslipError(f"{output}: {error}: run again, {by_hand}") from error


def only_file(folder: Path, source: Source) -> Path:
    """Return the one file that was downloaded.

    Raises:
        CoverslipError: the client left no file.
    """
    files = [path for path in sorted(folder.iterdir()) if path.suffix != ".kaggle-partial"]
    if len(files) != 1:
        raise CoverslipError(
            f"{folder}: holds {len(files)} files after the download of {described(source)}, "
            "where one is expected: remove the folder and run again"
        )
    return files[0]


def check_digest(found: Path, source: Source, output: Path) -> None:
    """Compare a download with the config's SHA-256 and remove it where it differs.

    Raises:
        CoverslipError: another SHA-256.
    """
    digest = sha256(found)
    LOG.info("%s: SHA-256 %s", output, digest)
    if source.sha256 not in (None, digest):
        shutil.rmtree(found.parent)
        raise CoverslipError(
            f"{output}: the download has SHA-256 {digest}, but the config says {source.sha256}: "
            "run again, or mend `source.sha256` if the source has published a new version"
        )
