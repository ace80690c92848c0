from pathlib import Path

from coverslip import synthetic
from coverslip.config import Source
from coverslip.job import job

with job(snakemake):
    source = Source(**snakemake.params.source)
    synthetic.nuclei(Path(snakemake.output[0]), source.pictures, source.size, source.seed)
