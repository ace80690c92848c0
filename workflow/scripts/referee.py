from pathlib import Path

from coverslip.reporting.referee import build
from coverslip.reporting.results import collect
from coverslip.runtime.run_script import run_script

with run_script(snakemake):
    params = snakemake.params
    build(
        studies=collect(params.config, params.studies),
        facts={
            "command": params.command,
            "title": params.config.get("title"),
            "report": params.report,
        },
        output=Path(snakemake.output.page),
        table=Path(snakemake.output.table),
    )
