from pathlib import Path

from coverslip.configuration.config import Source
from coverslip.data import sources
from coverslip.job import job

with job(snakemake):
    sources.download(
        Source(**snakemake.params.source, **snakemake.params.handling), Path(snakemake.output[0])
    )
