from pathlib import Path

from coverslip import sources
from coverslip.job import job

with job(snakemake):
    sources.encoder_weights(Path(snakemake.output[0]))
