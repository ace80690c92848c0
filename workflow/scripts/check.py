from pathlib import Path

from coverslip.configuration.config import bare_dataset
from coverslip.data.check import check
from coverslip.job import job

with job(snakemake):
    check(
        pictures=Path(snakemake.input.pictures),
        manifest=Path(snakemake.input.manifest),
        dataset=bare_dataset(snakemake.wildcards.dataset, snakemake.params.dataset),
        report=Path(snakemake.output.report),
        groups=Path(snakemake.output.groups),
        duplicates=Path(snakemake.output.duplicates),
    )
