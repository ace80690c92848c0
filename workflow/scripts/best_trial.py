from pathlib import Path

from coverslip.job import job
from coverslip.search.ranking import best

with job(snakemake):
    best(Path(snakemake.input.ranking), Path(snakemake.output[0]))
