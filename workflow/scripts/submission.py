from pathlib import Path

from coverslip.job import job
from coverslip.submission import submission

with job(snakemake):
    submission(
        predictions=[Path(path) for path in snakemake.input.predictions],
        manifest=Path(snakemake.input.manifest),
        columns=tuple(snakemake.params.columns),
        output=Path(snakemake.output[0]),
    )
