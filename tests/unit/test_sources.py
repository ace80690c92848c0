"""Downloads with the real client against a small server; it never meets Kaggle's own.

The client keeps its folder from its import, so each download is a process of its own. The client
ignores `KAGGLE_API_ENVIRONMENT=TEST` (its class always asks for production), so all its endpoints
are replaced by the server's, on a free port; connections to anywhere else are refused besides.
"""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from coverslip import sources
from coverslip.config import Source
from coverslip.errors import CoverslipError

SCRIPTS = Path(__file__).resolve().parents[2] / "workflow" / "scripts"
DATA = bytes(range(256)) * 500
SHA256 = hashlib.sha256(DATA).hexdigest()
TOKEN = "KGAT_0123456789abcdef"
PROGRAM = """
import socket
import sys
from pathlib import Path

real = socket.getaddrinfo

def only_here(host, *args, **options):
    assert host in ("localhost", "127.0.0.1"), f"a test asked for {host}"
    return real(host, *args, **options)

socket.getaddrinfo = only_here
from kagglesdk import kaggle_env
for name in kaggle_env.KaggleEnv:
    kaggle_env._env_to_endpoint[name] = sys.argv[1]
from coverslip.config import Source
from coverslip.errors import CoverslipError
from coverslip.sources import download
try:
    download(Source.model_validate_json(sys.argv[2]), Path(sys.argv[3]))
except CoverslipError as error:
    sys.exit(str(error))
"""


class Handler(BaseHTTPRequestHandler):
    """Answers the client's calls as Kaggle does; `server.status` is that of downloads."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        call = self.path.rsplit("/", 1)[-1]
        self.server.calls.append((call, asked, self.headers.get("Authorization", "")))
        if call == "IntrospectToken":
            known = asked["token"] == TOKEN
            return self.answer_json(200, {"active": known, "username": "me" if known else ""})
        if self.server.status != 200:
            body = {"code": self.server.status, "message": "no"}
            return self.answer_json(self.server.status, body)
        self.send_response(302)
        self.send_header("Location", f"/blobs/{asked.get('fileName') or 'all.zip'}?signed=1")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/zip")
        self.send_header("Content-Length", str(len(DATA)))
        self.send_header("ETag", '"1"')
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        self.wfile.write(DATA)

    def answer_json(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.calls, server.status = [], 200
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def download(tmp_path, server, credentials="token", **source):
    """Download in a process of its own; return its result and the output's path."""
    source = Source(kind="kaggle", **source)
    home = tmp_path / "home"
    (home / ".kaggle").mkdir(parents=True, exist_ok=True)
    clean = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("KAGGLE") and not key.lower().endswith("_proxy")
    }
    environment = clean | {"HOME": str(home), "PYTHONPATH": str(SCRIPTS)}
    if credentials == "token":
        environment["KAGGLE_API_TOKEN"] = TOKEN
    elif credentials == "key":
        environment |= {"KAGGLE_USERNAME": "me", "KAGGLE_KEY": "secret"}
    elif credentials == "file":
        path = home / ".kaggle" / "kaggle.json"
        path.write_text('{"username": "me", "key": "secret"}')
        path.chmod(0o600)
    port = server.server_address[1] if server else 9
    output = tmp_path / "raw" / "bowl.zip"
    command = [sys.executable, "-c", PROGRAM, f"http://localhost:{port}"]
    command += [source.model_dump_json(), str(output)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert "secret" not in done.stdout + done.stderr
    assert TOKEN not in done.stdout + done.stderr
    return done, output


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("credentials", "source", "call"),
    [
        ("token", {"competition": "bowl"}, "DownloadDataFiles"),
        ("key", {"competition": "bowl", "file": "stage1_train.zip"}, "DownloadDataFile"),
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


def test_no_credentials(tmp_path):
    done, output = download(tmp_path, None, "none", competition="bowl")
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "no valid Kaggle credentials" in done.stderr
    for way in ("KAGGLE_API_TOKEN", "~/.kaggle", "KAGGLE_USERNAME and KAGGLE_KEY"):
        assert way in done.stderr
    assert f"put it at {output}" in done.stderr
    assert not output.exists()


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (401, "refuses the credentials"),
        (403, "accept the rules at https://www.kaggle.com/competitions/bowl/rules"),
        (404, "Kaggle has no bowl"),
    ],
)
def test_refusals(tmp_path, server, status, message):
    server.status = status
    done, output = download(tmp_path, server, "key", competition="bowl")
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not output.exists()


def test_another_digest(tmp_path, server):
    done, output = download(tmp_path, server, "key", competition="bowl", sha256="0" * 64)
    assert done.returncode == 1
    assert f"SHA-256 {SHA256}, but the config says 0000" in done.stderr
    assert names(output.parent) == []


def test_either_competition_or_dataset(tmp_path):
    for source in ({}, {"competition": "a", "dataset": "b/c"}):
        with pytest.raises(CoverslipError, match="give either"):
            sources.download(Source(kind="kaggle", **source), tmp_path / "a.zip")
    assert not list(tmp_path.iterdir())


def test_import_needs_no_client():
    program = "import sys, coverslip.sources; sys.exit('kaggle' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    assert subprocess.run([sys.executable, "-c", program], env=environment).returncode == 0
