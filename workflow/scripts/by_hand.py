from coverslip.data import sources
from coverslip.job import job

with job(snakemake):
    sources.refuse_missing(
        snakemake.wildcards.dataset, snakemake.params.path, snakemake.params.others
    )
