from pathlib import Path

from coverslip.job import job
from coverslip.models import pretrained

with job(snakemake):
    pretrained.download(Path(snakemake.output[0]))
