"""Sources: raw archives from Kaggle, by its official client.

Credentials stay where Kaggle's users keep them; they are never part of the config, and no message
here shows them. Importing the client already asks for them, so it is imported only to download.
"""

from __future__ import annotations

import contextlib
import email.utils
import errno
import io
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from coverslip.config.sections import Source
from coverslip.errors import CoverslipError
from coverslip.files import Progress, read_sha256, report_disk_full

LOG = logging.getLogger("coverslip")

CREDENTIALS = (
    "set KAGGLE_API_TOKEN (made under Settings, API on kaggle.com), or put kaggle.json into "
    "~/.kaggle/, or set KAGGLE_USERNAME and KAGGLE_KEY"
)

BUSY = (429, 500, 502, 503, 504)
"""What a server answers that may answer otherwise after a while."""

LONGEST_PAUSE = 600.0
"""Seconds: who asks to wait longer gets no answer from this job."""

SILENCE = 60.0
"""Seconds without a byte after which a connection counts as broken."""

MARKER = ".kaggle-partial"
"""Ending of the client's note next to a partial file: which file it is a part of."""


def download(source: Source, output: Path) -> None:
    """Download the archive of a Kaggle competition or dataset, or one file of it.

    It is downloaded into the folder `<output>.download` and renamed when it is whole and has the
    expected SHA-256. A download that broke off stays there, and the client goes on from it the next
    time if it is still the same file. Broken connections and busy servers are tried again,
    `source.retries` times in a row without a byte won.

    Args:
        source: of kind `kaggle`, with `competition` or `dataset`, and `file` for one file.
        output: path of the archive.

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
    with report_disk_full(output) as progress:
        folder.mkdir(parents=True, exist_ok=True)
        LOG.info("%s: downloading %s from Kaggle", output, source_name(source))
        with explain_errors(source, output, folder):
            retry(lambda: fetch(client(progress), source, folder), folder, source.retries)
        found = only_file(folder, source)
        check_digest(found, source, output)
        os.replace(found, output)
        shutil.rmtree(folder)


def source_name(source: Source) -> str:
    """Return the name of what is downloaded."""
    whole = source.competition or source.dataset
    return f"{source.file} of {whole}" if source.file else str(whole)


def page(source: Source) -> str:
    """Address of the page where a user can read, accept rules and download by hand."""
    if source.competition:
        return f"https://www.kaggle.com/competitions/{source.competition}"
    return f"https://www.kaggle.com/datasets/{source.dataset}"


def client(progress: Progress) -> Any:
    """Return the authenticated client of Kaggle.

    Args:
        progress: receives how many bytes a download needs.

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
    api.download_file = once(api.download_file, progress)
    api.build_kaggle_client = limit_silence(api.build_kaggle_client)
    return api


def once(transfer: Callable[..., None], progress: Progress) -> Callable[..., None]:
    """Let the client transfer a file without retries of its own, and only where there is room.

    Its own retries take whatever a busy server answers for the file's bytes, and they wait for
    space on a full disk. Ours ask again, with a new address, and its note records where to resume.
    """

    def transfer_once(response: Any, outfile: str, *args: Any, **options: Any) -> None:
        there = os.path.getsize(outfile) if os.path.isfile(outfile) else 0
        needed = int(response.headers.get("Content-Length") or 0) - there
        if needed > 0:
            progress.note(1.0, needed)
        if needed > shutil.disk_usage(os.path.dirname(outfile)).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), outfile)
        transfer(response, outfile, *args, max_retries=0, **options)

    return transfer_once


def limit_silence(connect: Callable[[], Any]) -> Callable[[], Any]:
    """Let a client's connections break after `SILENCE`, given the function that makes them.

    The client sets no limit for its first request, which also transfers the file: a server that
    stalls would be waited for without end.
    """
    from requests.adapters import HTTPAdapter

    class Limited(HTTPAdapter):
        def send(
            self,
            request: Any,
            stream: bool = False,
            timeout: Any = None,
            verify: Any = True,
            cert: Any = None,
            proxies: Any = None,
        ) -> Any:
            return super().send(request, stream, timeout or SILENCE, verify, cert, proxies)

    def connect_with_limit() -> Any:
        connection = connect()
        http = connection.http_client()
        http._init_session()
        for scheme in ("https://", "http://"):
            http._session.mount(scheme, Limited())  # it has no other name
        return connection

    return connect_with_limit


def retry(fetch_it: Callable[[], None], folder: Path, retries: int) -> None:
    """Call until it works; wait as long as the server asks for, or twice as long each time.

    Args:
        fetch_it: downloads into the folder.
        folder: it contains what was downloaded so far.
        retries: how often in a row it may break off without another byte won.

    Raises:
        requests.exceptions.RequestException: the last one, where patience is at its end, or at once
            where waiting does not help.
    """
    from requests.exceptions import RequestException

    tried, won = 0, downloaded_bytes(folder)
    while True:
        try:
            return fetch_it()
        except RequestException as error:
            if downloaded_bytes(folder) > won:
                tried, won = 0, downloaded_bytes(folder)
            seconds = pause(error, tried)
            if tried >= retries or seconds is None or seconds > LONGEST_PAUSE:
                raise
            LOG.info("%s; again in %.0f s", reason(error), seconds)
            time.sleep(seconds)
            tried += 1


def downloaded_bytes(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.suffix != MARKER)


def pause(error: Any, tried: int) -> float | None:
    """Seconds to wait before trying again: what the answer asks for; none where it is no use."""
    if error.response is None:
        return 2.0 ** (tried + 1)
    if error.response.status_code not in BUSY:
        return None
    asked = error.response.headers.get("Retry-After", "")
    with contextlib.suppress(ValueError):
        return max(0.0, float(asked))
    with contextlib.suppress(ValueError, TypeError):
        until = email.utils.parsedate_to_datetime(asked)
        return max(0.0, (until - datetime.now(UTC)).total_seconds())
    return 2.0 ** (tried + 1)


def reason(error: Any) -> str:
    """Return the error as a text without addresses: Kaggle's are signed, so they are secrets."""
    if error.response is None:
        return f"Kaggle cannot be reached, or the connection broke ({type(error).__name__})"
    if error.response.status_code == 429:
        return "Kaggle asks to wait (too many requests)"
    return f"Kaggle answers with status {error.response.status_code}"


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
def explain_errors(source: Source, output: Path, folder: Path) -> Iterator[None]:
    """Turn what the client raises into a CoverslipError with the fix.

    Its own errors are cut off: they contain signed addresses, which would come into the job's log.
    """
    from requests import exceptions

    by_hand = f"or download it in a browser from {page(source)} and put it at {output}"
    try:
        yield
    except CoverslipError as error:
        message = f"{error}"
    except exceptions.HTTPError as error:
        status = error.response.status_code if error.response is not None else None
        what = source_name(source)
        message = {
            401: f"Kaggle refuses the credentials: {CREDENTIALS}",
            403: f"Kaggle forbids the download of {what}: accept the rules at {page(source)}"
            + ("/rules" if source.competition else ""),
            404: f"Kaggle has no {what}: fix `source` in the config",
        }.get(status or 0, f"{reason(error)}: run again {when_to_retry(pause(error, 0))}")
    except exceptions.RequestException as error:
        message = f"{reason(error)}: run again; it goes on from there"
    except ValueError as error:
        # The client's own check of sizes and names. Bytes of a wrong number are no part of it.
        shutil.rmtree(folder)
        message = f"{error}: run again"
    else:
        return
    finally:
        with contextlib.suppress(OSError):
            folder.rmdir()  # only where nothing is won
    raise CoverslipError(f"{output}: {message}; {by_hand}") from None


def when_to_retry(seconds: float | None) -> str:
    """When to run again, in words."""
    if seconds is None or seconds <= LONGEST_PAUSE:
        return "later"
    return f"in {seconds / 3600:.1f} hours" if seconds > 5400 else f"in {seconds / 60:.0f} minutes"


def only_file(folder: Path, source: Source) -> Path:
    """Return the one file that was downloaded.

    Raises:
        CoverslipError: the client left no file.
    """
    files = [path for path in sorted(folder.iterdir()) if path.suffix != MARKER]
    if len(files) != 1:
        raise CoverslipError(
            f"{folder}: holds {len(files)} files after the download of {source_name(source)}, "
            "where one is expected: remove the folder and run again"
        )
    return files[0]


def check_digest(found: Path, source: Source, output: Path) -> None:
    """Compare a download with the config's SHA-256 and remove it where it differs.

    Raises:
        CoverslipError: another SHA-256.
    """
    digest = read_sha256(found)
    LOG.info("%s: SHA-256 %s", output, digest)
    if source.sha256 not in (None, digest):
        shutil.rmtree(found.parent)
        raise CoverslipError(
            f"{output}: the download has SHA-256 {digest}, but the config says {source.sha256}: "
            "run again, or fix `source.sha256` if the source has published a new version"
        )
