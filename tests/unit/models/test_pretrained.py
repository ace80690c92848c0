"""Pretrained weights are fetched whole or not at all."""

import http.server
import threading

import pytest

from coverslip.errors import CoverslipError
from coverslip.models import pretrained

CONTENT = bytes(range(256)) * 5000


class Handler(http.server.BaseHTTPRequestHandler):
    """Gives CONTENT, breaks off in the middle, or knows nothing."""

    def do_GET(self):
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT if self.path == "/whole" else CONTENT[:999])

    def log_message(self, *arguments):
        """Say nothing."""


@pytest.fixture
def address():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_download(tmp_path, monkeypatch, address):
    monkeypatch.setitem(pretrained.FILES, "some.h5", f"{address}/whole")
    pretrained.download(tmp_path / "deep" / "some.h5")
    assert (tmp_path / "deep" / "some.h5").read_bytes() == CONTENT


@pytest.mark.parametrize("path", ["missing", "broken"])
def test_what_fails_leaves_nothing_and_names_the_mend(tmp_path, monkeypatch, address, path):
    monkeypatch.setitem(pretrained.FILES, "some.h5", f"{address}/{path}")
    with pytest.raises(CoverslipError, match=r"some\.h5: cannot be downloaded .*in a browser"):
        pretrained.download(tmp_path / "some.h5")
    assert list(tmp_path.iterdir()) == []


def test_names():
    assert pretrained.file_name("resnet18", "imagenet") == "resnet18_imagenet.safetensors"
    assert pretrained.file_name("mobilenetv2_unet", "imagenet") == "mobilenetv2_unet_imagenet.h5"
    lite = "efficientnet_lite0_unet_imagenet.safetensors"
    assert pretrained.file_name("efficientnet_lite0_unet", "imagenet") == lite
    assert set(pretrained.FILES) >= {pretrained.file_name("resnet18", "imagenet")}
    with pytest.raises(CoverslipError, match=r"x\.h5: no address of such weights is known"):
        pretrained.download("x.h5")
