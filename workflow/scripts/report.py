from pathlib import Path

from coverslip.reporting import metrics_csv
from coverslip.reporting.report import build
from coverslip.reporting.results import collect
from coverslip.runtime.run_script import run_script

with run_script(snakemake):
    figures = [Path(path) for path in snakemake.input.figures]
    studies = collect(snakemake.params.config, snakemake.params.studies, figures)
    metrics_csv.write(studies, Path(snakemake.output.metrics))
    build(
        studies=studies,
        facts={"command": snakemake.params.command, "title": snakemake.params.config.get("title")},
        output=Path(snakemake.output.page),
    )
