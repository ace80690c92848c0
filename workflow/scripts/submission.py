from pathlib import Path

from coverslip.evaluation.submission import submission
from coverslip.job import job

with job(snakemake):
    submission(
        predictions=[Path(path) for path in snakemake.input.predictions],
        manifest=Path(snakemake.input.manifest),
        columns=tuple(snakemake.params.columns),
        output=Path(snakemake.output[0]),
    )
