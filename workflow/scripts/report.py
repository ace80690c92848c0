from pathlib import Path

from coverslip.reporting import metrics_csv
from coverslip.reporting.report import build
from coverslip.reporting.results import collect
from coverslip.runtime.run_script import run_script

with run_script(snakemake):
    params = snakemake.params
    figures = [Path(path) for path in snakemake.input.figures]
    studies = collect(params.config, params.studies, figures)
    metrics_csv.write(studies, Path(snakemake.output.metrics))
    build(
        studies=studies,
        facts={
            "command": params.command,
            "title": params.config.get("title"),
            "left_out": params.left_out,
            "referee": params.referee,
            "measured": next(iter(snakemake.input.measured), None),
        },
        output=Path(snakemake.output.page),
    )
