"""What a job was made from, with and where: the record `run.json` next to each result.

It holds nothing of the user's environment, and the values of no option that names a secret.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from coverslip import files

COMMAND = "COVERSLIP_COMMAND"
"""Environment variable by which `rules/common.smk` passes the command of the run to jobs."""

SOURCE = "COVERSLIP_SOURCE"
"""Environment variable with the repository and tag of a workflow that Snakemake took from GitHub or
GitLab; empty in a clone."""

CODE = Path(".snakemake/coverslip/code")
"""Where the workflow notes the definitions of a digest of code."""

UNNAMED = "files"
"""What inputs without a name in the rule are called in a record."""

NOT_COMPARED = "not_compared"
"""Name of the parameter that changes no result: it is no part of records and identities."""

PACKAGES: tuple[str, ...] = ("snakemake", "tensorflow-cpu", "tensorflow", "keras", "numpy")

PACKAGES += ("opencv-python-headless", "scikit-image", "scikit-learn", "h5py", "pandas")


class RunRecord:
    """The record of a job, from its start on."""

    def __init__(self, snakemake: Any):
        self._snakemake = snakemake
        self._started = time.time()
        self._clock = time.monotonic()
        self._states = {str(path): files.state(path) for path in snakemake.input}
        self.inputs = {
            name: {path: _digest(path) for path in paths}
            for name, paths in list_files(snakemake.input).items()
        }

    def changed_inputs(self) -> list[str]:
        """Inputs that are not what they were when the job started."""
        known = {path: digest for group in self.inputs.values() for path, digest in group.items()}
        return [
            path
            for path, before in self._states.items()
            if files.state(Path(path)) != before
            and not (os.path.isfile(path) and files.sha256(Path(path)) == known[path])
        ]

    def facts(self) -> dict[str, Any]:
        """When, where, with what and from what the job ran until now, as JSON."""
        snakemake = self._snakemake
        params = omit_keys(dict(snakemake.params.items()), NOT_COMPARED)
        installed = environment()
        return {
            "rule": snakemake.rule,
            "wildcards": dict(snakemake.wildcards.items()),
            "command": os.environ.get(COMMAND),
            "code": params.get("code"),
            "started": datetime.fromtimestamp(self._started, UTC).isoformat(timespec="seconds"),
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - self._clock, 2),
            "cpu_seconds": round(sum(os.times()[:4]), 2),
            "peak_memory_mb": round(_peak_memory()),
            "threads": snakemake.threads,
            "machine": {
                "processor": processor(),
                "cores": os.cpu_count(),
                "system": platform.system(),
            },
            "python": platform.python_version(),
            "packages": versions(),
            "git": git_state(),
            "digests": {
                "config": json_digest(omit_keys(params, "code")),
                "environment": json_digest(installed),
                **{name: json_digest(found) for name, found in self.inputs.items() if found},
            },
            "params": params,
            "inputs": self.inputs,
            "job": _mock_facts(snakemake),
            "environment": installed,
            "definitions": definitions(params.get("code")),
        }


def record_path(outputs: Any) -> Path:
    """Return where the record of a job is: next to its outputs.

    `<name>.run.json` if all outputs have this name, else `run.json`; an output of the rule that is
    called `record` is it.
    """
    if path := outputs.get("record"):
        return Path(path)
    first, *others = (Path(path) for path in outputs)
    one_name = all(path.with_suffix("") == first.with_suffix("") for path in others)
    return first.with_suffix(".run.json") if one_name else first.with_name("run.json")


def list_files(files: Any) -> dict[str, list[str]]:
    """Return paths of a job's inputs or outputs by name in the rule; the others as `UNNAMED`."""
    found: dict[str, list[str]] = {}
    for name, value in files.items():
        found[name] = [str(value)] if isinstance(value, str | Path) else list(value)
    rest = [path for path in files if not any(path in paths for paths in found.values())]
    found |= {UNNAMED: rest} if rest else {}
    return {name: [str(path) for path in paths] for name, paths in found.items()}


def outputs(snakemake: Any, record: Path) -> dict[str, str]:
    """Digest of each output by its path, but for the record itself."""
    return {str(path): _digest(path) for path in snakemake.output if Path(path) != record}


def _mock_facts(snakemake: Any) -> dict[str, Any]:
    """Return what `mock_snakemake` needs besides inputs and parameters."""
    lists = [name for name, value in snakemake.input.items() if not isinstance(value, str)]
    return {
        "lists": [*lists, UNNAMED],
        NOT_COMPARED: snakemake.params.get(NOT_COMPARED),
        "output": dict(snakemake.output.items()) or {UNNAMED: list(snakemake.output)},
        "log": list(snakemake.log),
    }


def identity(snakemake: Any) -> str:
    """SHA-256 of all that a job's result depends on: parameters, code, inputs and packages."""
    total = hashlib.sha256()
    params = omit_keys(dict(snakemake.params.items()), NOT_COMPARED)
    total.update(json.dumps([params, versions()], sort_keys=True).encode())
    total.update(json.dumps(dict(snakemake.wildcards.items()), sort_keys=True).encode())
    for path in map(Path, snakemake.input):
        # Snakemake's own file in a folder has a dot.
        inside = sorted(path.rglob("[!.]*")) if path.is_dir() else [path]
        for file in inside:
            if not file.is_dir():
                total.update(bytes.fromhex(files.sha256(file)))
    return total.hexdigest()


def json_digest(value: Any) -> str:
    """SHA-256 (first 16 hex digits) of a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def omit_keys(params: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """Parameters less some."""
    return {key: value for key, value in params.items() if key not in names}


def definitions(code: str | None) -> dict[str, str]:
    """Return the digest of each definition of a digest of code; empty where none was noted."""
    try:
        return json.loads((CODE / f"{code}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Versions of the packages that results depend on most, as far as they are installed."""
    found = {}
    for name in packages:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def environment() -> dict[str, str]:
    """Python and every installed package with its version, sorted by name."""
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        # `distribution.metadata` parses the whole text, which takes 20 times longer.
        text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
        name, version = (
            re.search(rf"^{key}: *(\S+)", text, re.MULTILINE) for key in ("Name", "Version")
        )
        if name and version:
            # The first on the path is the one that is imported.
            found.setdefault(re.sub("[._]", "-", name[1].lower()), version[1])
    return {"python": platform.python_version(), **dict(sorted(found.items()))}


def redact_secrets(arguments: Iterable[str]) -> list[str]:
    """Return a command without the values of options whose names speak of secrets."""
    shown, hide = [], False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        secret = any(word in name.lower() for word in ("key", "token", "secret", "password"))
        if hide:
            shown.append("***")
        elif secret and equals:
            shown.append(f"{name}=***")
        else:
            shown.append(argument)
        hide = secret and not equals and argument.startswith("-") and not hide
    return shown


def command_text(words: Iterable[str]) -> str:
    """Return a command for records and pages: no secrets, and no folders of this machine.

    Paths below the working directory are relative to it, and the home folder is `~`.
    """
    text = shlex.join(redact_secrets(words))
    for folder, short in ((f"{Path.cwd()}/", ""), (str(Path.home()), "~")):
        text = (
            re.sub(rf"(?<![^\s='\"]){re.escape(folder)}", short, text) if len(folder) > 1 else text
        )
    return text


def processor() -> str:
    """Return the processor's name as the system reports it."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


@cache
def git_state() -> str | None:
    """Commit of the workflow, with `+` where files differ from it; none in an installation.

    Of a workflow that Snakemake took from GitHub or GitLab it is the address with the tag.
    """
    if source := os.environ.get(SOURCE):
        return source
    if files.INSTALLED.is_dir():
        return None  # a repository around the environment is not that of the workflow
    where = Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=where, capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=where,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return commit + ("+" if changed else "")


def _digest(path: str | Path) -> str:
    if os.path.isdir(path):
        return f"a folder of {sum(len(files) for _, _, files in os.walk(path))} files"
    return files.sha256(Path(path))


def _peak_memory() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    unit = 1024 if sys.platform != "darwin" else 1024**2
    return max(own, children) / unit
