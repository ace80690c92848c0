"""Measure a folder in this process: the jobs of `rules/measure.smk`, without Snakemake.

Starting Snakemake and a process for each job takes longer than measuring a few images. The scripts,
their inputs, parameters and outputs are those of the rules, so that results, records and caches are
the same. A later run of Snakemake does its jobs again, for which all images are in the cache
(`paths.MEASURED_DIRECTLY`).
"""

from __future__ import annotations

import os
import runpy
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from coverslip.config import old_format, validate
from coverslip.files import WORKFLOW
from coverslip.measure import input_folder
from coverslip.measure.targets import MeasureTargets
from coverslip.pipeline import paths
from coverslip.pipeline.targets import SCRIPTS, Targets
from coverslip.runtime import lock, run_record
from coverslip.runtime.mock_snakemake import Named

THREADS = 8
"""CPU threads of a job at most, as in the rules."""


def measure_folder(config: Mapping[str, Any], command: str, cores: int | None = None) -> Path:
    """Measure the folder that a config names; return the path of the page.

    Results are written below the working directory, as the target `measure` does.

    Args:
        config: with `images`; what is left out has its default.
        command: the command that the page shows.
        cores: CPU cores; none: all.

    Raises:
        CoverslipError: the config is not valid, or another run writes the same results.
        SystemExit: a job failed, and printed why.
    """
    os.environ[run_record.COMMAND] = command
    old_format.check_results(Path("results"))
    whole = validate.resolve(config, WORKFLOW / "schemas/config.schema.json")
    measured = MeasureTargets(Targets(whole))
    page, name = measured.page(), input_folder.name_of(whole)
    mark = Path(paths.MEASURED_DIRECTLY.format(name=name))
    with lock.hold(page):
        threads = min(cores or len(os.sched_getaffinity(0)), THREADS)
        for job in _jobs(measured, name, threads):
            for path in job.output:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            # Snakemake compares contents as well as dates.
            mark.write_text(secrets.token_hex(), encoding="utf-8")
            runpy.run_path(str(SCRIPTS / f"{job.rule}.py"), {"snakemake": job})
        mark.write_text(secrets.token_hex(), encoding="utf-8")
    return Path(page).resolve()


def _jobs(measured: MeasureTargets, name: str, threads: int) -> Iterator[SimpleNamespace]:
    """Yield what the scripts of the rules get as `snakemake`."""
    model = {"files": [*measured.model_inputs(), *measured.classifier_inputs()]}

    def job(rule: str, inputs: dict, outputs: dict, params: dict, **more: str) -> SimpleNamespace:
        names = {"name": name, **more}
        wildcards = Named(names)

        def resolved(items: dict[str, Any]) -> Named:
            return Named({k: v(wildcards) if callable(v) else v for k, v in items.items()})

        def filled(items: dict[str, Any]) -> dict[str, Any]:
            return {k: v.format(**names) if isinstance(v, str) else v for k, v in items.items()}

        return SimpleNamespace(
            rule=rule,
            wildcards=wildcards,
            input=resolved(filled(inputs)),
            output=Named(filled(outputs)),
            params=resolved(params),
            log=[f"results/logs/measure/{name}_{more.get('shard', rule.split('_')[1])}.log"],
            threads=threads,
            resources={},
        )

    if input_folder.classifies(measured.config):
        yield job("measure_classes", model, measured.class_results(), measured.class_params())
        return
    results, params = measured.results(paths.MEASURED_SHARD), measured.image_params()
    for shard in range(measured.settings["shards"]):
        yield job("measure_images", model, results, params, shard=str(shard))
    inputs, params = measured.shard_results(), measured.table_params()
    yield job("measure_tables", inputs, measured.merged_results(), params)
    shown = {"files": measured.model_inputs(), **measured.page_inputs()}
    yield job("measure_page", shown, {"page": paths.MEASURED_PAGE}, measured.page_params())
