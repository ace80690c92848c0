"""What `coverslip doctor` prints: what is installed, and what this machine has."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from coverslip import __version__
from coverslip.files import WORKFLOW
from coverslip.pipeline.missing_data import has_kaggle_credentials
from coverslip.runtime.run_record import processor

GPU_QUESTION = """
import tensorflow as tf
print("cuda" if tf.test.is_built_with_cuda() else "cpu")
for device in tf.config.list_physical_devices("GPU"):
    print(tf.config.experimental.get_device_details(device).get("device_name", device.name))
"""
GPU_TIMEOUT_SECONDS = 120


def main() -> int:
    """Print a line a topic; return 1 if ONNX Runtime is missing, else 0."""
    lines = {
        "coverslip": f"{__version__} in {WORKFLOW}",
        "Python": f"{platform.python_version()} in {sys.prefix}",
        "Snakemake": version("snakemake")
        or "missing: measuring works, studies need coverslip[train]",
        "ONNX Runtime": version("onnxruntime") or "missing: pip install onnxruntime",
        "TensorFlow": tensorflow() or "missing: measuring works, training needs coverslip[train]",
        "GPU": gpu(),
        "CPU": f"{processor()}, {cores()} cores",
        "memory": memory(),
        "disk": f"{shutil.disk_usage('.').free / 1e9:.0f} GB free in {Path.cwd()}",
        "SLURM": slurm(),
        "conda": tool("mamba", "conda") or "none; only `--sdm conda` needs it",
        "Kaggle": "credentials: present" if has_kaggle_credentials() else "credentials: none",
    }
    width = max(map(len, lines))
    for topic, text in lines.items():
        print(f"{topic:<{width}}  {text}")
    return int(version("onnxruntime") is None)


def version(package: str) -> str | None:
    """Return the installed version of a package, if it is installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def tensorflow() -> str | None:
    """Return name and version of the installed TensorFlow, if there is one."""
    found = ((name, version(name)) for name in ("tensorflow", "tensorflow-cpu"))
    return next((f"{number} ({name})" for name, number in found if number), None)


def gpu(devices: Path = Path("/dev")) -> str:
    """Return the names of the GPUs that TensorFlow sees, or why it sees none."""
    present = sorted(path.name for path in devices.glob("nvidia[0-9]*"))
    if not present:
        return "none: this machine has no NVIDIA GPU, or no driver for it"
    if tensorflow() is None:
        return f"{len(present)} NVIDIA, but no TensorFlow: pip install 'coverslip[gpu]'"
    try:
        done = subprocess.run(
            [sys.executable, "-c", GPU_QUESTION],
            capture_output=True,
            text=True,
            timeout=GPU_TIMEOUT_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"{len(present)} NVIDIA, but TensorFlow did not answer in {GPU_TIMEOUT_SECONDS} s"
    kind, *names = done.stdout.split("\n") if done.stdout else [""]
    names = [name for name in names if name]
    if names:
        return ", ".join(names)
    if kind == "cpu":
        return f"{len(present)} NVIDIA, but this TensorFlow is for CPUs: coverslip[gpu] is for GPUs"
    last = [line for line in done.stderr.splitlines() if line.strip()][-1:] or ["no reason given"]
    return f"{len(present)} NVIDIA, but TensorFlow cannot use it: {last[0].strip()}"


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory(info: Path = Path("/proc/meminfo")) -> str:
    """Return total and available memory in GB."""
    try:
        rows = dict(line.split(":", 1) for line in info.read_text(encoding="ascii").splitlines())
        total, free = (int(rows[key].split()[0]) for key in ("MemTotal", "MemAvailable"))
    except (OSError, ValueError, KeyError):
        return "unknown"
    return f"{total * 1024 / 1e9:.0f} GB, {free * 1024 / 1e9:.0f} GB available"


def slurm() -> str:
    """Return whether jobs can be sent to a SLURM cluster."""
    if tool("sbatch") is None:
        return "none: no `sbatch` here"
    plugin = version("snakemake-executor-plugin-slurm")
    return f"sbatch, plugin {plugin}" if plugin else "sbatch, but no plugin: coverslip[slurm]"


def tool(*names: str) -> str | None:
    """Return the path of the first program that is installed, if one is."""
    return next((path for name in names if (path := shutil.which(name))), None)
