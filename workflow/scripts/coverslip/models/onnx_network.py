"""Run an exported network by ONNX Runtime, without Keras and TensorFlow.

ONNX Runtime was the simplest of the runtimes that reach the goals (`benchmarks/inference.py`). Its
probabilities differ from those of Keras by at most `TOLERANCE`; those of a network of 8 bits differ
by about 0.002.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.errors import CoverslipError
from coverslip.files import atomic_write

FILE = "model.onnx"
"""Name of the exported network in a model folder."""

QUANTIZED = "model.int8.onnx"
"""Name of the same network in 8 bits, if there is one; see `coverslip.training.quantize`."""

METADATA = "coverslip"
"""Name of the metadata that holds `model.json`."""

DIVISOR = "coverslip_size_divisor"
"""Name of the metadata that holds what sides of large tiles are multiples of; empty: no such
tiles."""

TOLERANCE = 1e-4
"""Largest difference of a probability to that of Keras in float32."""

SAME = ("head", "num_classes", "preprocessing", "fitted", "temperature", "identity")
"""Keys of `model.json` that an exported network depends on."""


class OnnxNetwork:
    """A network exported by `coverslip.models.export_onnx`.

    Attributes:
        size_divisor: what sides of tiles larger than patches are multiples of, see
            `coverslip.models.tiling`; none: all tiles have the size of patches.
    """

    def __init__(self, path: Path, info: Mapping[str, Any], threads: int | None = None) -> None:
        """Open the file.

        Args:
            path: the ONNX file.
            info: `model.json` of its folder.
            threads: CPU threads; none: one for each core.

        Raises:
            CoverslipError: the file cannot be read, or was exported from another model.
        """
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3  # errors
        # Threads that wait for work would take time from the rest of the program.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime has an exception for each kind of damage
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise CoverslipError(f"{path}: cannot be loaded ({reason}): {_fix(path)}") from error
        self.path = path
        metadata = self._session.get_modelmeta().custom_metadata_map
        exported = json.loads(metadata.get(METADATA, "{}"))
        if any(exported.get(key) != info.get(key) for key in SAME):
            raise CoverslipError(f"{path}: exported from another model.json: {_fix(path)}")
        divisor = metadata.get(DIVISOR, "")
        self.size_divisor = int(divisor) if divisor else None

    def predict(self, tiles: np.ndarray) -> np.ndarray:
        """Return probabilities as `Model.predict` does, float32 NxHxWxK or NxK.

        Args:
            tiles: uint8 NxHxWxC, preprocessed (`coverslip.models.preprocessing.to_input`).
        """
        return self._session.run(None, {"image": tiles.astype(np.float32)})[0]


def write_checksum(file: Path) -> None:
    """Write the digest of a file into `SHA256SUMS` of its folder, if there is one."""
    sums = file.with_name("SHA256SUMS")
    if sums.is_file():
        lines = [line for line in sums.read_text().splitlines() if line.split()[-1] != file.name]
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        with atomic_write(sums) as part:
            part.write_text("\n".join([*lines, f"{digest}  {file.name}"]) + "\n")


def _fix(path: Path) -> str:
    return f"export it again with `python -m coverslip.models.export_onnx {path.parent}`"
