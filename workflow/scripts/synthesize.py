from pathlib import Path

from coverslip import recipes
from coverslip.config import Source
from coverslip.job import job

with job(snakemake):
    source = Source(**snakemake.params.source)
    output = Path(snakemake.output[0])
    recipes.make(source.recipe, output, source.pictures, source.size, source.seed)
