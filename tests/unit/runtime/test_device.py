"""The device, and that TensorFlow keeps quiet."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from coverslip.runtime import device

PACKAGE = Path(device.__file__).parents[2]


@pytest.mark.parametrize(
    ("capability", "policy"),
    [(None, "float32"), ((6, 1), "float32"), ((7, 0), "mixed_float16"), ((9, 0), "mixed_float16")],
)
def test_mixed_precision_on_gpus_with_tensor_cores_only(capability, policy):
    assert device.Device("G", gpu=True, capability=capability).dtype_policy == policy
    assert device.Device("CPU", capability=capability).dtype_policy == "float32"


def test_xla_on_gpus_only_and_never_with_determinism():
    assert device.Device("G", gpu=True, deterministic=False).jit_compile
    assert not device.Device("G", gpu=True).jit_compile
    assert not device.Device("CPU", deterministic=False).jit_compile


def test_one_line_tells_what_computes_and_how():
    gpu = device.Device("H100", gpu=True, capability=(9, 0), threads=4, deterministic=False)
    assert gpu.line(gpu.dtype_policy) == (
        "device: H100, capability 9.0; dtype policy mixed_float16, XLA on, "
        "deterministic operations off, CPU threads: 4"
    )
    line = device.Device("CPU").line()
    assert line.startswith("device: CPU (") and "dtype policy float32, XLA off" in line
    assert line.endswith("CPU threads: all") and "\n" not in line


def in_a_fresh_process(lines: str, **environment: str) -> subprocess.CompletedProcess[str]:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from coverslip.runtime import device\n" + lines
    )
    return subprocess.run(
        [sys.executable, "-c", script, str(PACKAGE)],
        capture_output=True,
        text=True,
        check=False,
        env={"CUDA_VISIBLE_DEVICES": "-1", "PATH": "", **environment},
    )


@pytest.mark.skipif(platform.machine() != "x86_64", reason="oneDNN is for x86")
def test_kernels_of_onednn_can_be_switched_off():
    """That they are on otherwise is part of `test_prepared_in_a_fresh_process`."""
    done = in_a_fresh_process(
        "device.prepare(threads=1)\n"
        "from tensorflow.python.util import _pywrap_util_port as port\n"
        "assert not port.IsMklEnabled()\n",
        TF_ENABLE_ONEDNN_OPTS="0",
    )
    assert done.returncode == 0, done.stderr


def test_prepared_in_a_fresh_process():
    done = in_a_fresh_process(
        "assert 'tensorflow' not in sys.modules\n"
        "d = device.prepare(threads=1)\n"
        "import keras, platform, tensorflow as tf\n"
        "from tensorflow.python.util import _pywrap_util_port as port\n"
        "assert port.IsMklEnabled() or platform.machine() != 'x86_64'\n"
        "from tensorflow.python.framework.config import is_op_determinism_enabled\n"
        "assert is_op_determinism_enabled()\n"
        "assert tf.config.threading.get_intra_op_parallelism_threads() == 1 == d.threads\n"
        "assert device.prepare(threads=2).threads == 1\n"
        "assert keras.ops.sum(keras.ops.ones(3)) == 3\n"
        "print('to stderr', file=sys.stderr)\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "to stderr\n")


def test_another_backend_is_rejected_in_one_line():
    done = in_a_fresh_process("device.prepare()\n", KERAS_BACKEND="jax")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "KERAS_BACKEND=jax" in last and "unset" in last


GREETINGS = [
    "I0000 00:00:1 port.cc:153] oneDNN custom operations are on.\n",
    "W0000 00:00:1767 gpu_device.cc:2342] Cannot dlopen some GPU libraries. Skipping.\n",
    "E0000 00:00:1767 cuda_platform.cc:51] failed call to cuInit: CUDA_ERROR_NO_DEVICE\n",
]


@pytest.mark.parametrize(
    ("greetings", "cuda", "expected"),
    [
        (GREETINGS, True, ["Cannot dlopen some GPU libraries", "CUDA_ERROR_NO_DEVICE"]),
        (GREETINGS[:1], True, ["no reason"]),
        (GREETINGS[:1], False, ["requirements-gpu.txt"]),
    ],
)
def test_the_reason_why_no_gpu_is_used(greetings, cuda, expected):
    reason = device.no_gpu_reason(greetings, cuda)
    assert all(words in reason for words in expected), reason
    assert "\n" not in reason and "oneDNN" not in reason


@pytest.mark.parametrize(("gpus", "devices", "warns"), [(1, "0", True), (0, "0", False)])
def test_a_job_with_a_gpu_that_finds_none_warns(gpus, devices, warns):
    done = in_a_fresh_process(
        "import logging; logging.basicConfig(format='%(levelname)s %(message)s')\n"
        f"d = device.prepare(threads=1, gpus={gpus})\n"
        "assert not d.gpu and 'requirements-gpu.txt' in d.no_gpu\n",
        CUDA_VISIBLE_DEVICES=devices,
    )
    assert done.returncode == 0, done.stderr
    assert ("WARNING this job was given a GPU" in done.stderr) is warns, done.stderr
