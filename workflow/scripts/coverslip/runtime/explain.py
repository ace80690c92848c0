"""Explain how a file was made, and what has changed since (`make explain FILE=`).

What it was made from is in its record (`run.json`, see `coverslip.runtime.run_record`).
What it would be made from now is asked of Snakemake (`coverslip.runtime.explain`), under the
config files that it was made with unless others are given. The two are compared: inputs by content,
parameters key by key, code definition by definition.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakemake.api import SnakemakeApi
from snakemake.cli import parse_args, parse_config
from snakemake.settings.enums import Quietness
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, ResourceSettings
from snakemake_interface_common.exceptions import WorkflowError

from coverslip import files
from coverslip.errors import CoverslipError
from coverslip.runtime.run_record import (
    NOT_COMPARED,
    UNNAMED,
    definitions,
    environment,
    list_files,
    without,
)

SNAKEFILE = files.WORKFLOW / "Snakefile"

PROFILE = ("--workflow-profile", str(SNAKEFILE.parent / "profiles" / "default"))
"""Snakemake looks for it next to the Snakefile of its own arguments only."""


@dataclass(frozen=True)
class PlannedJob:
    """A job of the workflow."""

    rule: str
    wildcards: dict[str, str]
    params: dict[str, Any]
    input: dict[str, Any]
    """Inputs by their names in the rule; what has none is a list under the empty name."""
    output: dict[str, Any]
    log: dict[str, Any]
    threads: int
    script: str | None
    """File name of its script."""
    reason: str
    """Why it would run now; empty where it would not."""

    @property
    def name(self) -> str:
        """Rule and wildcards, for reading."""
        return " ".join([self.rule, *(f"{k}={v}" for k, v in self.wildcards.items())])


def plan_jobs(target: str, arguments: Sequence[str] = ()) -> list[PlannedJob]:
    """Return the job that makes `target`, the last one, after those that it needs, in their order.

    Inputs, parameters and reasons are those that the jobs would have now.

    Args:
        target: a file that a rule makes, as a path from the working directory of the workflow.
        arguments: of Snakemake, such as `--configfile FILE`; the profile of the workflow counts.

    Raises:
        CoverslipError: no rule makes it, or the config is bad.
    """
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        try:
            args = parse_args([*PROFILE, *arguments, "--", target])[1]
        except SystemExit as error:
            raise CoverslipError(said.getvalue().strip().splitlines()[-1]) from error
    try:
        with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
            flow = api.workflow(
                resource_settings=ResourceSettings(cores=args.cores or 1),
                config_settings=ConfigSettings(
                    config=parse_config(args.config),
                    configfiles=args.configfile,
                    config_args=args.config,
                ),
                snakefile=args.snakefile or SNAKEFILE,
                workdir=args.directory,
            )
            flow.dag(
                DAGSettings(
                    targets={target},
                    rerun_triggers=args.rerun_triggers,
                    max_checksum_file_size=args.max_checksum_file_size,
                )
            )
            return _jobs(flow._workflow, target)
    except (WorkflowError, OSError) as error:
        raise CoverslipError(f"{target}: {error}") from error


def _jobs(workflow: Any, target: str) -> list[PlannedJob]:
    # As Snakemake's own `--summary` does; there is no public way to the jobs of a workflow.
    workflow._prepare_dag(forceall=False, ignore_incomplete=True, lock_warn_only=True)
    workflow._build_dag()
    dag = workflow.dag
    jobs = [job for level in dag.toposorted() for job in sorted(level, key=str)]
    if not jobs or target not in map(str, jobs[-1].output):
        raise CoverslipError(f"{target}: no rule makes it")
    needed = set(dag.needrun_jobs())
    return [
        PlannedJob(
            rule=job.rule.name,
            wildcards=dict(job.wildcards_dict),
            params=dict(job.params.items()),
            input=_named(job.input),
            output=_named(job.output),
            log=_named(job.log),
            threads=job.threads,
            script=Path(str(job.rule.script)).name if job.rule.script else None,
            reason=str(dag.reason(job)) if job in needed else "",
        )
        for job in jobs
    ]


def _named(files: Any) -> dict[str, Any]:
    found = {k: str(v) if isinstance(v, str) else list(map(str, v)) for k, v in files.items()}
    rest = list_files(files).get(UNNAMED, [])
    return found | ({"": rest} if rest else {})


# --- Why a file is as it is, and what has changed since (`make explain FILE=`)

Line = tuple[str, str]

TAKEN = ("--configfile", "--configfiles", "--config", "--snakefile", "-s")
"""Options of the recorded command that define the workflow."""

NOTHING = "(none)"


def find_record(file: Path) -> dict[str, Any] | None:
    """Return the record of the job that made a file or its folder; none where there is none.

    Raises:
        CoverslipError: a record is damaged.
    """
    for path in (file, *file.parents):
        for note in sorted(path.parent.glob("*run.json")):
            text = note.read_text(encoding="utf-8")
            if not text:
                continue  # Snakemake's, where a job was killed
            try:
                record = json.loads(text)
                known = {note.as_posix(), *record.get("outputs", {})}
            except (ValueError, AttributeError) as error:
                raise CoverslipError(f"{note}: damaged ({error}): make its result again") from error
            if path.as_posix() in known:
                return record
        if path.name == "results":
            return None
    return None


def recorded_arguments(command: str | None) -> list[str]:
    """Return the options of a recorded command that define the workflow."""
    words, taken, take = shlex.split(command or ""), [], False
    for word in words[1:]:
        if word.startswith("-"):
            take = word.partition("=")[0] in TAKEN
        if take:
            taken.append(word)
    return taken


def explain(file: Path, record: Mapping[str, Any], jobs: Sequence[PlannedJob]) -> Iterator[Line]:
    """Yield what a file was made from and what has changed since; pairs of label and text.

    Args:
        file: as a path from the working directory, which is that of the workflow.
        record: of the job that made it.
        jobs: what would make it now, the last one, after those that it needs.
    """
    now = jobs[-1]
    yield from made(file, record)
    yield ("inputs", "")
    inputs = {name or UNNAMED: _listed(paths) for name, paths in now.input.items()}
    yield from compared_inputs(record.get("inputs", {}), inputs)
    yield ("parameters", "")
    then, present = without(record["params"], "code"), without(now.params, "code", NOT_COMPARED)
    yield from compared("  ", config_keys(then), config_keys(present))
    yield from compared_code(record, definitions(now.params.get("code")))
    yield from compared_environment(record.get("environment", {}))
    yield ("", "")
    for job in jobs[:-1]:
        if job.reason:
            yield ("first", f"{job.name}: {_short(job.reason)}")
    again = f"would be made again: {_short(now.reason)}"
    yield ("verdict", again if now.reason else "up to date")


def _short(reason: str) -> str:
    """Return a reason of Snakemake without the list of all parameters before and after."""
    return reason.partition(": Union of exclusive params")[0].strip()


def _listed(paths: str | Sequence[str]) -> list[str]:
    return [paths] if isinstance(paths, str) else list(paths)


def made(file: Path, record: Mapping[str, Any]) -> Iterator[Line]:
    """By what a file was made, where, when, and whether it is still what was made."""
    names = " ".join(f"{name}={value}" for name, value in record["wildcards"].items())
    machine = record.get("device") or {}
    where = [machine.get("name"), record["machine"]["processor"]]
    yield ("made by", f"{record['rule']} {names}".strip())
    if record.get("failed"):
        yield ("failed", record["failed"])
    yield ("when", f"{record['started']}, {record['seconds']:.0f} s")
    yield ("where", ", ".join(dict.fromkeys(str(part) for part in where if part)))
    yield ("memory", f"{record['peak_memory_mb']} MB at most")
    yield ("command", str(record.get("command") or NOTHING))
    yield ("commit", str(record.get("git") or NOTHING))
    if record.get("reused"):
        yield ("reused", f"{record['reused']['at']}, from the shared cache")
    known = record.get("outputs", {}).get(file.as_posix())
    if known and file.is_file():
        same = files.sha256(file) == known
        yield ("contents", f"{known[:16]}, {'as made' if same else 'CHANGED since it was made'}")


def compared_inputs(
    then: Mapping[str, Mapping[str, str]], now: Mapping[str, Sequence[str]]
) -> Iterator[Line]:
    """Yield each group of inputs with its digests, and the files that changed, are new or gone."""
    for name in dict.fromkeys([*then, *now]):
        old, new = then.get(name, {}), now.get(name, ())
        changed = list(_changed_files(old, new))
        same = len(set(old) & set(new)) - sum(path in old and path in new for path, _ in changed)
        if len(old) == 1 and same:
            ((path, digest),) = old.items()
            yield (f"  {name}", f"{path} {digest[:16]}, unchanged")
        elif same:
            yield (f"  {name}", f"{same} files unchanged")
        for path, text in changed:
            yield (f"  {name}", f"{path} {text}")


def _changed_files(old: Mapping[str, str], new: Sequence[str]) -> Iterator[Line]:
    for path in dict.fromkeys([*old, *new]):
        if path not in new:
            yield path, "no input any more"
        elif path not in old:
            yield path, "NEW"
        elif not os.path.exists(path):
            yield path, "MISSING"
        elif os.path.isfile(path) and (digest := files.sha256(Path(path))) != old[path]:
            yield path, f"CHANGED: {old[path][:16]} -> {digest[:16]}"


def compared(indent: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Line]:
    """Yield each key with its value, and the present one where it is another."""
    for key in dict.fromkeys([*then, *now]):
        old, new = (_shown(side[key]) if key in side else NOTHING for side in (then, now))
        yield (indent + key, old if old == new else f"CHANGED: {old} -> {new}")


def compared_code(record: Mapping[str, Any], now: Mapping[str, str]) -> Iterator[Line]:
    """Yield the number of definitions that were reached, and each that is another one."""
    then = record.get("definitions") or {}
    if not record.get("code"):
        yield ("code", "no input of this rule")
        return
    yield ("code", f"{record['code']}, {len(then)} definitions")
    modules = Counter(name.partition(":")[0] for name in then)
    yield ("", ", ".join(f"{name} {count}" for name, count in sorted(modules.items())))
    different = [name for name in dict.fromkeys([*then, *now]) if then.get(name) != now.get(name)]
    for name in different:
        kind = "CHANGED" if name in then and name in now else "NEW" if name in now else "gone"
        yield ("", f"{kind}: {_definition(name)}")
    if not different:
        yield ("", "unchanged")


def _definition(name: str) -> str:
    module, colon, rest = name.partition(":")
    if not colon:
        return f"file {name}"
    return f"{rest} in {module}" if rest else f"statements of {module}"


def compared_environment(then: Mapping[str, str]) -> Iterator[Line]:
    """Python and number of packages, and each that has another version."""
    now = environment()
    yield ("environment", f"python {then.get('python', NOTHING)}, {len(then) - 1} packages")
    different = [(k, t) for k, t in compared("", then, now) if t.startswith("CHANGED")]
    for name, text in different:
        yield ("", f"{name} {text}")
    yield ("", "packages alone cause no rerun" if different else "unchanged")


def config_keys(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters by their dotted names, those of config sections as the config has them."""
    return {name.removeprefix("sections."): value for name, value in flat(params).items()}


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested mapping by dotted keys."""
    found: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, Mapping) and item:
            found |= flat(item, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = item
    return found


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)


def home_of(file: Path) -> Path:
    """Return the folder that the workflow ran in, from a path to one of its results."""
    path = Path(os.path.abspath(file))
    for parent in path.parents:
        if parent.name in ("results", "resources"):
            return Path(os.path.relpath(parent.parent))
    return Path()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the explanation of a file; 1 where there is none."""
    parser = argparse.ArgumentParser(
        prog="python -m coverslip.runtime.explain",
        description="Tell why a result is as it is, and what has changed since.",
        epilog="Further arguments, such as --configfile FILE, are for Snakemake; by default those "
        "that the file was made with.",
    )
    parser.add_argument("file", type=Path, help="a result, as a path from here")
    parser.add_argument("--directory", "-d", type=Path, help="where the workflow ran")
    given, more = parser.parse_known_args(arguments)
    home = given.directory or home_of(given.file)
    file = Path(os.path.relpath(given.file, home))
    try:
        with contextlib.chdir(home):
            record = find_record(file)
        if record is None:
            raise CoverslipError(f"{given.file}: nothing there has a record of making it")
        target = next(iter(record.get("outputs", {})), file.as_posix())
        more = more or recorded_arguments(record.get("command"))
        jobs = plan_jobs(target, [*more, "--directory", str(home)])
        with contextlib.chdir(home):
            lines = [("file", file.as_posix()), *explain(file, record, jobs)]
        width = max(len(label) for label, _ in lines)
        for label, text in lines:
            print(f"{label:<{width}}  {text}".rstrip())
    except CoverslipError as error:
        print(f"coverslip: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
