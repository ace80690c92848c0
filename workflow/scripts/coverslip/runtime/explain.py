"""Explain how a file was made, and what has changed since (`coverslip explain FILE`).

What it was made from is in its run record (`run.json`, see `coverslip.runtime.run_record`). Inputs
are compared by content, code definition by definition, packages by version. Whether a changed
config makes the file again is a question for Snakemake; the command that answers it is printed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from coverslip import files
from coverslip.errors import LONGEST, CoverslipError, one_line
from coverslip.runtime import code_fingerprint
from coverslip.runtime.run_record import environment, omit_keys

Line = tuple[str, str]
"""Label and text of a printed line."""

WORKFLOW_OPTIONS = ("--configfile", "--configfiles", "--config", "--snakefile", "-s")
"""Options of the recorded command that define the workflow."""

SCRIPTS = sorted((files.WORKFLOW / "scripts").glob("*.py"), reverse=True)
"""Scripts of the rules; the name of a rule is that of its script, or begins with it."""

NOTHING = "(none)"


def find_record(file: Path) -> dict[str, Any] | None:
    """Return the record of the job that made a file or its folder; none where there is none.

    Raises:
        CoverslipError: a record is damaged.
    """
    for path in (file, *file.parents):
        for candidate in sorted(path.parent.glob("*run.json")):
            if not candidate.is_file() or not candidate.stat().st_size:
                continue  # an empty one is Snakemake's, where a job was killed
            with _damaged(candidate):
                record = json.loads(candidate.read_text(encoding="utf-8"))
                outputs = {candidate.as_posix(), *record.get("outputs", {})}
            if path.as_posix() in outputs:
                return record
        if path.name == "results":
            return None
    return None


@contextlib.contextmanager
def _damaged(record: Path) -> Iterator[None]:
    """Turn errors about the form of a record into one line that names it."""
    try:
        yield
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        why = f"{type(error).__name__}: {one_line(error)[:LONGEST]}"
        raise CoverslipError(f"{record}: damaged record ({why}): make its result again") from error


def workflow_options(command: str | None) -> list[str]:
    """Return the options of a recorded command that define the workflow."""
    options, take = [], False
    for word in shlex.split(command or "")[1:]:
        if word.startswith("-"):
            take = word.partition("=")[0] in WORKFLOW_OPTIONS
        if take:
            options.append(word)
    return options


def explain(file: Path, record: Mapping[str, Any]) -> Iterator[Line]:
    """Yield what a file was made from and what has changed since.

    Args:
        file: as a path from the working directory, which is that of the workflow.
        record: of the job that made it.
    """
    yield from describe_job(file, record)
    yield ("inputs", "")
    yield from compare_inputs(record.get("inputs", {}))
    yield ("parameters", "")
    for key, value in flatten(omit_keys(record["params"], "code")).items():
        yield (f"  {key.removeprefix('sections.')}", _text(value))
    yield from compare_code(record)
    yield from compare_environment(record.get("environment", {}))
    target = next(iter(record.get("outputs", {})), file.as_posix())
    command = ["snakemake", "-n", target, *workflow_options(record.get("command"))]
    yield ("rerun", f"`{shlex.join(command)}` prints whether a changed config makes it again")


def describe_job(file: Path, record: Mapping[str, Any]) -> Iterator[Line]:
    """Yield what made a file, where, when, and whether it is still what was made."""
    wildcards = " ".join(f"{name}={value}" for name, value in record["wildcards"].items())
    device = record.get("device") or {}
    where = [device.get("name"), record["machine"]["processor"]]
    yield ("made by", f"{record['rule']} {wildcards}".strip())
    if record.get("failed"):
        yield ("failed", record["failed"])
    yield ("when", f"{record['started']}, {record['seconds']:.0f} s")
    yield ("where", ", ".join(dict.fromkeys(str(part) for part in where if part)))
    yield ("memory", f"{record['peak_memory_mb']} MB at most")
    yield ("command", str(record.get("command") or NOTHING))
    yield ("commit", str(record.get("git") or NOTHING))
    if record.get("reused"):
        yield ("reused", f"{record['reused']['at']}, from the shared cache")
    digest = record.get("outputs", {}).get(file.as_posix())
    if digest and file.is_file():
        same = files.sha256(file) == digest
        yield ("contents", f"{digest[:16]}, {'as made' if same else 'CHANGED since it was made'}")


def compare_inputs(inputs: Mapping[str, Mapping[str, str]]) -> Iterator[Line]:
    """Yield each group of inputs, and the files of it that are missing or have other contents."""
    for name, digests in inputs.items():
        changed = [
            (path, text) for path, digest in digests.items() if (text := _change(path, digest))
        ]
        same = len(digests) - len(changed)
        if len(digests) == 1 and same:
            ((path, digest),) = digests.items()
            yield (f"  {name}", f"{path} {digest[:16]}, unchanged")
        elif same:
            yield (f"  {name}", f"{same} files unchanged")
        for path, text in changed:
            yield (f"  {name}", f"{path} {text}")


def _change(path: str, digest: str) -> str:
    """Return how a file differs from its recorded digest; empty where it does not."""
    if not os.path.exists(path):
        return "MISSING"
    if os.path.isfile(path) and (now := files.sha256(Path(path))) != digest:
        return f"CHANGED: {digest[:16]} -> {now[:16]}"
    return ""


def compare_code(record: Mapping[str, Any]) -> Iterator[Line]:
    """Yield the number of definitions that the job reached, and each that has changed."""
    if not record.get("code"):
        yield ("code", "no input of this rule")
        return
    then = record.get("definitions") or {}
    yield ("code", f"{record['code']}, {len(then)} definitions")
    modules = Counter(name.partition(":")[0] for name in then)
    yield ("", ", ".join(f"{name} {count}" for name, count in sorted(modules.items())))
    script = next((file for file in SCRIPTS if record["rule"].startswith(file.stem)), None)
    now = code_fingerprint.current_digests(then, script)
    changed = [name for name in now if now[name] != then[name]]
    for name in changed:
        module, _, definition = name.partition(":")
        where = f"{definition or 'statements'} in {module}" if ":" in name else f"file {name}"
        yield ("", f"{'gone' if now[name] is None else 'CHANGED'}: {where}")
    if not changed:
        yield ("", "unchanged")


def compare_environment(then: Mapping[str, str]) -> Iterator[Line]:
    """Yield Python, the number of packages, and each that has another version or is missing."""
    now = environment()
    yield ("environment", f"python {then.get('python', NOTHING)}, {len(then) - 1} packages")
    changed = [key for key in then if then[key] != now.get(key)]
    for key in changed:
        yield ("", f"{key} CHANGED: {then[key]} -> {now.get(key, NOTHING)}")
    yield ("", "packages alone cause no rerun" if changed else "unchanged")


def flatten(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested mapping by dotted keys."""
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            flat |= flatten(item, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = item
    return flat


def _text(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def workflow_folder(file: Path) -> Path:
    """Return the folder that the workflow ran in, from a path to one of its results."""
    for parent in Path(os.path.abspath(file)).parents:
        if parent.name in ("results", "resources"):
            return Path(os.path.relpath(parent.parent))
    return Path()


def _printable(text: str) -> str:
    """Return a text without what could change the terminal."""
    return "".join(c if c.isprintable() else " " for c in text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the explanation of a file; return 1 where there is none."""
    parser = argparse.ArgumentParser(
        prog="coverslip explain", description="Print how a result was made and what changed since."
    )
    parser.add_argument("file", type=Path, help="a result, as a path from here")
    given = parser.parse_args(arguments)
    folder = workflow_folder(given.file)
    file = Path(os.path.relpath(given.file, folder))
    try:
        with contextlib.chdir(folder):
            record = find_record(file)
            if record is None:
                raise CoverslipError(f"{given.file}: no run record is next to it or above it")
            with _damaged(file):
                lines = [("file", file.as_posix()), *explain(file, record)]
    except CoverslipError as error:
        print(f"coverslip: {error}", file=sys.stderr)
        return 1
    width = max(len(label) for label, _ in lines)
    for label, text in lines:
        print(_printable(f"{label:<{width}}  {text}".rstrip()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
