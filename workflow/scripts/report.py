from pathlib import Path

from coverslip.job import job
from coverslip.reporting.report import build
from coverslip.reporting.results import collect

with job(snakemake):
    figures = [Path(path) for path in snakemake.input.figures]
    build(
        studies=collect(snakemake.params.config, snakemake.params.studies, figures),
        facts={"command": snakemake.params.command},
        output=Path(snakemake.output[0]),
    )
