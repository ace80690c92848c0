from pathlib import Path

from coverslip import pretrained
from coverslip.job import job

with job(snakemake):
    pretrained.download(Path(snakemake.output[0]))
