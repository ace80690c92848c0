"""A small server that answers Kaggle's client as Kaggle does; nothing here meets Kaggle's own.

The client ignores `KAGGLE_API_ENVIRONMENT=TEST` (its class always asks for production), so all its
endpoints are replaced by this server's, on a free port; connections to anywhere else are refused
besides.
"""

import hashlib
import json
import os
import socket
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

TOKEN = "KGAT_0123456789abcdef"
KEY = "secret-of-the-old-kind"
SIGNATURE = "5ecre75196ed"
SECRETS = (TOKEN, KEY, SIGNATURE)
PLANTED = {"KAGGLE_API_TOKEN": TOKEN, "KAGGLE_USERNAME": KEY, "KAGGLE_KEY": SIGNATURE}
"""Variables of a user whose runs are searched for secrets."""
CHUNK = 2**20
"""What the client reads in one go: of a broken download, whole chunks are kept."""
SILENT = -1
DATA = bytes(range(256)) * 12_000
SHA256 = hashlib.sha256(DATA).hexdigest()
ONLY_HERE = """
import os
import socket

real = socket.getaddrinfo

def only_here(host, *args, **options):
    assert host in ("localhost", "127.0.0.1", "::1", None), f"a test asked for {host}"
    return real(host, *args, **options)

socket.getaddrinfo = only_here
from kagglesdk import kaggle_env
for name in kaggle_env.KaggleEnv:
    kaggle_env._env_to_endpoint[name] = os.environ["KAGGLE_TEST_SERVER"]
"""
"""Python that binds the client to the server of the environment."""


class Handler(BaseHTTPRequestHandler):
    """Answers calls, then sends files from signed addresses as a cloud's store does."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        call = self.path.rsplit("/", 1)[-1]
        self.server.calls.append((call, asked, self.headers.get("Authorization", "")))
        if call == "IntrospectToken":
            known = asked["token"] == TOKEN
            return self.refuse(200, {}, {"active": known, "username": "me" if known else ""})
        if self.server.refusals:
            return self.refuse(*self.server.refusals.pop(0))
        self.send_response(302)
        name = asked.get("fileName") or "all.zip"
        self.send_header("Location", f"/blobs/{name}?X-Goog-Signature={SIGNATURE}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        server.ranges.append(asked)
        answer = server.files.pop(0) if server.files else None
        if answer == 503:
            return self.refuse(503, {}, kind="application/xml")
        fits = asked is not None and self.headers.get("If-Range") == server.etag
        start = int(asked.removeprefix("bytes=").rstrip("-")) if fits else 0
        data = server.data[start:]
        self.send_response(206 if fits else 200)
        self.send_header("Content-Type", "application/zip")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", server.etag)
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        try:
            if answer == SILENT:
                self.wfile.write(data[: CHUNK + 5])
                self.wfile.flush()
                self.connection.recv(1)  # until the client has had enough
                return
            self.wfile.write(data[:answer])
            self.wfile.flush()
            if answer is not None:
                self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the client has gone away, which is its right
        self.close_connection = True

    def refuse(self, status, headers, body=None, kind="application/json"):
        data = json.dumps(body or {"code": status, "message": "no"}).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """The server, with what it shall do and what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls: list[tuple[str, dict, str]] = []
        self.ranges: list[str | None] = []
        self.refusals: list[tuple[int, dict[str, str]]] = []
        """Status and headers of the next answers to calls for a file."""
        self.files: list[int | None] = []
        """Of the next files: how many bytes go out before the connection is cut; none: all; 503:
        that status; SILENT: some, then nothing more."""
        self.data, self.etag = DATA, '"1"'

    def downloads(self) -> int:
        """How often a file was asked for."""
        return sum(call.startswith("Download") for call, _, _ in self.calls)


@contextmanager
def serving() -> Iterator[Server]:
    """A server that runs in a thread."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def environment(home: Path, port: int, credentials: str) -> dict[str, str]:
    """Variables of a user with a home of his own, and credentials as users keep them."""
    (home / ".kaggle").mkdir(parents=True, exist_ok=True)
    unwanted = ("KAGGLE", "XDG_CONFIG")
    clean = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(unwanted) and not key.lower().endswith("_proxy")
    }
    found = clean | {"HOME": str(home), "KAGGLE_TEST_SERVER": f"http://localhost:{port}"}
    if credentials == "token":
        found["KAGGLE_API_TOKEN"] = TOKEN
    elif credentials == "variables":
        found |= {"KAGGLE_USERNAME": "me", "KAGGLE_KEY": KEY}
    elif credentials == "file":
        path = home / ".kaggle" / "kaggle.json"
        path.write_text(json.dumps({"username": "me", "key": KEY}))
        path.chmod(0o600)
    return found


def no_secret(text: str | bytes, where: str = "output") -> None:
    """Fail where a text holds one of the planted secrets."""
    data = text.encode() if isinstance(text, str) else text
    for secret in SECRETS:
        if secret.encode() in data:
            pytest.fail(f"{where} tells a secret: {secret}")


def no_secret_below(folder: Path) -> int:
    """Fail where a file below a folder, its name or what is packed in it holds a planted secret.

    Returns:
        How many files were searched.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    for path in files:
        no_secret(path.read_bytes(), str(path))
        no_secret(str(path))
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for name in archive.namelist():
                    no_secret(archive.read(name), f"{path}: {name}")
    return len(files)
