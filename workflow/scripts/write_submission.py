from pathlib import Path

from coverslip.reporting.submission import submission
from coverslip.runtime.run_script import run_script

with run_script(snakemake):
    submission(
        predictions=[Path(path) for path in snakemake.input.predictions],
        manifest=Path(snakemake.input.manifest),
        columns=tuple(snakemake.params.columns),
        output=Path(snakemake.output[0]),
    )
