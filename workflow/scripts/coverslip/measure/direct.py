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
from coverslip.pipeline.targets import (
    CLASSES_TEMPLATES,
    MEASURE_TEMPLATES,
    SCRIPTS,
    Targets,
    code,
)
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
        for job in _jobs(measured, name, input_folder.classifies(whole), threads):
            for path in job.output:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            # Snakemake compares contents as well as dates.
            mark.write_text(secrets.token_hex(), encoding="utf-8")
            runpy.run_path(str(SCRIPTS / f"{job.rule}.py"), {"snakemake": job})
        mark.write_text(secrets.token_hex(), encoding="utf-8")
    return Path(page).resolve()


def _jobs(
    measured: MeasureTargets, name: str, classes: bool, threads: int
) -> Iterator[SimpleNamespace]:
    """Yield what the scripts of the rules get as `snakemake`."""
    home = paths.MEASURED.format(name=name)
    folders = ("labels", "overlays", "exports")
    tables = {kind: f"{home}/{kind}.csv" for kind in ("images", "objects")}
    of_model = [*measured.model_inputs(), *measured.classifier_inputs()]

    def job(
        rule: str, wildcards: dict[str, str], inputs: dict, outputs: dict, params: dict
    ) -> SimpleNamespace:
        part = wildcards.get("shard", rule.removeprefix("measure_"))
        return SimpleNamespace(
            rule=rule,
            wildcards=Named(wildcards),
            input=Named(inputs),
            output=Named(outputs),
            params=Named(params),
            log=[f"results/logs/measure/{name}_{part}.log"],
            threads=threads,
            resources={},
        )

    own = Named({"name": name})
    shown = {
        "left_out": measured.left_out(own),
        "model": measured.model(own),
        "card": measured.model_card(own),
    }
    if classes:
        outputs = {
            "table": f"{home}/predicted_classes.csv",
            "sheets": f"{home}/classes",
            "page": paths.CLASSES_PAGE.format(name=name),
        }
        params = {
            "folder": measured.whole_folder(own),
            **shown,
            "settings": measured.image_settings(),
            "code": code("measure_classes.py", templates=CLASSES_TEMPLATES),
        }
        yield job("measure_classes", {"name": name}, {"files": of_model}, outputs, params)
        return
    for shard in map(str, range(measured.settings["shards"])):
        wildcards = {"name": name, "shard": shard}
        place = paths.MEASURED_SHARD.format(**wildcards)
        outputs = {kind: f"{place}/{kind}.csv" for kind in tables}
        outputs |= {kind: f"{place}/{kind}" for kind in folders}
        params = {
            "folder": measured.shard_folder(Named(wildcards)),
            "model": measured.model(own),
            "classifier": measured.classifier(own),
            "settings": measured.image_settings(),
            "code": code("measure_images.py"),
        }
        yield job("measure_images", wildcards, {"files": of_model}, outputs, params)
    inputs: dict[str, Any] = {
        kind: measured.shard_paths(Path(file).name)(own)
        for kind, file in [*tables.items(), *((each, each) for each in folders)]
    }
    outputs = measured.parquet() | tables | {kind: f"{home}/{kind}" for kind in folders}
    outputs = {k: path.format(name=name) for k, path in outputs.items()}
    outputs["plot"] = f"{home}/confluency.svg"
    params = {"time": measured.time_settings(), "code": code("measure_tables.py")}
    yield job("measure_tables", {"name": name}, inputs, outputs, params)
    inputs = {
        "files": measured.model_inputs(),
        **tables,
        "overlays": outputs["overlays"],
        "plot": outputs["plot"],
    }
    params = {
        "folder": measured.images(own),
        **shown,
        "settings": measured.settings,
        "code": code("measure_page.py", templates=MEASURE_TEMPLATES),
    }
    page = paths.MEASURED_PAGE.format(name=name)
    yield job("measure_page", {"name": name}, inputs, {"files": [page]}, params)
