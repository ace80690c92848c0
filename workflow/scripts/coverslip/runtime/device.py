"""The device that a job computes on.

With `training.batchnorm` and `explain.gradients` the only module that speaks to TensorFlow.
`prepare` has to run before keras is imported, since threads, logging and memory growth are
settled by the first import. Scripts therefore call it first and import
`coverslip.training.trainer` after.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from coverslip.config.tasks import ENCODERS
from coverslip.errors import CoverslipError
from coverslip.runtime.run_record import processor

LOG = logging.getLogger("coverslip")
GREETINGS = ("WARNING: All log messages before absl", "I0000 ", "W0000 ", "E0000 ")
"""Beginnings of the lines that TensorFlow's C++ code writes on import."""
FAILURES = re.compile(r"dlopen|cuInit|libcu|CUDA_ERROR|driver", re.IGNORECASE)
"""Lines among them that give the reason why no GPU is used."""


@dataclass(frozen=True)
class Device:
    """What a job computes on, and the choices that follow from it."""

    name: str
    """Name of the processor, as reported by its driver; `CPU` without a GPU."""
    gpu: bool = False
    """Whether a GPU is used."""
    capability: tuple[int, int] | None = None
    """CUDA compute capability of the GPU."""
    bfloat16: bool = False
    """Whether the CPU has instructions for bfloat16."""
    threads: int | None = None
    """CPU threads of one operation; none: as many as there are cores."""
    deterministic: bool = True
    """Whether operations give the same bits each time."""
    no_gpu: str = ""
    """Without a GPU: the reason, as TensorFlow gave it."""

    @property
    def dtype_policy(self) -> str:
        """`mixed_float16` where a GPU has tensor cores (capability 7.0), `mixed_bfloat16` where a
        CPU multiplies bfloat16 (a U-Net trains 1.2 to 1.4 times as fast; encoders of depthwise
        convolutions train half as fast, see `adapt`), else `float32`."""
        if not self.gpu:
            return "mixed_bfloat16" if self.bfloat16 else "float32"
        fast = self.capability is not None and self.capability >= (7, 0)
        return "mixed_float16" if fast else "float32"

    def adapt(self, architecture: str) -> Device:
        """Return the device as it trains a network: bfloat16 only where that is faster."""
        return replace(self, bfloat16=self.bfloat16 and architecture not in ENCODERS)

    @property
    def jit_compile(self) -> bool:
        """XLA, for GPUs only: on a CPU a small U-Net trains about 1.2 times as fast without.

        Keras refuses XLA together with deterministic operations, and those come first.
        """
        return self.gpu and not self.deterministic

    @property
    def fused_normalization(self) -> bool:
        """Batch normalization as one operation of TensorFlow while training, for CPUs only
        (`coverslip.training.batchnorm`)."""
        return not self.gpu

    def line(self, policy: str = "float32") -> str:
        """One line for the log: the device, and how it computes.

        Args:
            policy: dtype policy; that of a saved network is `float32`, that of training is
                `dtype_policy`.
        """
        model = self.name if self.gpu else f"{self.name} ({processor()})"
        able = f", capability {'.'.join(map(str, self.capability))}" if self.capability else ""
        threads = "all" if self.threads is None else str(self.threads)
        return (
            f"device: {model}{able}; dtype policy {policy}, XLA "
            f"{'on' if self.jit_compile else 'off'}, deterministic operations "
            f"{'on' if self.deterministic else 'off'}, CPU threads: {threads}"
        )

    def facts(self) -> dict[str, Any]:
        """Return the device as JSON, for the record of a run."""
        return asdict(self) | {"dtype_policy": self.dtype_policy, "xla": self.jit_compile}


def prepare(threads: int | None = None, deterministic: bool = True, gpus: int = 0) -> Device:
    """Set threads, determinism, memory growth and logging; return the device.

    A second call in one process cannot change the number of threads any more and leaves it as it
    is. Environment variables that the user has set (`CUDA_VISIBLE_DEVICES`, `TF_CPP_MIN_LOG_LEVEL`,
    `TF_ENABLE_ONEDNN_OPTS`) are respected.

    Args:
        threads: CPU threads of one operation; none: as many as there are cores.
        deterministic: whether operations give the same bits each time.
        gpus: GPUs that the job was given. If it finds none although the machine has one, or
            although this TensorFlow is made for GPUs, it warns, with TensorFlow's reason.

    Raises:
        CoverslipError: `KERAS_BACKEND` names another backend than TensorFlow.
    """
    backend = os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        raise CoverslipError(
            f"KERAS_BACKEND={backend}: coverslip computes with TensorFlow: unset the variable"
        )
    # Where there is a GPU, TensorFlow's warnings give the reason if it is not used.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1" if gpus and visible_gpus() else "3")
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    # TensorFlow leaves Intel's kernels out on processors without AVX-512, where a U-Net trains 1.3
    # to 2.3 times as fast with them.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    claim_gpu()  # before a backend looks for GPUs
    with _quiet() as greetings:
        import tensorflow as tf

        _set_threads(tf, threads)
        if deterministic:
            tf.config.experimental.enable_op_determinism()
        found = tf.config.list_physical_devices("GPU")
        intra = tf.config.threading.get_intra_op_parallelism_threads() or None
        # The first operation logs a greeting as well.
        tf.zeros(1)
    if found:
        details = tf.config.experimental.get_device_details(found[0])
        return Device(
            name=details.get("device_name", "GPU"),
            gpu=True,
            capability=details.get("compute_capability"),
            threads=intra,
            deterministic=deterministic,
        )
    reason = no_gpu_reason(greetings, tf.test.is_built_with_cuda())
    if gpus and (tf.test.is_built_with_cuda() or visible_gpus()):
        LOG.warning("this job was given a GPU and computes on the CPU: %s", reason)
    return Device(
        "CPU",
        bfloat16=cpu_has_bfloat16(),
        threads=intra,
        deterministic=deterministic,
        no_gpu=reason,
    )


def no_gpu_reason(greetings: Sequence[str], built_with_cuda: bool) -> str:
    """Return why TensorFlow uses no GPU, in one line.

    Args:
        greetings: the lines that TensorFlow wrote while it looked for GPUs.
        built_with_cuda: whether this TensorFlow can use GPUs at all.
    """
    if not built_with_cuda:
        return (
            "this TensorFlow is made for CPUs: install requirements-gpu.txt (`make env GPU=1`), "
            "or the environment for GPUs"
        )
    lines = [line.strip() for line in greetings if FAILURES.search(line)]
    # Before the first bracket are a time stamp, a thread and a place in TensorFlow's code.
    words = [line.partition("] ")[2] or line for line in lines]
    return "; ".join(dict.fromkeys(words)) or "TensorFlow found no GPU and gave no reason"


def cpu_has_bfloat16() -> bool:
    """Return whether the CPU has AVX-512 BF16 or AMX; False where this is unknown (not Linux)."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return bool({"avx512_bf16", "amx_bf16"} & set(text.split()))


def versions() -> dict[str, str]:
    """Versions of what computes: python, keras and, where it is the backend, tensorflow."""
    import keras

    found = {"python": ".".join(map(str, sys.version_info[:3])), "keras": keras.__version__}
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        found["tensorflow"] = tf.__version__
    return found


def _set_threads(tf, threads: int | None) -> None:
    if threads is None:
        return
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    except RuntimeError:
        # TensorFlow has started in this process already and keeps the number it started with.
        return


@contextmanager
def _quiet() -> Iterator[list[str]]:
    """Hold back what TensorFlow's C++ code writes to stderr on import; pass everything else on.

    It writes before its log level is read, so that no setting silences it. The list that is
    yielded has the lines afterwards.
    """
    greetings: list[str] = []
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield greetings
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held.read().decode(errors="replace").splitlines(keepends=True):
                if line.startswith(GREETINGS) or FAILURES.search(line):
                    greetings.append(line)
                else:
                    os.write(2, line.encode())


# --- A GPU for each job, where a machine has several and no scheduler hands them out

VARIABLE = "CUDA_VISIBLE_DEVICES"

HELD: list[TextIO] = []
"""Lock files of this process; they have to stay open."""


def claim_gpu(devices: Path = Path("/dev"), locks: Path | None = None) -> str | None:
    """Take one of several GPUs for this process and hide the others from it.

    Args:
        devices: folder of the device files, `nvidia0`, `nvidia1`, ...
        locks: folder of the lock files, one a GPU and user; the system's folder for temporary
            files by default.

    Returns:
        The GPU as it is now named in `CUDA_VISIBLE_DEVICES`; None where there is nothing to choose
        (fewer than two GPUs) or all are taken, and nothing was changed.
    """
    found = visible_gpus(devices)
    if len(found) < 2 or HELD:
        return None
    folder = locks or Path(tempfile.gettempdir())
    for name in found:
        held = _lock(folder / f"coverslip-{os.getuid()}-gpu-{re.sub(r'[^A-Za-z0-9-]', '-', name)}")
        if held is not None:
            HELD.append(held)
            os.environ[VARIABLE] = name
            return name
    return None


def visible_gpus(devices: Path = Path("/dev")) -> list[str]:
    """GPUs that this process may use: those of `CUDA_VISIBLE_DEVICES`, else all, by number."""
    stated = os.environ.get(VARIABLE)
    if stated is not None:
        return [name.strip() for name in stated.split(",") if name.strip()]
    count = sum(re.fullmatch(r"nvidia\d+", path.name) is not None for path in devices.iterdir())
    return [str(number) for number in range(count)]


def _lock(path: Path) -> TextIO | None:
    """Return the locked file, or None where another process holds it."""
    import fcntl  # not on Windows, where there is no /dev either

    file = open(path, "w")  # noqa: SIM115 (it stays open as long as the process)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file
