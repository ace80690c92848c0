from pathlib import Path

from coverslip.configuration.config import Source
from coverslip.job import job
from coverslip.synthesis import recipes

with job(snakemake):
    source = Source(**snakemake.params.source)
    output = Path(snakemake.output[0])
    recipes.make(source.recipe, output, source.pictures, source.size, source.seed)
