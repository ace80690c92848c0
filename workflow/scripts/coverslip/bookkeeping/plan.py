"""What the workflow, as it is now, would do to make a file: asked of Snakemake itself."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snakemake.api import SnakemakeApi
from snakemake.cli import parse_args, parse_config
from snakemake.settings.enums import Quietness
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, ResourceSettings
from snakemake_interface_common.exceptions import WorkflowError

from coverslip.bookkeeping.provenance import UNNAMED, named
from coverslip.errors import CoverslipError

SNAKEFILE = Path(__file__).resolve().parents[3] / "Snakefile"
PROFILE = ("--workflow-profile", str(SNAKEFILE.parent / "profiles" / "default"))
"""Snakemake looks for it beside the Snakefile of its own arguments only."""


@dataclass(frozen=True)
class Planned:
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


def planned(target: str, arguments: Sequence[str] = ()) -> list[Planned]:
    """The job that makes `target`, the last one, after those that it needs, in their order.

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


def _jobs(workflow: Any, target: str) -> list[Planned]:
    # As Snakemake's own `--summary` does; there is no public way to the jobs of a workflow.
    workflow._prepare_dag(forceall=False, ignore_incomplete=True, lock_warn_only=True)
    workflow._build_dag()
    dag = workflow.dag
    jobs = [job for level in dag.toposorted() for job in sorted(level, key=str)]
    if not jobs or target not in map(str, jobs[-1].output):
        raise CoverslipError(f"{target}: no rule makes it")
    needed = set(dag.needrun_jobs())
    return [
        Planned(
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
    rest = named(files).get(UNNAMED, [])
    return found | ({"": rest} if rest else {})
