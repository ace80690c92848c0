"""Downloads with the real client against a small server of ours (`kaggle_server`).

The client keeps its folder from its import, so each download is a process of its own. It does not
sleep in them: how long it would is printed.
"""

import hashlib
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from kaggle_server import CHUNK, DATA, ONLY_HERE, SHA256, SILENT, environment, no_secret, serving

from coverslip.config.sections import Source
from coverslip.data import download as download_module
from coverslip.errors import CoverslipError

SCRIPTS = Path(__file__).resolve().parents[3] / "workflow" / "scripts"
PROGRAM = f"""
{ONLY_HERE}
import shutil
import sys
import time
from pathlib import Path
from types import SimpleNamespace

time.sleep = lambda seconds: print("slept", round(seconds))
if len(sys.argv) > 3:
    shutil.disk_usage = lambda path: SimpleNamespace(free=int(sys.argv[3]))
from coverslip.config.sections import Source
from coverslip.errors import CoverslipError
from coverslip.data import download as module
from coverslip.data.download import download
module.SILENCE = 0.5
try:
    download(Source.model_validate_json(sys.argv[1]), Path(sys.argv[2]))
except CoverslipError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def server():
    with serving() as server:
        yield server


def download(tmp_path, server, credentials="token", free=None, **source):
    """Download in a process of its own; return its result and the output's path."""
    source = Source(kind="kaggle", **(source or {"competition": "bowl"}))
    port = server.server_address[1] if server else 9
    variables = environment(tmp_path / "home", port, credentials) | {"PYTHONPATH": str(SCRIPTS)}
    output = tmp_path / "raw" / "bowl.zip"
    command = [sys.executable, "-c", PROGRAM, source.model_dump_json(), str(output)]
    command += [str(free)] if free is not None else []
    done = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=120)
    no_secret(done.stdout + done.stderr)
    return done, output


def refused(tmp_path, server, message, **options):
    """Download in vain; return the output's path and how long it was waited."""
    done, output = download(tmp_path, server, **options)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert f"put it at {output}" in done.stderr or "no space left" in done.stderr
    assert not output.exists()
    return output, slept(done)


def slept(done):
    """Seconds of each wait."""
    return [int(line.split()[1]) for line in done.stdout.splitlines() if line.startswith("slept")]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("credentials", "source", "call"),
    [
        ("token", {"competition": "bowl"}, "DownloadDataFiles"),
        ("variables", {"competition": "bowl", "file": "stage1_train.zip"}, "DownloadDataFile"),
        ("file", {"dataset": "me/cells", "sha256": SHA256}, "DownloadDataset"),
        ("token", {"dataset": "me/cells", "file": "a.zip"}, "DownloadDataset"),
    ],
)
def test_download(tmp_path, server, credentials, source, call):
    done, output = download(tmp_path, server, credentials, **source)
    assert done.returncode == 0, done.stderr
    assert output.read_bytes() == DATA
    assert names(output.parent) == ["bowl.zip"]
    calls = [asked for name, asked, authorization in server.calls if name == call and authorization]
    assert len(calls) == 1
    if "file" in source:
        assert calls[0]["fileName"] == source["file"]


@pytest.mark.reliability(
    "download",
    "no credentials",
    "one line with the ways to give them",
)
def test_no_credentials(tmp_path):
    output, _ = refused(tmp_path, None, "no valid Kaggle credentials", credentials="none")
    done, _ = download(tmp_path, None, "none")
    for way in ("KAGGLE_API_TOKEN", "~/.kaggle", "KAGGLE_USERNAME and KAGGLE_KEY"):
        assert way in done.stderr
    assert names(output.parent) == []


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "refuses the credentials"),
        (403, "accept the rules at https://www.kaggle.com/competitions/bowl/rules"),
        (404, "Kaggle has no bowl"),
    ],
)
@pytest.mark.reliability(
    "download",
    "status 401, 403 or 404",
    "one line with the fix; not tried again",
)
def test_refusals_are_not_tried_again(tmp_path, server, status, message):
    server.refusals = [(status, {})]
    output, waited = refused(tmp_path, server, message, credentials="variables")
    assert waited == [] and server.downloads() == 1
    assert names(output.parent) == []


@pytest.mark.reliability(
    "download",
    "no connection",
    "tried again as often as `retries`, then one line",
)
def test_nobody_answers(tmp_path):
    output, waited = refused(
        tmp_path, None, "cannot be reached", credentials="variables", competition="a", retries=2
    )
    assert waited == [2, 4]
    assert names(output.parent) == []


@pytest.mark.reliability(
    "download",
    "the connection breaks",
    "resumed where it was",
)
def test_a_broken_connection_is_resumed_in_the_same_run(tmp_path, server):
    # The client opens the whole file, then asks for the rest.
    server.files = [CHUNK + 1000, None, 5]
    done, output = download(tmp_path, server, competition="bowl", sha256=SHA256)
    assert done.returncode == 0, done.stderr
    assert output.read_bytes() == DATA
    assert server.downloads() == 3
    assert f"bytes={CHUNK}-" in server.ranges
    assert names(output.parent) == ["bowl.zip"]


@pytest.mark.reliability(
    "download",
    "the connection breaks, and the run ends",
    "the next run resumes where it was",
)
def test_a_broken_download_goes_on_in_the_next_run(tmp_path, server):
    server.files = [2 * CHUNK + 5]
    once = {"competition": "bowl", "sha256": SHA256, "retries": 0}
    output, waited = refused(tmp_path, server, "it goes on from there", **once)
    assert waited == []
    assert (output.with_name("bowl.zip.download") / "bowl.zip").read_bytes() == DATA[: 2 * CHUNK]
    done, _ = download(tmp_path, server, **once)
    assert done.returncode == 0, done.stderr
    assert server.ranges[-1] == f"bytes={2 * CHUNK}-"
    assert output.read_bytes() == DATA
    assert names(output.parent) == ["bowl.zip"]


@pytest.mark.reliability(
    "download",
    "the file changes between two tries",
    "downloaded from its beginning",
)
def test_a_file_that_changed_meanwhile_is_begun_anew(tmp_path, server):
    server.files = [CHUNK]
    refused(tmp_path, server, "it goes on", competition="bowl", retries=0)
    server.data, server.etag = DATA[::-1], '"2"'
    done, output = download(tmp_path, server, competition="bowl", retries=0)
    assert done.returncode == 0, done.stderr
    assert output.read_bytes() == DATA[::-1]


@pytest.mark.reliability(
    "download",
    "a server that stops responding",
    "asked again for the rest",
)
def test_a_server_that_falls_silent_is_asked_again(tmp_path, server):
    server.files = [SILENT]
    done, output = download(tmp_path, server, competition="a", retries=1)
    assert done.returncode == 0, done.stderr
    assert output.read_bytes() == DATA
    assert server.downloads() == 2 and server.ranges[-1] == f"bytes={CHUNK}-"
    assert slept(done) == [2]


def test_patience_ends_where_nothing_is_won(tmp_path, server):
    server.files = [0] * 20
    output, waited = refused(tmp_path, server, "connection broke", competition="a", retries=3)
    assert waited == [2, 4, 8]
    assert server.downloads() == 4
    assert not output.exists()


def test_what_is_won_renews_patience(tmp_path, server):
    server.data = DATA[: CHUNK + 7] * 2
    server.files = [0, CHUNK, 0, CHUNK]
    done, output = download(tmp_path, server, competition="a", retries=1)
    assert done.returncode == 0, done.stderr
    assert output.read_bytes() == server.data


@pytest.mark.reliability(
    "download",
    "an error page in place of the file",
    "not kept; the next run downloads the file",
)
def test_an_answer_of_a_busy_server_is_not_taken_for_the_file(tmp_path, server):
    server.files = [CHUNK]
    refused(tmp_path, server, "it goes on", competition="a", retries=0)
    # The client asks for the rest, then for the whole, and takes whatever it gets.
    server.files = [None, 503, 503]
    output, _ = refused(tmp_path, server, "does not match expected size", competition="a")
    assert names(output.parent) == []
    done, _ = download(tmp_path, server, competition="a", retries=0)
    assert done.returncode == 0, done.stderr
    assert output.read_bytes() == DATA


def test_waits_as_long_as_asked(tmp_path, server):
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    asked = [{"Retry-After": "7"}, {"Retry-After": date}, {}, {"Retry-After": "soon"}]
    server.refusals = [(429, headers) for headers in asked] + [(503, {"Retry-After": "3"})]
    done, output = download(tmp_path, server)
    assert done.returncode == 0, done.stderr
    first, second, *others = slept(done)
    assert first == 7 and 60 < second <= 90 and others == [8, 16, 3]
    assert output.read_bytes() == DATA


@pytest.mark.parametrize(
    ("asked", "waited", "when"),
    [("86400", [], "in 24.0 hours"), ("1800", [], "in 30 minutes"), ("5", [5, 5], "later")],
)
@pytest.mark.reliability(
    "download",
    "status 429 (too many requests)",
    "waits as long as asked, or one line that says when to run again",
)
def test_waiting_is_bounded(tmp_path, server, asked, waited, when):
    server.refusals = [(429, {"Retry-After": asked})] * 10
    message = f"asks to wait (too many requests): run again {when}"
    assert refused(tmp_path, server, message, competition="a", retries=2)[1] == waited
    assert server.downloads() == len(waited) + 1


@pytest.mark.reliability(
    "download",
    "too little space for the file",
    "one line before anything is written",
)
def test_too_little_space_is_told_before_it_is_filled(tmp_path, server):
    message = f"about {len(DATA) / 1e6:.1f} MB are needed, 1.0 MB are free"
    output, waited = refused(tmp_path, server, message, free=1_000_000, competition="a")
    assert waited == []
    assert [path for path in output.parent.rglob("*") if path.is_file()] == []


@pytest.mark.reliability(
    "download",
    "the disk fills up",
    "one line; the next run continues",
)
def test_a_disk_that_fills_up_meanwhile(tmp_path, server):
    full = tmp_path / "raw" / "bowl.zip.download" / "bowl.zip"
    full.parent.mkdir(parents=True)
    full.symlink_to("/dev/full")
    output, waited = refused(tmp_path, server, "no space left on the disk")
    assert waited == []
    full.unlink()
    done, _ = download(tmp_path, server)
    assert done.returncode == 0, done.stderr
    assert output.read_bytes() == DATA


@pytest.mark.reliability(
    "download",
    "another digest than in the config",
    "one line; the file is not kept",
)
def test_another_digest(tmp_path, server):
    message = f"SHA-256 {SHA256}, but the config says 0000"
    done, output = download(tmp_path, server, competition="bowl", sha256="0" * 64)
    assert done.returncode == 1
    assert message in done.stderr
    assert names(output.parent) == []


def test_either_competition_or_dataset(tmp_path):
    for source in ({}, {"competition": "a", "dataset": "b/c"}):
        with pytest.raises(CoverslipError, match="give either"):
            download_module.download(Source(kind="kaggle", **source), tmp_path / "a.zip")
    assert not list(tmp_path.iterdir())


def test_import_needs_no_client():
    program = "import sys, coverslip.data.download; sys.exit('kaggle' in sys.modules)"
    variables = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    assert subprocess.run([sys.executable, "-c", program], env=variables).returncode == 0


def test_the_data_are_no_chance():
    assert hashlib.sha256(DATA).hexdigest() == SHA256 and len(DATA) > 2 * CHUNK + 5
