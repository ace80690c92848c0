"""Published models of tools are downloaded whole, and stay the same file."""

import hashlib
import http.server
import threading

import pytest

from coverslip.errors import CoverslipError
from coverslip.models.tool_weights import download


class Handler(http.server.BaseHTTPRequestHandler):
    """Gives the content of the server, or breaks off in the middle of it."""

    def do_GET(self):
        content = self.server.content
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content if self.path == "/whole" else content[:-9])

    def log_message(self, *arguments):
        """Say nothing."""


@pytest.fixture
def server():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content = bytes(range(256)) * 500
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def address(server, path: str = "whole") -> str:
    return f"http://127.0.0.1:{server.server_port}/{path}"


def test_the_first_download_notes_its_digest(tmp_path, server):
    model = tmp_path / "cellpose/cpsam"
    digest = hashlib.sha256(server.content).hexdigest()
    download(model, address(server), None)
    assert model.read_bytes() == server.content
    assert (tmp_path / "cellpose/cpsam.sha256").read_text().split() == [digest, "cpsam"]


def test_a_later_download_has_to_be_the_same_file(tmp_path, server):
    model = tmp_path / "cpsam"
    download(model, address(server), None)
    model.unlink()
    download(model, address(server), None)
    server.content = b"another file"
    model.unlink()
    with pytest.raises(CoverslipError, match=r"expected [0-9a-f]{64}.*cpsam.sha256"):
        download(model, address(server), None)
    assert not model.exists()


def test_a_published_digest_is_compared(tmp_path, server):
    with pytest.raises(CoverslipError, match="expected 0{64}"):
        download(tmp_path / "model.zip", address(server), "0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_a_broken_download_leaves_nothing(tmp_path, server):
    with pytest.raises(CoverslipError, match="cannot be downloaded .*in a browser"):
        download(tmp_path / "model.zip", address(server, "half"), None)
    assert list(tmp_path.iterdir()) == []
