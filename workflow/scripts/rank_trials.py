from pathlib import Path

from coverslip.job import job
from coverslip.search.ranking import rank

with job(snakemake):
    rank(
        folders=[Path(path).parent for path in snakemake.input.trials],
        metric=snakemake.params.metric,
        output=Path(snakemake.output[0]),
    )
