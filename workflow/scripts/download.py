from pathlib import Path

from coverslip import sources
from coverslip.config import Source
from coverslip.job import job

with job(snakemake):
    sources.download(Source(**snakemake.params.source), Path(snakemake.output[0]))
