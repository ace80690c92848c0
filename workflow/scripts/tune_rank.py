from pathlib import Path

from coverslip.runtime.run_script import run_script
from coverslip.training.halving import rank

with run_script(snakemake):
    rank(
        folders=[Path(path).parent for path in snakemake.input.trials],
        metric=snakemake.params.metric,
        output=Path(snakemake.output[0]),
    )
