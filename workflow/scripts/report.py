from pathlib import Path

from coverslip.reporting.report import build
from coverslip.reporting.results import collect
from coverslip.runtime.run_script import run_script

with run_script(snakemake):
    figures = [Path(path) for path in snakemake.input.figures]
    build(
        studies=collect(snakemake.params.config, snakemake.params.studies, figures),
        facts={
            "command": snakemake.params.command,
            "title": snakemake.params.config.get("title"),
            "left_out": snakemake.params.left_out,
        },
        output=Path(snakemake.output[0]),
    )
